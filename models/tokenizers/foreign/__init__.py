"""Reads tokenizers in other formats with exactly the ids of their own libraries, or refuses them. No torch."""
