"""Sliding retention: attention without softmax, whose weights decay with distance (RetNet, arXiv:2307.08621)."""

import torch
from torch import Tensor, nn

BLOCK = {
    "name": "sliding_retention",
    "slot": "attention",
    "title": "Sliding retention",
    "help": "Reads the tokens before with weights that decay with distance, instead of a softmax.",
    "options": {
        "decay": {
            "default": 0.97,
            "label": "Decay",
            "help": "What is left per token of distance.",
            "range": (0.5, 1.0),
        },
        "window": {"default": 64, "label": "Window", "help": "How many tokens back are read.", "range": (1, 100_000)},
    },
}


class Block(nn.Module):
    def __init__(self, config, decay: float, window: int) -> None:
        super().__init__()
        self.n_head, self.decay, self.window = config.n_head, decay, window
        inner = config.n_head * config.head_dim
        self.query, self.key, self.value, self.gate = (nn.Linear(config.d_model, inner, bias=False) for _ in range(4))
        self.output = nn.Linear(inner, config.d_model, bias=False)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """x (B, T, C), allowed (B or 1, 1, T, T) bool -> (B, T, C)."""
        parts = (self.query, self.key, self.value)
        q, k, v = (part(x).unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in parts)  # (B, H, T, D)
        at = torch.arange(x.size(1), device=x.device)
        distance = (at[:, None] - at).abs()
        weights = (q @ k.mT) * q.size(-1) ** -0.5 * self.decay**distance * (allowed & (distance < self.window))
        read = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        return self.output(read * torch.sigmoid(self.gate(x)))
