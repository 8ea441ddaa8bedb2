"""Datasets of Tiny World for fine-tuning: what a row is, what is held out, and how answers are judged."""
