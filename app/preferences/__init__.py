"""The page on which replies are judged by hand: pairs, blind, with one key per choice."""
