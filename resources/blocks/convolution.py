"""A gated convolution in the place of attention: each token mixes the few before it (Hyena's and LFM2's short one)."""

import torch
from torch import Tensor, nn

BLOCK = {
    "name": "gated_convolution",
    "slot": "attention",
    "title": "Gated convolution",
    "help": "A learned filter over the last tokens, between two gates. No token reads further back than its width.",
    "options": {
        "width": {"default": 8, "label": "Width", "help": "Tokens of the filter, this one included.", "range": (1, 64)},
    },
}


class Block(nn.Module):
    def __init__(self, config, width: int) -> None:
        super().__init__()
        self.before, self.value, self.after = (nn.Linear(config.d_model, config.d_model, bias=False) for _ in range(3))
        self.filter = nn.Parameter(torch.randn(width, config.d_model) * width**-0.5)
        self.output = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """x (B, T, C), allowed (B or 1, 1, T, T) bool -> (B, T, C)."""
        h = torch.sigmoid(self.before(x)) * self.value(x)
        mixed = self.filter[0] * h
        for back in range(1, min(len(self.filter), x.size(1))):
            may = allowed[:, 0].diagonal(-back, 1, 2)[..., None]  # (B or 1, T - back, 1): whether t may read t - back
            shifted = nn.functional.pad(h[:, :-back] * may, (0, 0, back, 0))
            mixed = mixed + self.filter[back] * shifted
        return self.output(torch.sigmoid(self.after(x)) * mixed)
