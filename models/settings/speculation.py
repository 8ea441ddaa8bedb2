"""How many tokens a draft model may draft at once. No torch import."""

MAX_DRAFTED = 15
"""At most: with the token before them, the large model reads them in one short pass (fast_matmul.FEW)."""
N_DRAFTED = 5
"""The usual number: of more, the last are seldom accepted."""
