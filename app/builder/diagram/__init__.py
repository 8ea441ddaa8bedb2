"""The architecture diagram: the parts of a design and their layout (no Qt), and the graphics items."""
