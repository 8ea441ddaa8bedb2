"""Demonstrations of alignment: from a model that can chat to what it becomes, with bars that they are to reach."""
