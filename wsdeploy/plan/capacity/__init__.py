"""How many clients hosts hold: what they use, the formulas, and what is said of it."""
