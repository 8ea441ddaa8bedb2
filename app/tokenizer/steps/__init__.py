"""The view that draws how the words of a text become tokens, step by step."""
