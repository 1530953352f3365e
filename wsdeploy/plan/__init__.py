"""What a host should have, part by part: pure functions of the settings and the host's survey."""
