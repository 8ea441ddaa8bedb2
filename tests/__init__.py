"""Proof of what Terrarium does, in the folders of the code that it is about."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
