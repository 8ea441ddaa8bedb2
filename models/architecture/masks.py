"""Attention masks: causality, padding, packed documents and the sliding window, in training and inference.

Letters in shape comments: B batch, T tokens (queries), S keys (past and present).
"""

from __future__ import annotations

import torch
from torch import Tensor

from terrarium.models.settings.model_config import ModelConfig


def distances(length: int, past: int, device: torch.device) -> Tensor:
    """Compute key index minus query index, (T, S) long, for `length` new tokens after `past` cached ones."""
    query = torch.arange(past, past + length, device=device)[:, None]
    return torch.arange(past + length, device=device)[None, :] - query


def within_reach(config: ModelConfig, distance: Tensor) -> Tensor:
    """Return whether the design allows each distance (key - query, any shape): bool, of the same shape."""
    window = config.sliding_window or torch.iinfo(torch.long).max
    if config.is_causal:
        return (distance <= 0) & (distance > -window)
    return distance.abs() < window


def self_attention_mask(
    config: ModelConfig, distance: Tensor, mask: Tensor | None, segments: Tensor | None
) -> Tensor | None:
    """Return the mask of self-attention, (B or 1, 1, T, S) bool, or None if the default suffices.

    The default is causal attention in a decoder, and full attention in an encoder. A query always attends to itself, so
    that the softmax of a padding token stays finite.

    Args:
        distance: key - query (T, S).
        mask: (B, S) bool, True = a real token.
        segments: (B, S) long, of packed documents that do not attend to each other; only if T = S.
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
    """Return the mask of cross-attention: (B, S) bool -> (B, 1, 1, S). If a source is all padding, all of it is
    attended to, so that the softmax stays finite."""
    if source_mask is None:
        return None
    return (source_mask | ~source_mask.any(dim=1, keepdim=True))[:, None, None, :]
