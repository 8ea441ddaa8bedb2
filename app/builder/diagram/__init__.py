"""The architecture diagram: what a design consists of and where it is drawn (no Qt), and the items that draw it."""
