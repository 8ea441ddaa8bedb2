"""Interpretability: the internals of one forward pass of a model, as plain numbers. Nothing here changes the model."""
