"""Programs that run on the hosts, with nothing but the standard library of Debian's python3.

The control machine sends them over SSH and runs them (`wsdeploy.plan.host.remote`).
"""
