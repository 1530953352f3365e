"""Put a Python websockets server into production on your own Debian machines."""

from wsdeploy.settings import App, CertFiles, Nginx, Probe, SelfSigned, Settings, SettingsError

__all__ = ["App", "CertFiles", "Nginx", "Probe", "SelfSigned", "Settings", "SettingsError"]
