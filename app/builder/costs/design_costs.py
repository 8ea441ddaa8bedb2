"""The costs of a design by component: parameters, FLOPs per token, training memory. No Qt, no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from terrarium.app.builder.hues import HUES
from terrarium.app.session.device_memory import DeviceMemory
from terrarium.models.design import (
    activation_bytes,
    active_parameters,
    flops_per_token,
    kv_cache_bytes,
    operations,
    parameters_by_component,
    training_flops_per_token,
    training_memory,
)
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.run_spec import TrainConfig

OPTIMIZER = TrainConfig().optimizer
"""The optimizer of memory estimates: the default of a new run."""
_RULE = OPTIMIZERS[OPTIMIZER]

_SHADES: dict[str, tuple[str, float]] = {  # a key of HUES, or a role of the theme; and the opacity
    "Token embedding": ("embedding", 1.0),
    "N-gram embeddings": ("embedding", 0.35),  # a decoder's; segments are an encoder's
    "Positions": ("position", 0.6),
    "Segments": ("embedding", 0.35),
    "Attention": ("attention", 1.0),
    "Encoder attention": ("attention", 0.5),
    "Decoder attention": ("attention", 1.0),
    "Cross-attention": ("value", 1.0),
    "Feed-forward": ("feed-forward", 1.0),
    "Encoder feed-forward": ("feed-forward", 0.5),
    "Decoder feed-forward": ("feed-forward", 1.0),
    "Experts": ("feed-forward", 1.0),
    "Encoder experts": ("feed-forward", 0.5),
    "Decoder experts": ("feed-forward", 1.0),
    "Router": ("router", 0.6),
    "Encoder router": ("router", 0.3),
    "Decoder router": ("router", 0.6),
    "Short convolution": ("conv", 1.0),
    "Norms": ("norm", 1.0),
    "Head": ("head", 1.0),
    "Pooler": ("head", 0.5),
    "Weights": ("muted", 1.0),
    "Gradients": ("muted", 0.65),
    "Optimizer": ("muted", 0.4),
    "Update": ("muted", 0.2),
}
_OTHER = "border_strong", 1.0
_MEANINGS = {
    "Weights": "the trained parameters, in float32",
    "Gradients": "one number per weight, for the gradients that exist when memory use peaks",
    "Optimizer": f"its state: {_RULE.state_size}",
    "Update": f"what {_RULE.title} needs to update the weights, beyond the memory freed by then; includes the other "
    "gradients",
    "Allocator": "unused gaps between tensors, on a CPU",
    "Activations": "what the forward pass keeps for the backward pass, at the peak",
}


@dataclass(frozen=True)
class Slice:
    """A part of a cost. hue: a role of the theme or the index of a category, with the opacity `strength`.

    A component has the same hue in every cost. is_sum: the sum of the slices below it, each of which `is_part`.
    meaning: an explanation, if the name needs one.
    """

    name: str
    value: int
    hue: int | str = "muted"
    strength: float = 1.0
    is_sum: bool = False
    is_part: bool = False
    meaning: str = ""


@dataclass(frozen=True, kw_only=True)
class DesignCosts:
    """The costs of a design: parameters (exact), FLOPs per token and bytes (estimated).

    memory: that of training on a batch. cache_bytes: the KV cache of one text while generating, 0 for an encoder.
    """

    parameters: tuple[Slice, ...]
    n_parameters: int
    n_active: int
    work: tuple[Slice, ...]
    flops: int
    training_flops: int
    memory: tuple[Slice, ...]
    memory_bytes: int
    cache_bytes: int


def costs_of(config: ModelConfig, batch: int, length: int, on: DeviceMemory | None) -> DesignCosts:
    """Compute the costs of training `config` on `batch` texts of `length` tokens, `on` a device (None: a CPU)."""
    device, precision = ("cpu", "float32") if on is None else (on.kind, on.precision(config.d_model))
    memory = training_memory(config, batch, length, OPTIMIZER, device=device, precision=precision)
    by_component = activation_bytes(config, batch, length, device=device, precision=precision)
    work = {name: n // length for name, n in operations(config, length).items()}
    parameters = parameters_by_component(config)
    # Components that are zero at the peak keep their row, so that rows do not appear and disappear.
    names = dict.fromkeys([*(name for name, n in parameters.items() if n), *by_component])
    in_memory = (
        *(_slice(name, n) for name, n in memory.items() if name != "Activations"),
        Slice("Activations", memory["Activations"], is_sum=True, meaning=_MEANINGS["Activations"]),
        *(dataclasses.replace(_slice(name, by_component.get(name, 0)), is_part=True) for name in names),
    )
    return DesignCosts(
        parameters=_slices(parameters),
        n_parameters=sum(parameters.values()),
        n_active=active_parameters(config),
        work=_slices(work),
        flops=flops_per_token(config, length),
        training_flops=training_flops_per_token(config, length),
        memory=in_memory,
        memory_bytes=sum(memory.values()),
        cache_bytes=kv_cache_bytes(config, length),
    )


def _slices(parts: Mapping[str, int]) -> tuple[Slice, ...]:
    return tuple(_slice(name, n) for name, n in parts.items() if n)


def _slice(name: str, n: int) -> Slice:
    shade, strength = _SHADES.get(name, _OTHER)
    return Slice(name, n, HUES.get(shade, shade), strength, meaning=_MEANINGS.get(name, ""))
