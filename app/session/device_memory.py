"""A device's memory, and whether a training run fits into it. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.number_words import format_percent, format_size

MARGIN = 1.25
"""The headroom a run needs to fit for certain, as memory estimates are accurate to within a quarter."""


@dataclass(frozen=True, kw_only=True)
class DeviceMemory:
    """A device and its memory in bytes, None if unknown.

    is_free: whether `n_bytes` is the free memory; otherwise it is the total. bfloat16_from: the smallest width
    (d_model) at which precision "auto" selects bfloat16 on this device; None if it never does.
    """

    kind: str
    label: str
    n_bytes: int | None
    is_free: bool = False
    bfloat16_from: int | None = None

    def precision(self, d_model: int) -> str:
        """Return the precision that "auto" selects for a model of this width."""
        return "float32" if self.bfloat16_from is None or d_model < self.bfloat16_from else "bfloat16"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Whether a run fits into memory. level: fits, tight, no, unknown. tone: its colour in the style sheet."""

    level: str
    headline: str
    tone: str
    sentence: str


def check_fit(needed: int, device_memory: DeviceMemory | None) -> Fit:
    """Check whether `needed` bytes (an estimate) fit into a device's memory, which is None until torch is loaded."""
    if device_memory is None:
        return Fit(level="unknown", headline="…", tone="", sentence="Torch is loading: this will show what fits.")
    if not device_memory.n_bytes:
        sentence = f"{device_memory.label} does not report its memory. A dry run shows whether it is enough."
        return Fit(level="unknown", headline="…", tone="", sentence=sentence)
    label = device_memory.label.replace(" ", "\u00a0")  # a name stays on one line
    where = f"what is free on {label}" if device_memory.is_free else f"the memory of {label}"
    share = needed / device_memory.n_bytes
    if share * MARGIN <= 1:
        return Fit(level="fits", headline="Fits", tone="ok", sentence=f"Takes {_percent(share)} of {where}.")
    if share <= 1:
        sentence = f"Takes {_percent(share)} of {where}: so close that it may run out of memory."
        return Fit(level="tight", headline="Tight", tone="warning", sentence=sentence)
    sentence = f"Takes {_times(share)} times {where}."
    return Fit(level="no", headline="Does not fit", tone="danger", sentence=sentence)


def budget(device_memory: DeviceMemory) -> int | None:
    """Return the largest estimate in bytes that fits for certain; None if the device's memory is unknown."""
    return None if device_memory.n_bytes is None else int(device_memory.n_bytes / MARGIN)


def format_memory_use(needed: int, device_memory: DeviceMemory | None) -> str:
    """Format memory use as “1.20 of 15.5 GiB”, with both units if they differ."""
    if device_memory is None or not device_memory.n_bytes:
        return format_size(needed)
    amount, unit = format_size(needed).split(" ")
    have, have_unit = format_size(device_memory.n_bytes).split(" ")
    return f"{amount} of {have} {unit}" if unit == have_unit else f"{amount} {unit} of {have} {have_unit}"


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else format_percent(share)


def _times(share: float) -> str:
    return f"{share:.2f}" if share < 1.995 else f"{share:.1f}" if share < 9.95 else f"{share:,.0f}"
