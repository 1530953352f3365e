"""What proxies have: nginx or HAProxy, certificates, what clients may ask for."""
