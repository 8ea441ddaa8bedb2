"""Minimal pairs: two sentences that differ slightly, and the effect on the attention and the answers of a model."""
