"""Interpretability: what happens in one forward pass of a model, as plain numbers. Nothing here changes the model."""
