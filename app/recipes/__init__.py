"""Recipes that train a model on a task, and alignment demonstrations, with their results."""
