"""Datasets of Tiny World for fine-tuning: their rows, held-out splits, and judges."""
