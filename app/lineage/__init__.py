"""The lineage of a run: the tree of stages that it belongs to, one prompt asked of all, who wins, and its origin."""
