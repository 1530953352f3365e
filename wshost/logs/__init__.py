"""The logs of a service on a host, whoever writes them."""
