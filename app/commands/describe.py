"""`terrarium describe`: the parts and costs of a model, preset or design, without allocating it."""

from __future__ import annotations

from typing import Any

from terrarium.app.commands.common import find_model
from terrarium.app.commands.options import Command, argument, option
from terrarium.models.design import (
    activation_bytes,
    active_parameters,
    flops_per_token,
    kv_cache_bytes,
    operations,
    parameters_by_component,
    total_parameters,
    training_flops_per_token,
    training_memory,
)
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size
from terrarium.models.settings.design_files import read_design
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig

OPTIMIZER = TrainConfig().optimizer


class Describe(Command, description=__doc__):
    """Parameters, memory and FLOPs of a model or a preset."""

    model: str = argument(
        "MODEL-or-PRESET",
        f"a path (also of a design's JSON file), the id or name of a run or design, or {', '.join(PRESETS)}",
        complete="design",
    )
    batch: int = option("batch size", "--batch", "--batch-size", default=24, metavar="B")
    length: int | None = option("tokens per text; default: the whole context", metavar="T")
    optimizer: str = option("what it is trained with", default=OPTIMIZER, choices=tuple(OPTIMIZERS))

    def run(self) -> None:
        """Print the table, or one JSON object."""
        config = find_config(self.model)
        length = config.context_length if self.length is None else self.length
        device = "cuda" if self.device == "cuda" else "cpu"
        facts = describe(config, self.batch, length, self.optimizer, device)
        self.show({"model": self.model, **facts}, _table(self.model, facts))


def describe(
    config: ModelConfig, batch_size: int, length: int, optimizer: str = OPTIMIZER, device: str = "cpu"
) -> dict[str, Any]:
    """Return all results of `models.design` for a config, ready for JSON.

    Raises:
        ValueError: if the batch or the length is impossible.
    """
    if batch_size < 1 or not 1 <= length <= config.context_length:
        raise ValueError(
            f"A batch of {batch_size} × {length} tokens is impossible: use lengths from 1 to "
            f"{config.context_length}, and at least one text."
        )
    memory = training_memory(config, batch_size, length, optimizer, device=device)
    activations = activation_bytes(config, batch_size, length, device=device)
    return {
        "config": config.to_dict(),
        "parameters": {"total": total_parameters(config), **parameters_by_component(config)},
        "active_parameters": active_parameters(config),
        "estimated": {
            "batch_size": batch_size,
            "length": length,
            "optimizer": optimizer,
            "device": device,
            "training_memory_bytes": {"total": sum(memory.values()), **memory},
            "activation_bytes": activations,
            "kv_cache_bytes": kv_cache_bytes(config, length),
            "kv_cache_kept_bytes": kv_cache_bytes(config, length, windowed=False),
            "forward_flops": operations(config, length),
            "forward_flops_per_token": flops_per_token(config, length),
            "training_flops_per_token": training_flops_per_token(config, length),
        },
    }


def find_config(text: str) -> ModelConfig:
    """Return the config of a preset, a model (without loading its weights) or a design.

    Raises:
        ValueError: if there is no such preset, model or design.
    """
    if text in PRESETS:
        return PRESETS[text]
    from terrarium.models.interop.loading import load_config
    from terrarium.models.runs.run_folder import RunFolder

    try:
        path = find_model(text)
    except ValueError as error:
        library = Library()
        if text in library.list_designs():
            return library.load_design(text)
        raise ValueError(f"{error} The presets are {', '.join(PRESETS)}.") from error
    if path.is_file() and path.suffix.lower() == ".json":
        return read_design(path)
    if (path / "run.json").is_file():
        return RunFolder.open(path).spec.model
    return load_config(path)


def _table(name: str, facts: dict[str, Any]) -> str:
    config, estimated = facts["config"], facts["estimated"]
    total, active = facts["parameters"]["total"], facts["active_parameters"]
    is_pair = config["topology"] == "encoder-decoder"
    layers = f"{config['n_layer']} layers"
    if is_pair:
        layers = f"{config['n_encoder_layer'] or config['n_layer']} + {layers}"
    lines = [
        f"{name}: {config['topology']}, {layers}, {config['n_head']} heads, {config['d_model']} wide, "
        f"vocabulary {config['vocab_size']:,}, context {config['context_length']:,}",
        "",
        f"{'parameters':<22}{total:>22,}",
    ]
    lines += [
        f"  {part:<20}{n:>22,}{n / total:>8.1%}" for part, n in facts["parameters"].items() if n and part != "total"
    ]
    if active != total:
        lines.append(f"{'active for one token':<22}{active:>22,}{active / total:>8.1%}")
    memory = estimated["training_memory_bytes"]
    batch = f"batch {estimated['batch_size']} × {estimated['length']:,} tokens{' of source and of target' * is_pair}"
    batch += f", float32, {estimated['optimizer']}, {estimated['device'].upper()}"
    lines += ["", f"{'memory to train':<22}{format_size(memory['total']):>22}   estimated, {batch}"]
    for part, n in memory.items():
        if n and part != "total":
            lines.append(f"  {part:<20}{format_size(n):>22}")
        if part == "Activations":
            lines += [
                f"    {inner:<18}{format_size(size):>22}" for inner, size in estimated["activation_bytes"].items()
            ]
    lines.append("")
    if estimated["kv_cache_bytes"]:
        cache = f"{'KV cache':<22}{format_size(estimated['kv_cache_bytes']):>22}   one text of that length, float32"
        if estimated["kv_cache_kept_bytes"] != estimated["kv_cache_bytes"]:
            cache += f"; {format_size(estimated['kv_cache_kept_bytes'])} with the tokens outside the window, kept here"
        lines.append(cache)
    per = "pair of a source and a target token" if is_pair else "token"
    lines += [
        f"{'forward':<22}{estimated['forward_flops_per_token']:>22,}   FLOP per {per}, estimated",
        f"{'training':<22}{estimated['training_flops_per_token']:>22,}   FLOP per {per}, estimated",
    ]
    return "\n".join(lines)
