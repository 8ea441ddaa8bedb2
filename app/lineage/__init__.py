"""The lineage of a run: its tree of stages, replies to one prompt, win rates and origin."""
