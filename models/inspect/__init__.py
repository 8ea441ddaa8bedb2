"""Looking into a model: what happens in one forward pass, as plain numbers. Nothing here is changed by it."""
