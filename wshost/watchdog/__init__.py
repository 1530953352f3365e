"""Programs that watch: processes that hang, and app hosts that do not answer."""
