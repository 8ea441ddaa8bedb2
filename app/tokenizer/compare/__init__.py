"""The view that compares tokenizers side by side."""
