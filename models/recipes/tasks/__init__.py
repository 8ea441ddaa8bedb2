"""Tasks of Tiny World as recipes: make a dataset, train a model, and compare its score with baselines."""
