"""A part of an architecture with its explanation and numbers, and the stacks of a design. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, fields

from terrarium.models.settings.model_config import ModelConfig

_GROUPS = {f.name: f.metadata["group"] for f in fields(ModelConfig)}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part that the diagram draws as a box, a sum or a line, and explains.

    `key` is its path in the model ("decoder.attention.query"); `formula` has the numbers filled in, with a line each
    for the computation and the sizes; `shape` is that of the output; `slots` can be edited there, the first being the
    one that the part stands for; `n_parameters` counts one of its `copies`.
    """

    key: str
    title: str
    detail: str = ""
    formula: str
    meaning: str
    kind: str
    slots: tuple[str, ...]
    shape: str = ""
    n_parameters: int = 0
    copies: int = 1
    mask: str = ""
    """The attention mask: 'causal', 'full', 'cross', 'window' or 'causal window'."""
    heads: tuple[int, int] = (0, 0)
    """Query heads, and key/value heads."""
    curve: str = ""
    """The activation whose curve is drawn."""
    is_counted: bool = True
    """Whether `n_parameters` is known; that of a custom block is unknown until it was measured."""

    @property
    def slot(self) -> str:
        """The setting that the part stands for."""
        return self.slots[0]

    @property
    def group(self) -> str:
        """The group of that setting in a form."""
        return str(_GROUPS[self.slot])

    @property
    def total_parameters(self) -> int:
        """The number of parameters of all copies."""
        return self.n_parameters * self.copies


def format_shape(*sizes: int) -> str:
    """Format a shape: '[8, 256, 1,024]'."""
    return "[" + ", ".join(f"{size:,}" for size in sizes) + "]"


@dataclass(frozen=True, kw_only=True)
class StackSpec:
    """One stack of blocks: its settings, and the sizes of its input.

    `prefix` begins the keys of its parts ("", "encoder." or "decoder."); `length` is that of its text, `source` that of
    the encoder's text if it has cross-attention, else 0.
    """

    config: ModelConfig
    prefix: str
    batch: int
    length: int
    source: int = 0

    @property
    def name(self) -> str:
        """'encoder' or 'decoder' in a design with both, else ''."""
        return self.prefix.rstrip(".")

    @property
    def has_own_slots(self) -> bool:
        """Whether the stack has slots of its own (n_encoder_layer …), with which it can differ from the decoder."""
        return self.name == "encoder"

    @property
    def layers_slot(self) -> str:
        """The slot of the number of blocks."""
        return "n_encoder_layer" if self.has_own_slots else "n_layer"

    @property
    def heads_slot(self) -> str:
        """The slot of the number of heads."""
        return "n_encoder_head" if self.has_own_slots else "n_head"

    @property
    def ff_slot(self) -> str:
        """The slot of the feed-forward width."""
        return "d_encoder_ff" if self.has_own_slots else "d_ff"

    @property
    def stream(self) -> str:
        """The shape of the residual stream."""
        return format_shape(self.batch, self.length, self.config.d_model)

    @property
    def memory(self) -> str:
        """The shape of the encoder output."""
        return format_shape(self.batch, self.source, self.config.d_model)


def stacks_of(config: ModelConfig, batch: int, length: int) -> tuple[StackSpec, ...]:
    """Return the design's stacks, the encoder before the decoder. `length` is limited to the context."""
    length = min(length, config.context_length)
    if config.topology != "encoder-decoder":
        return (StackSpec(config=config, prefix="", batch=batch, length=length),)
    return (
        StackSpec(config=config.encoder(), prefix="encoder.", batch=batch, length=length),
        StackSpec(config=config, prefix="decoder.", batch=batch, length=length, source=length),
    )
