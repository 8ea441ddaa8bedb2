"""What a custom block must be, for each place in a model, as Markdown. No Qt."""

from __future__ import annotations

from dataclasses import fields

from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.slots import check_complete

TITLES = {"attention": "Attention", "feed_forward": "Feed-forward", "position": "Positions", "norm": "Norms"}
"""The places of custom blocks on screen."""

_CONTRACTS = {
    "attention": """It mixes tokens, as attention does.

```
def forward(self, x, allowed): ...
def forward(self, x, allowed, positions): ...
```

- `x` (B, T, d_model): the normalised stream
- `allowed` (B or 1, 1, T, T), bool: whether token i may read token j. It hides the future and padding.
- returns (B, T, d_model), or that and the weights (B, n_head, T, T) for the glass box

With `positions`, the design's scheme has an effect: `positions.rotate(q)` for RoPE, `positions.add_bias(scores)` for
ALiBi and T5.""",
    "feed_forward": """It works on each token alone.

```
def forward(self, x): ...
```

- `x` (B, T, d_model): the normalised stream
- returns (B, T, d_model)""",
    "position": """It tells the model the order of the tokens. `applied_to` in BLOCK says where:

```
def forward(self, positions): ...
```

- "embeddings": `positions` (1, T) → (1, T, d_model), which is added
- "queries": `positions` (1, T) → cos and sin, each (1, 1, T, head_dim), which rotate queries and keys
- "scores": distances j − i (Q, K) → (1, n_head, Q, K), which is added to the scores""",
    "norm": """It normalises each token, in all places where the design has a norm.

```
def forward(self, x): ...
```

- `x` (…, width): the last dimension is normalised; `config.width` is d_model, or head_dim in QK-norm
- returns the same shape""",
}
check_complete(_CONTRACTS, BLOCK_SLOTS, "what custom blocks must be")
check_complete(TITLES, BLOCK_SLOTS, "titles of the places of custom blocks")

_COMMON = """**BLOCK** is a literal: name, slot, title, help and options. Each option becomes an argument of `__init__`:

```
"options": {{"decay": {{"default": 0.97, "label": "Decay", "help": "…", "range": (0.5, 1.0)}}}}
def __init__(self, config, decay): ...
```

**config** has {names}.

It may import torch, numpy and Python's own modules. The page “Custom blocks” of the documentation has more."""


def contract(place: str) -> str:
    """Return what a block for a place must be; that of attention for an unknown place."""
    names = ", ".join(f"`{field.name}`" for field in fields(BlockConfig))
    return f"{_CONTRACTS.get(place, _CONTRACTS['attention'])}\n\n{_COMMON.format(names=names)}"
