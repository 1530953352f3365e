"""What goes on on a host, for whoever looks: nothing here changes anything."""
