"""Tasks to learn at the press of a button, with what they came to."""
