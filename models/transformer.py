"""The three topologies, assembled from the slots of a ModelConfig: Decoder, Encoder and EncoderDecoder.

Letters in shape comments: B batch, T tokens, S tokens seen (in an encoder-decoder: of the source), C d_model,
V vocab_size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.attention import View
from models.config import ModelConfig
from models.heads import LabelHead, LanguageHead
from models.inference.cache import KVCache
from models.layers import Block
from models.masks import cross_attention_mask, distances, self_attention_mask
from models.norms import make_norm
from models.positions import Alibi, RelativeBias, Rotary, sinusoidal
from models.trace import Trace


class Stack(nn.Module):
    """Positions, blocks and final norm: from token embeddings to hidden states."""

    def __init__(self, config: ModelConfig, *, has_cross: bool = False, site: str = "") -> None:
        super().__init__()
        self.config = config
        self.site = site
        self.position = nn.Embedding(config.context_length, config.d_model) if config.position == "learned" else None
        self.rotary = Rotary(config) if config.position == "rope" else None
        self.score_bias: nn.Module | None = None
        if config.position in ("alibi", "t5"):
            self.score_bias = Alibi(config) if config.position == "alibi" else RelativeBias(config)
        self.embedding_norm = make_norm(config, config.d_model) if config.embedding_norm else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, has_cross=has_cross) for _ in range(config.n_layer))
        self.final_norm = make_norm(config, config.d_model) if config.norm_place == "pre" else None

    def transform(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        packing: Tensor | None = None,
        cache: KVCache | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Token embeddings (B, T, C) -> hidden states (B, T, C). Arguments as in `Decoder.forward`, packing = segments.

        Raises:
            ValueError: where the tokens do not fit the context, or packing meets a cache that holds tokens.
        """
        length, past = x.size(1), cache.length if cache is not None else 0
        if past + length > self.config.context_length:
            raise ValueError(
                f"{past + length} tokens do not fit the context of {self.config.context_length}: shorten the text."
            )
        if packing is not None and past:
            raise ValueError("segments cannot be given with a cache that holds tokens: read the sequences at once.")
        if positions is None:
            positions = torch.arange(past, past + length, device=x.device)
        positions = positions.expand(1, -1) if positions.dim() == 1 else positions
        x = self._enter(x, positions, trace)
        apart = packing  # what is padding is kept out of the short convolutions too
        if mask is not None and packing is None and not past:
            apart = mask.long()
        view = self._view(positions, _seen_mask(mask, cache, x), packing, past)
        memory_view = View(mask=cross_attention_mask(memory_mask))
        for i, block in enumerate(self.blocks):
            x = block(
                x,
                view,
                segments=apart,
                cache=cache.layers[i] if cache is not None else None,
                memory=memory,
                memory_view=memory_view,
                trace=trace,
                site=f"{self.site}blocks.{i}",
            )
        return x if self.final_norm is None else self.final_norm(x)

    def _enter(self, x: Tensor, positions: Tensor, trace: Trace | None) -> Tensor:
        """The residual stream's beginning: embeddings with their positions, normed where the design says so."""
        if self.position is not None:
            x = x + self.position(positions)
        elif self.config.position == "sinusoidal":
            x = x + sinusoidal(positions, self.config.d_model).to(x.dtype)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if trace is not None and "residual" in trace.wanted:
            trace.residual[f"{self.site}embedding"] = x
        return self.dropout(x)  # type: ignore[no-any-return]

    def _view(self, positions: Tensor, mask: Tensor | None, packing: Tensor | None, past: int) -> View:
        """Who sees whom. Distances are counted in the row, whatever the positions: padding shifts both alike."""
        distance = distances(positions.size(1), past, positions.device)
        allowed = self_attention_mask(self.config, distance, mask, packing)
        rotation = self.rotary(positions) if self.rotary is not None else None
        if self.score_bias is None:
            return View(mask=allowed, causal=self.config.is_causal, rotation=rotation)
        if allowed is None and self.config.is_causal:
            allowed = (distance <= 0)[None, None]
        bias = self.score_bias(distance)  # (1, H, T, S)
        return View(mask=bias if allowed is None else bias.masked_fill(~allowed, -torch.inf))


def _seen_mask(mask: Tensor | None, cache: KVCache | None, x: Tensor) -> Tensor | None:
    """Which tokens are real of all that are seen, (B, S) bool, None = all; the cache's record grows by `mask`."""
    if cache is None or (mask is None and cache.mask is None):
        return mask
    present = mask if mask is not None else torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    before = cache.mask if cache.mask is not None else present.new_ones(x.size(0), cache.length)
    cache.mask = torch.cat((before, present), dim=1)
    return cache.mask


class Model(nn.Module):
    """What all topologies share: the embedding, initial weights, and their number."""

    config: ModelConfig
    embedding: nn.Embedding

    @property
    def n_parameters(self) -> int:
        """Trained numbers; a tied table counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def initialise(self) -> None:
        """Draw the weights from torch's global generator.

        Residual outputs are scaled by 1/sqrt(2 n_layer) (GPT-2). What the design leaves unscaled or scales down begins
        smaller or larger instead, as in T5, so that scores and logits are spread out as in any other design.
        """
        config = self.config
        table = "embedding.weight" if config.tied_embeddings else "head.weight"
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.output.weight", ".down.weight")):
                if config.zero_init_output:
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, std=config.init_std / (2 * config.n_layer) ** 0.5)
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)
            elif name.endswith(".query.weight") and not config.scaled_scores:
                nn.init.normal_(parameter, std=config.init_std / config.head_dim**0.5)
            elif name == table and config.scaled_logits:
                nn.init.normal_(parameter, std=config.init_std * config.d_model**0.5)
            elif parameter.dim() == 2 and "_conv." not in name:
                nn.init.normal_(parameter, std=config.init_std)

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) -> (B, T, C), without their positions."""
        x: Tensor = self.embedding(ids)
        return x * self.config.d_model**0.5 if self.config.scaled_embeddings else x


class Decoder(Model, Stack):
    """A causal language model: token ids in, next-token logits out. The loss is computed by the trainer."""

    def __init__(self, config: ModelConfig) -> None:
        assert config.topology == "decoder-only"
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.head = LanguageHead(config)
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
        """Token ids (B, T) -> logits (B, T, V).

        Args:
            mask: (B, T) bool, True = a real token; nothing attends to the others.
            positions: (B, T) or (T,) long, default 0…T−1 after whatever the cache holds, regardless of the mask.
            segments: (B, T) long; tokens see only their own segment (packed documents).
            cache: grows by T tokens; ids then continue what it holds.
            trace: collects what happens inside, and carries ablations.

        Raises:
            ValueError: where the tokens do not fit the context, or segments meet a cache that holds tokens.
        """
        return self.logits(
            self.hidden(ids, mask=mask, positions=positions, segments=segments, cache=cache, trace=trace)
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Final hidden states (…, C) -> logits (…, V)."""
        return self.head(hidden, self.embedding.weight)  # type: ignore[no-any-return]

    def hidden(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """As `forward`, up to the final norm: -> (B, T, C)."""
        return self.transform(
            self.embed(ids), mask=mask, positions=positions, packing=segments, cache=cache, trace=trace
        )


class Encoder(Model, Stack):
    """A bidirectional model: every token sees the whole text. Its head guesses masked tokens, or labels."""

    def __init__(self, config: ModelConfig) -> None:
        assert config.topology == "encoder-only"
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.segment = nn.Embedding(config.n_segment, config.d_model) if config.n_segment else None
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        self.head: nn.Module | None = None
        if config.head == "language":
            self.head = LanguageHead(config)
        elif config.head != "none":
            self.head = LabelHead(config)
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
        """Token ids (B, T) -> logits: (B, T, V) of the masked-token head, (B, L) or (B, T, L) of the label heads.

        Args:
            mask: (B, T) bool, True = a real token; nothing attends to the others.
            positions: (B, T) or (T,) long, default 0…T−1 regardless of the mask.
            segments: (B, T) long: with segment embeddings (n_segment), which part of the text a token belongs to
                (default 0); without, packed documents that do not see each other.
            trace: collects what happens inside, and carries ablations.

        Raises:
            ValueError: where the model has no head, the tokens do not fit the context, or a cache is given.
        """
        if self.head is None:
            raise ValueError("This encoder has no head, so it makes no logits: call model.hidden() for its states.")
        return self.logits(
            self.hidden(ids, mask=mask, positions=positions, segments=segments, cache=cache, trace=trace)
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (B, T, C) -> what the head makes of them; the masked-token head takes any shape (…, C)."""
        if isinstance(self.head, LanguageHead):
            return self.head(hidden, self.embedding.weight)  # type: ignore[no-any-return]
        assert self.head is not None
        return self.head(self.pooled(hidden) if self.config.head == "sequence" else hidden)  # type: ignore[no-any-return]

    def pooled(self, hidden: Tensor) -> Tensor:
        """The first token's state (B, T, C) -> (B, C), through the pooler where there is one."""
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
    ) -> Tensor:
        """As `forward`, up to the last block: -> (B, T, C)."""
        if cache is not None:
            raise ValueError("An encoder reads its text at once, so it takes no cache: leave it out.")
        x = self.embed(ids)
        if self.segment is not None:
            x = x + self.segment(torch.zeros_like(ids) if segments is None else segments)
        packing = segments if self.segment is None else None
        return self.transform(x, mask=mask, positions=positions, packing=packing, trace=trace)


class EncoderDecoder(Model):
    """Reads a source text whole, and writes a target text from left to right. Both share one embedding."""

    def __init__(self, config: ModelConfig) -> None:
        assert config.topology == "encoder-decoder"
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config.encoder(), site="encoder.")
        self.decoder = Stack(config, has_cross=True, site="decoder.")
        self.head = LanguageHead(config)
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
        """Token ids (B, S) and (B, T) -> logits (B, T, V) of the token after each of the target's.

        Args:
            source_mask, target_mask: (B, S) and (B, T) bool, True = a real token; nothing attends to the others.
            cache: grows by T target tokens. The source is read with the first of them only.
            trace: collects what happens inside, and carries ablations.

        Raises:
            ValueError: where the source or the target does not fit the context.
        """
        return self.logits(
            self.hidden(
                source_ids, target_ids, source_mask=source_mask, target_mask=target_mask, cache=cache, trace=trace
            )
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """The decoder's final hidden states (…, C) -> logits (…, V)."""
        return self.head(hidden, self.embedding.weight)  # type: ignore[no-any-return]

    def hidden(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """As `forward`, up to the decoder's final norm: -> (B, T, C)."""
        memory = None
        if cache is None or not cache.has_source:
            memory = self.encode(source_ids, mask=source_mask, trace=trace)
        return self.decode(target_ids, memory, source_mask=source_mask, mask=target_mask, cache=cache, trace=trace)

    def encode(self, ids: Tensor, *, mask: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """The source's token ids (B, S) -> the encoder's hidden states (B, S, C)."""
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
    ) -> Tensor:
        """The target's token ids (B, T) -> hidden states (B, T, C); memory (B, S, C) = `encode`'s result.

        `memory` may be None where the cache has read it before.
        """
        if cache is not None:
            source_mask = cache.source_mask = source_mask if source_mask is not None else cache.source_mask
        return self.decoder.transform(
            self.embed(ids), mask=mask, cache=cache, memory=memory, memory_mask=source_mask, trace=trace
        )


AnyModel = Decoder | Encoder | EncoderDecoder


def build_model(config: ModelConfig) -> AnyModel:
    """The model of this design, with fresh weights from torch's global generator."""
    if config.topology == "encoder-decoder":
        return EncoderDecoder(config)
    return Encoder(config) if config.topology == "encoder-only" else Decoder(config)
