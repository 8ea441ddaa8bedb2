"""What a custom block is told of the design that it is part of. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.settings.derived_slots import DerivedSlots


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """The `config` of `Block.__init__`: sizes of the design, by the field's names.

    width: of what a norm normalises, d_model for the other blocks. layer: the number of the layer, from 0; the shapes
    of a block's tensors are the same in all layers. n_layer: of its stack.
    """

    d_model: int
    n_head: int
    n_kv_head: int
    head_dim: int
    d_ff: int
    context_length: int
    n_layer: int
    norm_eps: float
    dropout: float
    is_causal: bool
    width: int
    layer: int = 0

    @classmethod
    def of(cls, design: DerivedSlots, *, layer: int = 0, width: int = 0) -> BlockConfig:
        """Return what a block of a design is told (of one stack: an encoder-decoder has two)."""
        return cls(
            d_model=design.d_model,
            n_head=design.n_head,
            n_kv_head=design.kv_heads,
            head_dim=design.head_dim,
            d_ff=design.ff_width,
            context_length=design.context_length,
            n_layer=design.n_layer,
            norm_eps=design.norm_eps,
            dropout=design.dropout,
            is_causal=design.is_causal,
            width=width or design.d_model,
            layer=layer,
        )
