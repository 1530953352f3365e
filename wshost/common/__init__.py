"""What several host programs need: processes, sockets, Supervisor, the fleet's lock."""
