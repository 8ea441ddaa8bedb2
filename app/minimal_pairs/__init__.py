"""Minimal pairs: two sentences that differ in a word, and how the difference changes attention and answers of a
model.
"""
