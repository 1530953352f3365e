"""What talks to hosts, by pyinfra: roles, operations, facts, the lock of a fleet."""
