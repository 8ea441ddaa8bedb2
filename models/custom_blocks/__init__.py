"""Modules that are not Terrarium's own: what they consist of and cost."""
