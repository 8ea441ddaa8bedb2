"""Tasks of Tiny World as recipes: a dataset is made, a model trained, and its score set beside a baseline's."""
