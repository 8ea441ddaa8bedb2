"""`terrarium describe`: what a model or a preset is made of, and what it costs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from app.commands.common import add_common, print_json
from models import cost
from models.config import PRESETS, ModelConfig
from models.library import Library

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "describe", help="parameters, memory and operations of a model or a preset", description=__doc__
    )
    parser.add_argument("model", metavar="MODEL-or-PRESET", help=f"a path, a run's id or name, or {', '.join(PRESETS)}")
    parser.add_argument(
        "--batch-size", type=int, default=24, metavar="B", help="for the memory in training; default: 24"
    )
    parser.add_argument("--length", type=int, metavar="T", help="tokens per text; default: the whole context")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table, or one JSON object."""
    config = PRESETS[args.model] if args.model in PRESETS else _config_of(args.model)
    facts = describe(config, args.batch_size, config.context_length if args.length is None else args.length)
    if args.json:
        print_json({"model": args.model, **facts})
    else:
        print(_table(args.model, facts))
    return 0


def describe(config: ModelConfig, batch_size: int, length: int) -> dict[str, Any]:
    """Everything that `models.cost` says of a config, ready for JSON.

    Raises:
        ValueError: where the batch or the length is impossible.
    """
    if batch_size < 1 or not 1 <= length <= config.context_length:
        raise ValueError(
            f"Texts of {length} tokens, {batch_size} at a time, do not fit: use lengths from 1 to "
            f"{config.context_length}, and at least one text."
        )
    memory = cost.memory(config, batch_size, length)
    return {
        "config": config.to_dict(),
        "parameters": {"total": cost.total_parameters(config), **cost.parameters(config)},
        "estimated": {
            "batch_size": batch_size,
            "length": length,
            "training_memory_bytes": {"total": sum(memory.values()), **memory},
            "kv_cache_bytes": cost.kv_cache_bytes(config, length),
            "forward_flops_per_token": cost.flops_per_token(config, length),
            "training_flops_per_token": cost.training_flops_per_token(config, length),
        },
    }


def _config_of(text: str) -> ModelConfig:
    """The config of a run or checkpoint, read without its weights."""
    from models.training.checkpoint import read_model_config
    from models.training.run_folder import RunFolder

    path = Path(text).expanduser()
    if (path / "state.json").is_file():
        return read_model_config(path)
    try:
        run = Library().find_run(text)
    except ValueError as error:
        raise ValueError(f"{error} The presets are {', '.join(PRESETS)}.") from error
    return RunFolder.open(run).spec.model


def _table(name: str, facts: dict[str, Any]) -> str:
    config, estimated = facts["config"], facts["estimated"]
    total = facts["parameters"]["total"]
    lines = [
        f"{name}: {config['n_layer']} layers, {config['n_head']} heads, {config['d_model']} wide, "
        f"vocabulary {config['vocab_size']:,}, context {config['context_length']:,}",
        "",
        f"{'parameters':<20}{total:>16,}",
    ]
    lines += [
        f"  {part:<18}{n:>16,}{n / total:>8.1%}" for part, n in facts["parameters"].items() if n and part != "total"
    ]
    memory = estimated["training_memory_bytes"]
    batch = f"batch {estimated['batch_size']} × {estimated['length']:,} tokens, float32"
    lines += ["", f"{'memory to train':<20}{_size(memory['total']):>16}   estimated, {batch}"]
    lines += [f"  {part:<18}{_size(n):>16}" for part, n in memory.items() if part != "total"]
    lines += [
        "",
        f"{'KV cache':<20}{_size(estimated['kv_cache_bytes']):>16}   one text of that length, float32",
        f"{'forward':<20}{estimated['forward_flops_per_token']:>16,}   FLOP/token, estimated",
        f"{'training':<20}{estimated['training_flops_per_token']:>16,}   FLOP/token, estimated",
    ]
    return "\n".join(lines)


def _size(n: float) -> str:
    for unit in _UNITS[:-1]:
        if n < 1024:
            return f"{n:,.1f} {unit}" if unit != "B" else f"{n:,.0f} B"
        n /= 1024
    return f"{n:,.1f} {_UNITS[-1]}"
