"""The memory that a device has, and whether a training fits into it, in words. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass

from models.number_words import percent, size_words

MARGIN = 1.25
"""Estimates of a training's memory are right to within a quarter: what shall surely fit must leave that much."""


@dataclass(frozen=True, kw_only=True)
class DeviceMemory:
    """A device and its memory in bytes, None where nobody says.

    is_free: `n_bytes` is what is free now, else all that there is. bfloat16_from: the width (d_model) from which on a
    training with precision "auto" computes in bfloat16 here; None where it never does.
    """

    kind: str
    label: str
    n_bytes: int | None
    is_free: bool = False
    bfloat16_from: int | None = None

    def precision(self, d_model: int) -> str:
        """What a model of this width is trained in."""
        return "float32" if self.bfloat16_from is None or d_model < self.bfloat16_from else "bfloat16"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Whether a training fits. level: fits, tight, no, unknown; `tone` is the style sheet's word for its colour."""

    level: str
    headline: str
    tone: str
    sentence: str


def fit_of(needed: int, device_memory: DeviceMemory | None) -> Fit:
    """Whether `needed` bytes (estimated) fit into a device's memory, None being a device that nobody knows yet."""
    if device_memory is None:
        return Fit(level="unknown", headline="…", tone="", sentence="Torch is loading: then this shows what fits.")
    if not device_memory.n_bytes:
        sentence = f"{device_memory.label} does not say how much memory it has. A dry run shows whether it suffices."
        return Fit(level="unknown", headline="…", tone="", sentence=sentence)
    label = device_memory.label.replace(" ", "\u00a0")  # a name stays on one line
    where = f"what is free on {label}" if device_memory.is_free else f"the memory of {label}"
    share = needed / device_memory.n_bytes
    if share * MARGIN <= 1:
        return Fit(level="fits", headline="Fits", tone="ok", sentence=f"Takes {_percent(share)} of {where}.")
    if share <= 1:
        sentence = f"Takes {_percent(share)} of {where}: so close that it may run out."
        return Fit(level="tight", headline="Tight", tone="warning", sentence=sentence)
    sentence = f"Takes {_times(share)} times {where}."
    return Fit(level="no", headline="Does not fit", tone="danger", sentence=sentence)


def budget(device_memory: DeviceMemory) -> int | None:
    """What a training may take by its estimate so that it surely fits; None where nobody knows."""
    return None if device_memory.n_bytes is None else int(device_memory.n_bytes / MARGIN)


def of_memory(needed: int, device_memory: DeviceMemory | None) -> str:
    """“1.20 of 15.5 GiB”, with the units where they differ."""
    if device_memory is None or not device_memory.n_bytes:
        return size_words(needed)
    amount, unit = size_words(needed).split(" ")
    have, have_unit = size_words(device_memory.n_bytes).split(" ")
    return f"{amount} of {have} {unit}" if unit == have_unit else f"{amount} {unit} of {have} {have_unit}"


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else percent(share)


def _times(share: float) -> str:
    return f"{share:.2f}" if share < 1.995 else f"{share:.1f}" if share < 9.95 else f"{share:,.0f}"
