"""The three topologies, assembled from the slots of a ModelConfig: Decoder, Encoder and EncoderDecoder.

Letters in shape comments: B batch, T tokens, S keys (in an encoder-decoder: source tokens), C d_model, V vocab_size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.heads import make_head
from terrarium.models.architecture.inputs import check_ablations, check_ids, check_mask, check_per_token, look_up
from terrarium.models.architecture.lookback import look_back
from terrarium.models.architecture.ngrams import NGramEmbedding
from terrarium.models.architecture.stack import Stack
from terrarium.models.architecture.trace import Trace
from terrarium.models.design.tree import (
    NORMAL,
    OUTPUT_TABLE,
    OWN,
    PROJECTION,
    QUERY,
    RESIDUAL,
    ZERO,
    design_tree,
    state_tensors,
)
from terrarium.models.settings.model_config import ModelConfig


class Model(nn.Module):
    """Base class of the topologies: initialisation, the embedding, and the head's logits."""

    config: ModelConfig
    embedding: nn.Embedding
    head: nn.Module | None

    @property
    def n_parameters(self) -> int:
        """The number of parameters; a tied embedding counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def weights_version(self) -> int:
        """A number that changes with each in-place update of a weight."""
        return sum(parameter._version for parameter in self.parameters())

    def initialise(self) -> None:
        """Draw the initial weights from torch's global generator, in the order of the parameters.

        How each is drawn is said in the tree of parts (`cost.tree.Tensor.init`). The std of the output matrices of
        residual branches is scaled by 1/sqrt(2 n_layer), as in GPT-2. As in T5, the std of the queries is divided by
        sqrt(head_dim) if scores are not scaled, and that of the output table is multiplied by sqrt(d_model) if logits
        are scaled, so that scores and logits have the usual spread. For the first layer of a design with `lookback`,
        see `look_back`.
        """
        config, std = self.config, self.config.init_std
        stds = {
            NORMAL: std,
            RESIDUAL: std / (2 * config.n_layer) ** 0.5,
            QUERY: std / config.head_dim**0.5,
            OUTPUT_TABLE: std * config.d_model**0.5,
        }
        inits = {name: tensor.init for name, tensor in state_tensors(design_tree(config))}
        for name, parameter in self.named_parameters():
            init = inits[name]
            if init == ZERO:
                nn.init.zeros_(parameter)
            elif init == PROJECTION:
                nn.init.normal_(parameter, std=parameter.size(1) ** -0.5)
            elif init != OWN:
                nn.init.normal_(parameter, std=stds[init])
        if config.looks_back and isinstance(self, Stack):
            look_back(self, self.embedding.weight)

    def logits(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the head's logits: final hidden states (…, C) -> tokens (…, V), labels (…, L) or a span (…, 2).

        Labels of whole texts are predicted from one state: (B, T, C) -> (B, L). mask: see `pooled`.

        Raises:
            ValueError: if the model has no head.
        """
        if self.config.head == "language":
            assert self.head is not None
            return self.head(hidden, self.embedding.weight)  # type: ignore[no-any-return]
        head = self.check_head()
        return head(self.pooled(hidden, mask) if self.config.head == "sequence" else hidden)  # type: ignore[no-any-return]

    def check_head(self) -> nn.Module:
        """Return the head; ValueError if there is none."""
        if self.head is None:
            raise ValueError("This encoder has no head, so it makes no logits: call model.hidden() for its states.")
        return self.head

    def pooled(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the state that represents each text: (B, T, C) -> (B, C), that of its last token.

        The last token has access to all others. mask: (B, T) bool, True = not padding.
        """
        if mask is None:
            return hidden[:, -1]
        last = (mask * torch.arange(mask.size(1), device=mask.device)).argmax(dim=1)  # (B)
        return hidden[torch.arange(len(hidden), device=hidden.device), last]

    def embed(self, ids: Tensor) -> Tensor:
        """Embed token ids (B, T) long -> (B, T, C), without positions; ValueError for invalid ids."""
        check_ids(ids)
        x = look_up(self.embedding, ids, "Token ids")
        return x * self.config.d_model**0.5 if self.config.scaled_embeddings else x


class Decoder(Model, Stack):
    """A causal model: token ids in, logits of the next tokens or of labels out. The trainer computes the loss."""

    def __init__(self, config: ModelConfig) -> None:
        assert config.topology == "decoder-only"
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.ngrams = NGramEmbedding(config) if config.has_ngrams else None
        self.head = make_head(config)
        self.initialise()

    def forward(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Token ids (B, T) -> logits (B, T, V), or those of another head (see `logits`).

        Args:
            mask: (B, T) bool, True = not padding; nothing attends to padding.
            positions: (B, T) or (T,) long, default 0…T−1 after the cached tokens, regardless of the mask.
            segments: (B, T) long; tokens attend only to their own segment (packed documents).
            cache: extended by T tokens; the ids continue the cached ones.
            trace: collects activations, and applies ablations.

        Raises:
            ValueError: if the tokens do not fit the context or the cache, an id, position, segment or mask is
                malformed, segments are given with a non-empty cache, or a head to ablate does not exist.
        """
        hidden = self.hidden(ids, mask=mask, positions=positions, segments=segments, cache=cache, trace=trace)
        return self.logits(hidden, mask)

    def hidden(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Trace | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Like `forward`, up to the final norm: -> (B, T, C), or (N, C) with `keep` (see `Stack.transform`)."""
        check_ablations(self.config, trace)
        x = self.embed(ids, mask=mask, segments=segments, cache=cache)
        return self.transform(x, mask=mask, positions=positions, packing=segments, cache=cache, trace=trace, keep=keep)

    def embed(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        segments: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Embed token ids and, if the design has n-gram embeddings, add them; for the arguments see `forward`."""
        x = super().embed(ids)
        if self.ngrams is None:
            return x
        check_mask(mask, ids.shape)
        check_per_token(segments, ids.shape, "Segments")
        return x + self.ngrams(ids, None if cache is None else cache.layers[0], mask, segments)  # type: ignore[no-any-return]


class Encoder(Model, Stack):
    """A bidirectional model: every token attends to the whole text. Its head predicts masked tokens or labels."""

    def __init__(self, config: ModelConfig) -> None:
        assert config.topology == "encoder-only"
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.segment = nn.Embedding(config.n_segment, config.d_model) if config.n_segment else None
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        self.head = make_head(config)
        self.initialise()

    def forward(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Token ids (B, T) -> logits: (B, T, V) of the masked-token head, or those of another (see `logits`).

        Args:
            mask: (B, T) bool, True = not padding; nothing attends to padding.
            positions: (B, T) or (T,) long, default 0…T−1 regardless of the mask.
            segments: (B, T) long: with segment embeddings (n_segment), the segment that a token belongs to
                (default 0); without, packed documents that do not attend to each other.
            trace: collects activations, and applies ablations.

        Raises:
            ValueError: if the model has no head, the tokens do not fit the context, an id, position, segment or mask is
                malformed, a head to ablate does not exist, or a cache is given.
        """
        self.check_head()
        return self.logits(
            self.hidden(ids, mask=mask, positions=positions, segments=segments, cache=cache, trace=trace)
        )

    def pooled(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the first token's state, through the pooler if there is one: (B, T, C) -> (B, C)."""
        first = hidden[:, 0]
        return first if self.pooler is None else torch.tanh(self.pooler(first))

    def hidden(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: None = None,
        trace: Trace | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Like `forward`, without the head: -> (B, T, C), or (N, C) with `keep` (see `Stack.transform`)."""
        if cache is not None:
            raise ValueError("An encoder reads its text at once, so it takes no cache: leave it out.")
        check_ablations(self.config, trace)
        x = self.embed(ids)
        check_per_token(segments, ids.shape, "Segments")
        if self.segment is not None:
            x = x + look_up(self.segment, torch.zeros_like(ids) if segments is None else segments, "Segments")
        packing = segments if self.segment is None else None
        return self.transform(x, mask=mask, positions=positions, packing=packing, trace=trace, keep=keep)


class EncoderDecoder(Model):
    """An encoder of a source text, and a causal decoder of a target text. Both share one embedding."""

    def __init__(self, config: ModelConfig) -> None:
        assert config.topology == "encoder-decoder"
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config.encoder(), site="encoder.")
        self.decoder = Stack(config, has_cross=True, site="decoder.")
        self.head = make_head(config)
        self.initialise()

    def forward(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Token ids (B, S) and (B, T) -> logits (B, T, V) of the token after each target token.

        With another head: logits of labels (see `logits`); the target is then the source shifted by one, as in BART.

        Args:
            source_mask, target_mask: (B, S) and (B, T) bool, True = not padding; nothing attends to padding.
            cache: extended by T target tokens. Only the first call with a cache encodes the source.
            trace: collects activations, and applies ablations.

        Raises:
            ValueError: if the source or the target does not fit the context or the cache, their batch sizes differ,
                an id or mask is malformed, or a head to ablate does not exist.
        """
        hidden = self.hidden(
            source_ids, target_ids, source_mask=source_mask, target_mask=target_mask, cache=cache, trace=trace
        )
        return self.logits(hidden, target_mask)

    def hidden(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Trace | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Like `forward`, up to the final norm: -> (B, T, C), or (N, C) with `keep` (see `Stack.transform`)."""
        check_ablations(self.config, trace)
        memory = None
        if cache is None or not cache.has_source:
            if len(source_ids) != len(target_ids):
                raise ValueError(
                    f"{len(source_ids)} sources do not go with {len(target_ids)} targets: pass one for each."
                )
            memory = self.encode(source_ids, mask=source_mask, trace=trace)
        return self.decode(
            target_ids, memory, source_mask=source_mask, mask=target_mask, cache=cache, trace=trace, keep=keep
        )

    def encode(self, ids: Tensor, *, mask: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """Encode the source: token ids (B, S) -> hidden states (B, S, C)."""
        return self.encoder.transform(self.embed(ids), mask=mask, trace=trace)

    def decode(
        self,
        ids: Tensor,
        memory: Tensor | None,
        *,
        source_mask: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Trace | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Decode the target: token ids (B, T) -> hidden states (B, T, C); memory: the result of `encode`, (B, S, C).

        `memory` may be None if the cache has its keys and values.
        """
        if cache is not None:
            source_mask = cache.source_mask = source_mask if source_mask is not None else cache.source_mask
        return self.decoder.transform(
            self.embed(ids), mask=mask, cache=cache, memory=memory, memory_mask=source_mask, trace=trace, keep=keep
        )


AnyModel = Decoder | Encoder | EncoderDecoder


def build_model(config: ModelConfig) -> AnyModel:
    """Build the model of a design, with initial weights from torch's global generator."""
    if config.topology == "encoder-decoder":
        return EncoderDecoder(config)
    return Encoder(config) if config.topology == "encoder-only" else Decoder(config)
