"""Bundles: one signed file from which a machine sets itself up as the inventory says."""
