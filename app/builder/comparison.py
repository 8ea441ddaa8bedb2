"""The comparison of designs as a table of strings: costs, and the slots that differ. No Qt, no torch."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from terrarium.app.builder.costs.design_costs import costs_of
from terrarium.app.kit.setting_names.slot_words import UNUSED, differs, format_slot, label_of, value_in_use
from terrarium.app.session.device_memory import DeviceMemory
from terrarium.models.design import active_parameters, flops_per_token, kv_cache_bytes, total_parameters
from terrarium.models.design.custom import if_known
from terrarium.models.number_words import format_compact, format_size
from terrarium.models.settings.model_config import ModelConfig

COSTS = "Costs"


@dataclass(frozen=True)
class ComparedDesign:
    """A column: a design and its title."""

    title: str
    config: ModelConfig


@dataclass(frozen=True)
class ComparedRow:
    """A row: its group and label, and per design the value as text, the exact value (for other programs), and
    whether it differs from the first design's. slot: the slot's name, '' for a cost."""

    group: str
    label: str
    cells: tuple[str, ...]
    exact: tuple[str, ...]
    differs: tuple[bool, ...]
    tip: str
    slot: str = ""


def compare(designs: Sequence[ComparedDesign], batch: int, length: int, on: DeviceMemory | None) -> list[ComparedRow]:
    """Compare designs: their costs when trained `on` a device (None: a CPU) with `batch` texts of `length` tokens, and
    every slot in which they differ."""
    return [*_costs(designs, batch, length, on), *_slots(designs)]


def _slots(designs: Sequence[ComparedDesign]) -> list[ComparedRow]:
    configs = [design.config for design in designs]
    return [_slot(configs, f) for f in dataclasses.fields(ModelConfig) if differs(configs, f)]


def _slot(configs: Sequence[ModelConfig], f: dataclasses.Field[Any]) -> ComparedRow:
    values = [value_in_use(config, f) for config in configs]
    return ComparedRow(
        group=f.metadata["group"],
        label=label_of(f),
        cells=tuple(format_slot(config, f) for config in configs),
        exact=tuple("" if value is None else str(value) for value in values),
        differs=tuple(value != values[0] for value in values),
        tip=f.metadata["help"],
        slot=f.name,
    )


def _costs(designs: Sequence[ComparedDesign], batch: int, length: int, on: DeviceMemory | None) -> list[ComparedRow]:
    pairs = [(design.config, min(length, design.config.context_length)) for design in designs]

    def known(of: Callable[[ModelConfig, int], int | None]) -> list[int | None]:
        return [if_known(partial(of, *pair)) for pair in pairs]

    at = f"{batch} × {length:,} tokens (or the context, where that is shorter)"
    return [
        _cost(
            "Parameters",
            known(lambda config, n: total_parameters(config)),
            _format_count,
            "Trained parameters, exactly as in the built model",
        ),
        _cost(
            "Active parameters",
            known(lambda config, n: active_parameters(config)),
            _format_count,
            "Parameters used per token: fewer than all in a mixture of experts",
        ),
        _cost(
            "Work per token",
            known(flops_per_token),
            lambda n: f"{format_compact(n)}FLOP",
            f"Estimated FLOPs of the forward pass for one token of {length:,}",
        ),
        _cost(
            "Memory to train",
            known(lambda config, n: costs_of(config, batch, n, on).memory_bytes),
            format_size,
            f"Estimated, on {at}",
        ),
        _cost(
            "KV cache",
            known(lambda config, n: kv_cache_bytes(config, n) if config.is_causal else None),
            format_size,
            f"Keys and values while one text of {length:,} tokens is generated",
        ),
    ]


def _cost(label: str, numbers: Sequence[int | None], format_value: Callable[[int], str], tip: str) -> ComparedRow:
    return ComparedRow(
        group=COSTS,
        label=label,
        cells=tuple(UNUSED if n is None else format_value(n) for n in numbers),
        exact=tuple("" if n is None else str(n) for n in numbers),
        differs=tuple(n != numbers[0] for n in numbers),
        tip=tip,
    )


def _format_count(n: int) -> str:
    return format_compact(n, billion="B")


def as_markdown(designs: Sequence[ComparedDesign], rows: Sequence[ComparedRow]) -> str:
    """Format the comparison as a Markdown table."""
    titles = [design.title for design in designs]
    lines = [["", *titles], ["---", *["---:"] * len(titles)], *([row.label, *row.cells] for row in rows)]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def as_csv(designs: Sequence[ComparedDesign], rows: Sequence[ComparedRow]) -> str:
    """Format the comparison as CSV with exact numbers, and the group and slot name of each row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["group", "setting", "name", *(design.title for design in designs)])
    for row in rows:
        writer.writerow([row.group, row.slot, row.label, *row.exact])
    return out.getvalue()
