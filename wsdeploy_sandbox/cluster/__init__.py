"""A stand-in for a Kubernetes cluster on a sandbox host: an API for kubectl, pods by podman.

No part of Kubernetes itself is in Debian or on PyPI but for its clients. What is here does what a
rendered service and the commands around it need, as Kubernetes does it; docs/start/sandbox.md says
what is missing. `host` boots such a host and is what inventories and tests use. All but `host`,
`images`, `registry` and `wheels` runs on the host and needs nothing but Python.
"""
