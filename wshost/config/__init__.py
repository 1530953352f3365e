"""Configuration files, and the packet filter: applied whole, or taken back."""
