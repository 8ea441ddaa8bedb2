"""Judging replies by hand: two to a prompt, blind, one key a choice."""
