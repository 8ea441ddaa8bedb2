"""Minimal pairs: two sentences that differ a little, and what a model makes of the difference."""
