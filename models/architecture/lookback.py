"""The look-back layer: a fixed first layer whose heads attend a few tokens back, a short convolution as attention.

Letters in shape comments: V vocab_size, C d_model, H n_head, D head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from terrarium.models.architecture.block import Block
from terrarium.models.architecture.positions import inverse_frequencies
from terrarium.models.architecture.stack import Stack
from terrarium.models.settings.model_config import ModelConfig


def is_fixed(name: str, config: ModelConfig) -> bool:
    """Return whether a parameter is never trained, because it belongs to the look-back layer."""
    return config.looks_back and name.startswith("blocks.0.")


@torch.no_grad()
def look_back(stack: Stack, embedding: Tensor) -> None:
    """Turn the first layer into a short convolution: head h attends to the token 1 + h mod `lookback` back, and copies.

    Binding a name to its attributes requires access to neighbouring tokens. Without a short convolution, attention has
    to learn this first ("previous-token heads", Elhage et al., "A Mathematical Framework for Transformer Circuits",
    2021), which small models hardly do. Here these heads exist from the start and are fixed, so the other layers can
    rely on them: if the layer is trained, or if its feed-forward adds to the copies, binding is not learned in the same
    time (measured on Tiny World). So the whole layer is fixed, and its feed-forward outputs zeros.

    Each head copies D channels of the embeddings, with random factors that distinguish the distances. Its queries and
    keys are computed from one channel, which is the same in all embeddings, so with RoPE their product depends on the
    distance alone.

    Args:
        stack: the stack of a decoder with RoPE and QK-norm, already initialised.
        embedding: its embedding table (V, C).
    """
    config, first = stack.config, stack.blocks[0]
    assert isinstance(first, Block)
    attention, width = first.attention, config.head_dim
    embedding[:, -1] = CONSTANT
    for name, norm in stack.named_modules():
        if isinstance(norm, nn.RMSNorm) and not name.endswith((".query_norm", ".key_norm", ".norm")):
            norm.weight[-1] = 1.0 if name == "blocks.0.attention_norm" else DAMPING
    for linear in (attention.query, attention.key, attention.value, attention.output):
        linear.weight.zero_()
    frequencies = inverse_frequencies(config).to(embedding.device)  # (D/2)
    pairs = (frequencies > FASTEST).float()
    copied = torch.empty(config.lookback, config.d_model, device=embedding.device)
    nn.init.uniform_(copied, -STRENGTH, STRENGTH)
    copied[:, -1] = 0.0
    for head in range(config.n_head):
        back, part = head % config.lookback, head // config.lookback
        rows = slice(head * width, (head + 1) * width)
        angles = -(back + 1) * frequencies
        attention.query.weight[rows, -1] = torch.cat((pairs * angles.cos(), pairs * angles.sin()))
        attention.key.weight[rows, -1] = torch.cat((pairs, torch.zeros_like(pairs)))
        channels = slice(part * width, (part + 1) * width)
        n = len(range(config.d_model)[channels])
        attention.value.weight[rows, channels][:n] = torch.eye(n, device=embedding.device)
        attention.output.weight[channels, rows][:, :n] = torch.diag(copied[back, channels])
    for norm in (attention.query_norm, attention.key_norm):
        assert isinstance(norm, nn.RMSNorm)
        norm.weight.fill_(sharp_gain(width))
    first.get_parameter("feed_forward.down.weight").zero_()
    first.requires_grad_(False)


CONSTANT = 1.0
"""The value of the last channel of every embedding: large compared with the others, so that it stays the same."""
DAMPING = 0.1
"""The weight of that channel in the norms of all other sublayers."""
_SHARPNESS = 40.0
"""The score of the token that a head attends to; its neighbours get one eighth of its weight or less."""
FASTEST = 0.05
"""Radians per token above which a pair rotates fast enough to distinguish neighbouring positions."""
STRENGTH = 0.0675
"""The largest factor of a copied channel: the usual weight of a convolution, scaled as embeddings are about 0.15."""


def sharp_gain(head_dim: int) -> float:
    """Compute the weight of the query and key norms for a highest score of _SHARPNESS: normalised queries and keys have
    the length sqrt(head_dim), by which scores are divided."""
    return float((_SHARPNESS / head_dim**0.5) ** 0.5)
