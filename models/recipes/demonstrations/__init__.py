"""Demonstrations of alignment: they start from a chat model, and have goals that the result is measured against."""
