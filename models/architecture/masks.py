"""Which keys each query may see: causality, padding, packed documents and the sliding window, exactly as trained with.

Letters in shape comments: B batch, T tokens (queries), S tokens seen (keys: past and present).
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.settings.model_config import ModelConfig


def distances(length: int, past: int, device: torch.device) -> Tensor:
    """Key minus query (T, S) long, for `length` new tokens after `past` others."""
    query = torch.arange(past, past + length, device=device)[:, None]
    return torch.arange(past + length, device=device)[None, :] - query


def within_reach(config: ModelConfig, distance: Tensor) -> Tensor:
    """Which distances (key - query, any shape) the design lets a query look over: bool, of the same shape."""
    window = config.sliding_window or torch.iinfo(torch.long).max
    if config.is_causal:
        return (distance <= 0) & (distance > -window)
    return distance.abs() < window


def self_attention_mask(
    config: ModelConfig, distance: Tensor, mask: Tensor | None, segments: Tensor | None
) -> Tensor | None:
    """What self-attention may see, (B or 1, 1, T, S) bool; None where the design's plain rule says it all.

    The plain rule: everything before and itself in a decoder, everything in an encoder. A query sees itself in any
    case, so that the softmax of a row of padding stays finite.

    Args:
        distance: key - query (T, S).
        mask: (B, S) bool, True = a real token.
        segments: (B, S) long, of packed documents that do not see each other; only where T = S.
    """
    length, seen = distance.shape
    has_window = 0 < config.sliding_window < seen
    if mask is None and segments is None and not has_window and (length == seen or not config.is_causal):
        return None
    allowed = within_reach(config, distance)[None, None]  # (1, 1, T, S)
    if mask is not None:
        allowed = allowed & (mask[:, None, None, :] | (distance == 0))
    if segments is not None:
        allowed = allowed & (segments[:, None, :, None] == segments[:, None, None, :])
    return allowed


def cross_attention_mask(source_mask: Tensor | None) -> Tensor | None:
    """Which source tokens a decoder may see: (B, S) bool -> (B, 1, 1, S); a source without any is seen whole."""
    if source_mask is None:
        return None
    return (source_mask | ~source_mask.any(dim=1, keepdim=True))[:, None, None, :]
