"""Attention whose heads learn how sharply they attend: a temperature for each, instead of one fixed scale."""

import torch
from torch import Tensor, nn

BLOCK = {
    "name": "learned_temperature",
    "slot": "attention",
    "title": "Learned temperature",
    "help": "Softmax attention with a learned scale of the scores for each head.",
    "options": {
        "start": {
            "default": 1.0,
            "label": "Start",
            "help": "The first scale, as a multiple of the usual.",
            "range": (0.1, 10.0),
        },
    },
}


class Block(nn.Module):
    def __init__(self, config, start: float) -> None:
        super().__init__()
        self.n_head = config.n_head
        inner = config.n_head * config.head_dim
        self.query, self.key, self.value = (nn.Linear(config.d_model, inner, bias=False) for _ in range(3))
        self.output = nn.Linear(inner, config.d_model, bias=False)
        self.scale = nn.Parameter(torch.full((config.n_head, 1, 1), start * config.head_dim**-0.5))

    def forward(self, x: Tensor, allowed: Tensor, positions) -> tuple[Tensor, Tensor]:
        """x (B, T, C), allowed (B or 1, 1, T, T) bool -> (B, T, C), and the weights (B, H, T, T) for the glass box."""
        parts = (self.query, self.key, self.value)
        q, k, v = (part(x).unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in parts)  # (B, H, T, D)
        q, k = positions.rotate(q), positions.rotate(k)  # as the design's position scheme has it
        scores = positions.add_bias(self.scale * (q @ k.mT)).masked_fill(~allowed, -torch.inf)
        weights = scores.softmax(dim=-1)
        return self.output((weights @ v).transpose(1, 2).flatten(2)), weights
