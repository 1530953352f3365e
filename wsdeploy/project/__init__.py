"""New projects: what `wsdeploy init` writes, and what it finds out by itself."""
