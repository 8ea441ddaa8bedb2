"""What follows from the slots of a model's architecture. No torch."""

from __future__ import annotations

from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_slots import ModelSlots
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import scheme_of


class DerivedSlots(ModelSlots):
    """The slots and the properties derived from them, unchecked; `ModelConfig` is the validated form."""

    @property
    def head_dim(self) -> int:
        """The width of an attention head: d_head, or d_model / n_head if d_head is 0."""
        return self.d_head or self.d_model // self.n_head

    @property
    def kv_heads(self) -> int:
        """The number of key/value heads: n_kv_head, or n_head if n_kv_head is 0."""
        return self.n_kv_head or self.n_head

    @property
    def ff_width(self) -> int:
        """The feed-forward width (of one expert): d_ff, or the default multiple of d_model if d_ff is 0."""
        if self.d_ff:
            return self.d_ff
        if self.is_gated:
            return -(-8 * self.d_model // 3 // 8) * 8
        return 4 * self.d_model

    @property
    def has_custom_blocks(self) -> bool:
        """Whether a custom block takes the place of a built-in part."""
        return any(getattr(self, name) for name in BLOCK_SLOTS.values())

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward has a third matrix."""
        return ACTIVATIONS[self.activation].is_gated

    @property
    def has_ff_norm(self) -> bool:
        """Whether the feed-forward normalises its activations before the last matrix."""
        return ACTIVATIONS[self.activation].has_norm

    @property
    def attention_bias(self) -> bool:
        """Whether attention's matrices have biases."""
        return self.bias in ("all", "attention")

    @property
    def ff_bias(self) -> bool:
        """Whether the feed-forward's matrices have biases."""
        return self.bias in ("all", "feed-forward")

    @property
    def looks_back(self) -> bool:
        """Whether the first layer is a fixed look-back layer (models.architecture.lookback)."""
        return self.lookback > 0 and self.qk_norm

    @property
    def has_ngrams(self) -> bool:
        """Whether the model has n-gram embeddings."""
        return self.max_ngram > 1 and self.topology == "decoder-only"

    @property
    def norm_bias(self) -> bool:
        """Whether norms have biases."""
        return NORMS[self.norm].has_bias and self.bias == "all"

    @property
    def is_causal(self) -> bool:
        """Whether self-attention is causal (in an encoder-decoder: that of the decoder)."""
        return self.topology != "encoder-only"

    @property
    def head_activation(self) -> str:
        """The activation of BERT's transform in the head, which is never gated."""
        return "gelu" if self.is_gated else self.activation

    def rotates(self, layer: int) -> bool:
        """Return whether layer `layer`, counted from 0, rotates queries and keys.

        With a `nope_interval` of n, every n-th layer does not (NoPE, arXiv:2305.19466, mixed as in RNoPE,
        arXiv:2501.18795, and SmolLM3).
        """
        is_without = self.nope_interval > 0 and (layer + 1) % self.nope_interval == 0
        return scheme_of(self).applied_to == "queries" and not is_without

    @property
    def n_nope_layers(self) -> int:
        """The number of layers that do not rotate queries and keys."""
        return sum(not self.rotates(layer) for layer in range(self.n_layer))

    @property
    def n_output(self) -> int:
        """The number of outputs of the head: per token, or per text for a sequence head; 0 without a head."""
        fixed = {"language": self.vocab_size, "span": 2, "none": 0}
        return fixed.get(self.head, self.n_label)

    @property
    def has_dense_head(self) -> bool:
        """Whether the label head begins with a matrix and tanh, as in BART."""
        return self.head == "sequence" and self.topology == "encoder-decoder"

    @property
    def has_label_bias(self) -> bool:
        """Whether the label head has a bias: in all but a decoder's sequence head, as in GPT-2 and LLaMA."""
        return not (self.head == "sequence" and self.topology == "decoder-only")

    @property
    def has_head_transform(self) -> bool:
        """Whether BERT's transform precedes the prediction of masked tokens."""
        return self.head_transform and self.topology == "encoder-only" and self.head == "language"

    @property
    def attention_kind(self) -> str:
        """The kind of attention: "multi-head", "grouped-query" or "multi-query"."""
        if self.kv_heads == self.n_head:
            return "multi-head"
        return "multi-query" if self.kv_heads == 1 else "grouped-query"
