"""What clients notice of a deployment, and how fast they are back when all are dropped at once."""
