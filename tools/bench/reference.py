"""The reference of the training benchmark: a small plain GPT-2 with a standard training recipe.

It is self-contained and shares no code with our own models, so that changes to those cannot affect it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_LAYER, N_HEAD, D_MODEL = 4, 4, 128
STEPS, BATCH_SIZE, WARMUP_STEPS = 2000, 12, 100
LR, MIN_LR, WEIGHT_DECAY, CLIP, INIT_STD = 1e-3, 1e-4, 0.1, 1.0, 0.02


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(D_MODEL), nn.LayerNorm(D_MODEL)
        self.query_key_value = nn.Linear(D_MODEL, 3 * D_MODEL)
        self.output = nn.Linear(D_MODEL, D_MODEL)
        self.up, self.down = nn.Linear(D_MODEL, 4 * D_MODEL), nn.Linear(4 * D_MODEL, D_MODEL)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, N_HEAD, width // N_HEAD).transpose(1, 2)  # (B, H, T, D)
            for part in self.query_key_value(self.norm_1(x)).split(width, dim=2)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(attended.transpose(1, 2).reshape(batch, length, width))
        added: Tensor = self.down(F.gelu(self.up(self.norm_2(x))))
        return x + added


class ReferenceGPT(nn.Module):
    """GPT-2 with learned positions, biases and tied embeddings: ids (B, T) -> logits (B, T, V)."""

    def __init__(self, vocab_size: int, context_length: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, D_MODEL), nn.Embedding(context_length, D_MODEL)
        self.blocks = nn.Sequential(*(_Block() for _ in range(N_LAYER)))
        self.final_norm = nn.LayerNorm(D_MODEL)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                is_residual = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(parameter, std=INIT_STD / (2 * N_LAYER) ** 0.5 if is_residual else INIT_STD)
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions.weight[: ids.size(1)]
        return F.linear(self.final_norm(self.blocks(x)), self.tokens.weight)


def make_adamw(model: nn.Module) -> torch.optim.AdamW:
    """Fused AdamW, with weight decay on the matrices only."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() != 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.99), fused=True)
    for group in optimizer.param_groups:
        group["initial_lr"] = LR
    return optimizer


def lr_factor(step: int, steps: int = STEPS) -> float:
    """Multiplier of LR at `step`: linear warm-up, then cosine decay to MIN_LR."""
    warmup = min(WARMUP_STEPS, steps // 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    return (MIN_LR + (LR - MIN_LR) * (1 + math.cos(math.pi * progress)) / 2) / LR
