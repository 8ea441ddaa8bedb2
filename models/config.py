"""The one description of an architecture: a filling of design slots, without a tensor in sight.

Importing this file costs no torch import, so forms, diagrams and the command line can use it freely.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar


def slot(default: Any, label: str, help: str, *, group: str, **hints: Any) -> Any:
    """A dataclass field with what a form needs: label, help in plain words, group, and `choices` or `range`."""
    return field(default=default, metadata={"label": label, "help": help, "group": group, **hints})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Every slot of a model's architecture. Derived values are properties; illegal fillings raise ValueError."""

    topology: str = slot(
        "decoder-only",
        "Topology",
        "Which way information may flow. A decoder reads left to right and writes the next token.",
        group="Shape",
        choices=("decoder-only",),
    )
    vocab_size: int = slot(
        1024,
        "Vocabulary",
        "How many different tokens the model knows. Set by the tokenizer.",
        group="Shape",
        range=(2, 1_000_000),
    )
    context_length: int = slot(
        256, "Context length", "How many tokens the model can look at together.", group="Shape", range=(2, 1_048_576)
    )
    n_layer: int = slot(
        4,
        "Layers",
        "How many blocks are stacked: each refines what the one below it found.",
        group="Shape",
        range=(1, 512),
    )
    d_model: int = slot(
        128,
        "Width",
        "How many numbers describe one token inside the model (d_model).",
        group="Shape",
        range=(2, 65_536),
    )
    position: str = slot(
        "learned",
        "Positions",
        "How the model knows the order of tokens: a learned table, or rotation (RoPE).",
        group="Positions",
        choices=("learned", "rope"),
    )
    rope_theta: float = slot(
        10_000.0,
        "RoPE base",
        "How slowly the slowest rotation turns. Larger suits longer contexts.",
        group="Positions",
        range=(1.0, 1e9),
        only_if=("position", "rope"),
    )
    norm: str = slot(
        "layernorm",
        "Normalisation",
        "Keeps numbers in range. RMSNorm is LayerNorm without the mean and the bias.",
        group="Normalisation",
        choices=("layernorm", "rmsnorm"),
    )
    norm_eps: float = slot(
        1e-5,
        "Norm epsilon",
        "A small number that keeps the division by the spread finite.",
        group="Normalisation",
        range=(0.0, 1.0),
    )
    n_head: int = slot(
        4, "Heads", "How many attention patterns each layer can use side by side.", group="Attention", range=(1, 1024)
    )
    n_kv_head: int = slot(
        0,
        "Key/value heads",
        "0 = as many as heads. Fewer (grouped-query attention) save memory while generating.",
        group="Attention",
        range=(0, 1024),
    )
    qk_norm: bool = slot(
        False,
        "QK-norm",
        "Normalises queries and keys, which keeps attention steady at high learning rates.",
        group="Attention",
    )
    activation: str = slot(
        "gelu",
        "Feed-forward",
        "The non-linearity between the feed-forward matrices: two of them, or three for SwiGLU.",
        group="Feed-forward",
        choices=("gelu", "gelu_tanh", "relu", "relu2", "swiglu"),
    )
    d_ff: int = slot(
        0,
        "Feed-forward width",
        "0 = 4 × width (SwiGLU: 8/3 × width, rounded up to 8).",
        group="Feed-forward",
        range=(0, 1_048_576),
    )
    conv_width: int = slot(
        0,
        "Short convolution",
        "Mixes each token with the few before it, ahead of attention and feed-forward "
        "(Canon layers). 0 = none; 4 helps small models a lot.",
        group="Feed-forward",
        range=(0, 16),
    )
    bias: bool = slot(
        True, "Biases", "Adds a learned offset to every matrix and LayerNorm, as GPT-2 does.", group="Details"
    )
    tied_embeddings: bool = slot(
        True, "Tied embeddings", "Uses one table to read tokens and to write them.", group="Details"
    )
    dropout: float = slot(
        0.0,
        "Dropout",
        "The share of numbers zeroed at random in training, against overfitting.",
        group="Details",
        range=(0.0, 0.9),
    )
    zero_init_output: bool = slot(
        False,
        "Zero-init outputs",
        "Each block starts as doing nothing, which makes early training faster.",
        group="Details",
    )
    init_std: float = slot(
        0.02, "Init std", "The spread of the random weights at the start.", group="Details", range=(0.0, 1.0)
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.d_model % self.n_head:
            nearest = _nearest_divisors(self.d_model, self.n_head)
            raise ValueError(f"n_head {self.n_head} does not divide d_model {self.d_model}: use {nearest}.")
        if self.n_head % self.kv_heads:
            nearest = _nearest_divisors(self.n_head, self.kv_heads)
            raise ValueError(f"n_kv_head {self.kv_heads} does not divide n_head {self.n_head}: use {nearest}.")
        if self.position == "rope" and self.head_dim % 2:
            raise ValueError(
                f"RoPE rotates pairs of numbers, and {self.d_model} / {self.n_head} heads leaves an odd head width "
                f"of {self.head_dim}: change d_model or n_head."
            )

    @property
    def head_dim(self) -> int:
        """Numbers per attention head."""
        return self.d_model // self.n_head

    @property
    def kv_heads(self) -> int:
        """Key/value heads in use: n_kv_head, or n_head where that is 0."""
        return self.n_kv_head or self.n_head

    @property
    def ff_width(self) -> int:
        """Feed-forward width in use: d_ff, or the usual multiple of d_model where that is 0."""
        if self.d_ff:
            return self.d_ff
        if self.activation == "swiglu":
            return -(-8 * self.d_model // 3 // 8) * 8
        return 4 * self.d_model

    @property
    def attention_kind(self) -> str:
        """The field's name for the sharing of keys and values."""
        if self.kv_heads == self.n_head:
            return "multi-head"
        return "multi-query" if self.kv_heads == 1 else "grouped-query"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict, whose inverse is `from_dict`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, where: str = "the design") -> ModelConfig:
        """Build from parsed JSON or TOML.

        Raises:
            ValueError: for an unknown key, a wrong type or an illegal value, naming `where`.
        """
        return settings_from_dict(cls, data, where)


Settings = TypeVar("Settings")


def settings_from_dict(cls: type[Settings], data: Any, where: str) -> Settings:
    """Build the settings dataclass `cls` (its fields made by `slot`) from parsed JSON or TOML; lists become tuples.

    Raises:
        ValueError: for an unknown key, a wrong type or an illegal value, naming `where`.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object of named settings, not {type(data).__name__}.")
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{where} has no setting called {unknown[0]!r}: the settings are {', '.join(sorted(known))}.")
    try:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def check_settings(settings: Any) -> None:
    """Raise ValueError where a field of the dataclass has the wrong type or leaves its slot's choices or range."""
    for f in fields(settings):
        _check_field(f, getattr(settings, f.name))


def _check_field(f: dataclasses.Field[Any], value: Any) -> None:
    """Raise ValueError where `value` has the wrong type or lies outside the slot's choices or range."""
    expected = type(f.default)
    if expected is float and type(value) is int:
        pass
    elif type(value) is not expected:
        raise ValueError(f"{f.name} must be {_type_words(expected)}, not {value!r}.")
    if expected is tuple and not all(isinstance(item, str) for item in value):
        raise ValueError(f"{f.name} must be {_type_words(expected)}, not {value!r}.")
    choices = f.metadata.get("choices")
    if choices and value not in choices:
        raise ValueError(f"{f.name} cannot be {value!r}: choose one of {', '.join(choices)}.")
    if "range" in f.metadata:
        low, high = f.metadata["range"]
        if not low <= value <= high:
            raise ValueError(f"{f.name} is {value}, but must lie between {low} and {high}.")


def _type_words(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a word", tuple: "texts"}[kind]


def _nearest_divisors(n: int, wanted: int) -> str:
    """The divisors of `n` around `wanted`, as words: '4 or 6'."""
    divisors = [d for d in range(1, min(n, 4 * wanted) + 1) if n % d == 0]
    below = max((d for d in divisors if d < wanted), default=None)
    above = min((d for d in divisors if d > wanted), default=None)
    return " or ".join(str(d) for d in (below, above) if d is not None)


_GPT2: dict[str, Any] = {
    "position": "learned",
    "norm": "layernorm",
    "activation": "gelu_tanh",
    "bias": True,
    "tied_embeddings": True,
}
_LLAMA: dict[str, Any] = {
    "position": "rope",
    "norm": "rmsnorm",
    "activation": "swiglu",
    "bias": False,
    "tied_embeddings": False,
}

PRESETS: dict[str, ModelConfig] = {
    "gpt2-tiny": ModelConfig(**_GPT2, vocab_size=1024, context_length=256, n_layer=4, n_head=4, d_model=128),
    "gpt2-124m": ModelConfig(**_GPT2, vocab_size=50257, context_length=1024, n_layer=12, n_head=12, d_model=768),
    "llama-tiny": ModelConfig(
        **_LLAMA, vocab_size=1024, context_length=256, n_layer=4, n_head=4, n_kv_head=2, d_model=128
    ),
    "terrarium-tiny": ModelConfig(
        position="rope",
        norm="layernorm",
        activation="relu2",
        bias=False,
        tied_embeddings=True,
        qk_norm=True,
        conv_width=4,
        zero_init_output=True,
        vocab_size=1024,
        context_length=256,
        n_layer=4,
        n_head=4,
        d_model=128,
    ),
}
