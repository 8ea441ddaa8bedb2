"""Which of two replies is better: pairs that are collected by hand, what they say, and datasets of them. No torch."""
