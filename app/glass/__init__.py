"""The glass box: panels that show what happens inside the model for a token of a text."""
