"""Key pairs and certificates: made here, or ordered from an authority."""
