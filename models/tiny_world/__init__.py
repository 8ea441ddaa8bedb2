"""Tiny World: a synthetic world whose events are narrated, asked about and checked in several tasks."""
