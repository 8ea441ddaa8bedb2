"""Helpers for comparing with transformers: saving its models, masks, and the tolerance of logits."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Yielded = TypeVar("Yielded")
Result = TypeVar("Result")

TOLERANCE = 1e-4
"""Maximum difference relative to the largest value, in float32."""


def save_theirs(model: Any, folder: Path, *, sharded: bool = False) -> Path:
    """Save a transformers model into `folder`, in several files where `sharded`."""
    model.eval().save_pretrained(folder, max_shard_size="20KB" if sharded else "5GB")
    assert (folder / "model.safetensors.index.json").exists() == sharded
    return folder


def shake(model: Any, seed: int) -> Any:
    """Give every parameter of a transformers model numbers large enough that each of them matters; returns it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.3 if parameter.dim() == 1 else 1.5 / parameter.shape[-1] ** 0.5
            noise = torch.randn(parameter.shape, generator=generator) * spread
            parameter.copy_(noise + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0))
    return model


def padding_masks(batch: int, length: int) -> dict[str, Tensor]:
    """Masks (B, T) bool by name: none missing, padding on the right, on the left; each row padded differently."""
    missing = torch.arange(batch)[:, None] * max(1, length // (2 * batch))  # (B, 1): the first row is whole
    column = torch.arange(length)[None]
    return {
        "whole": torch.ones(batch, length, dtype=torch.bool),
        "right": column < length - missing,
        "left": column >= missing,
    }


def assert_close(ours: Tensor, theirs: Tensor, real: Tensor | None = None, *, tolerance: float = TOLERANCE) -> None:
    """Both (B, T, …): equal, to a share of the largest value, at the positions that are real (B, T).

    A single number may be near 0, as the difference of large ones: it is taken for 0.1 then.
    """
    assert ours.shape == theirs.shape
    if real is not None:
        ours, theirs = ours[real], theirs[real]
    assert torch.isfinite(ours).all()
    error = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=0.1))
    assert error < tolerance, f"relative error {error:.1e}"


def change_config(folder: Path, **options: Any) -> None:
    """Overwrite options of the folder's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **options}))


def rename_tensors(folder: Path, change: Callable[[str], Sequence[str]]) -> None:
    """Rewrite the folder's weights under the names that `change` gives each of them: several, or none."""
    file = folder / "model.safetensors"
    renamed = {new: tensor.clone() for name, tensor in load_file(file).items() for new in change(name)}
    save_file(renamed, file, {"format": "pt"})


def drive(events: Generator[Yielded, None, Result]) -> tuple[list[Yielded], Result]:
    """What a generator yields, and what it returns."""
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return seen, end.value
