"""Readers of other tokenizer formats: exactly the ids of their own libraries, or an error. No torch."""
