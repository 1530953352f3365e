"""Generations of the app: started, checked, switched to, brought back, retired."""
