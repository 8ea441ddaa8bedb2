"""Monitoring of an alignment run: its figures, its KL against its reward, and its rollouts."""
