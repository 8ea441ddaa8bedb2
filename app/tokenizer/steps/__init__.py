"""How the words of a text become tokens, drawn step by step."""
