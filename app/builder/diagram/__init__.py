"""The architecture diagram: the parts of a design and their layout (without Qt), and the graphics items."""
