"""Tiny World: a synthetic little world, whose events are told, asked about and checked in many ways."""
