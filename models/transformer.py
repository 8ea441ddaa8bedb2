"""The decoder-only transformer (GPT-2, LLaMA and ours), assembled from the slots of a ModelConfig."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import ModelConfig
from models.inference.cache import KVCache
from models.layers import Block, Rotary, make_norm


class Decoder(nn.Module):
    """A causal language model: token ids in, next-token logits out. The loss is computed by the trainer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position = nn.Embedding(config.context_length, config.d_model) if config.position == "learned" else None
        self.rotary = Rotary(config) if config.position == "rope" else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.final_norm = make_norm(config, config.d_model)
        self.head = None if config.tied_embeddings else nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.initialise()

    def initialise(self) -> None:
        """Draw the weights from torch's global generator; residual outputs are scaled by 1/sqrt(2 n_layer) (GPT-2)."""
        config = self.config
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.output.weight", "feed_forward.down.weight")):
                if config.zero_init_output:
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, std=config.init_std / (2 * config.n_layer) ** 0.5)
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2 and "_conv." not in name:
                nn.init.normal_(parameter, std=config.init_std)

    @property
    def n_parameters(self) -> int:
        """Trained numbers; a tied table counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Token ids (B, T) -> logits (B, T, V).

        Args:
            mask: (B, T) bool, True = a real token; nothing attends to the others.
            positions: (B, T) or (T,) long, default 0…T−1 after whatever the cache holds, regardless of the mask.
            segments: (B, T) long; tokens see only their own segment (packed documents).
            cache: grows by T tokens; ids then continue what it holds.

        Raises:
            ValueError: where the tokens do not fit the context, or segments meet a cache that holds tokens.
        """
        return self.logits(self.hidden(ids, mask=mask, positions=positions, segments=segments, cache=cache))

    def logits(self, hidden: Tensor) -> Tensor:
        """Final hidden states (…, C) -> logits (…, V)."""
        if self.head is not None:
            logits: Tensor = self.head(hidden)
            return logits
        return F.linear(hidden, self.embedding.weight)

    def hidden(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """As `forward`, up to the final norm: -> (B, T, C)."""
        length, past = ids.size(1), cache.length if cache is not None else 0
        if past + length > self.config.context_length:
            raise ValueError(
                f"{past + length} tokens do not fit the context of {self.config.context_length}: shorten the text."
            )
        if segments is not None and past:
            raise ValueError("segments cannot be given with a cache that holds tokens: read the sequences at once.")
        if mask is not None and segments is None and cache is None:
            segments = mask.long()  # keeps what is padding out of the short convolutions too
        if positions is None:
            positions = torch.arange(past, past + length, device=ids.device)
        positions = positions.expand(1, -1) if positions.dim() == 1 else positions
        x = self.embedding(ids)  # (B, T, C)
        if self.position is not None:
            x = x + self.position(positions)
        x = self.dropout(x)
        rotation = self.rotary(positions) if self.rotary is not None else None
        allowed = attention_mask(ids, mask, segments, cache)
        for i, block in enumerate(self.blocks):
            x = block(x, rotation, allowed, segments, cache.layers[i] if cache is not None else None)
        hidden: Tensor = self.final_norm(x)
        return hidden


def attention_mask(ids: Tensor, mask: Tensor | None, segments: Tensor | None, cache: KVCache | None) -> Tensor | None:
    """Which keys each query may see, (B or 1, 1, T, S) bool; None where plain causality says it all.

    Updates the cache's record of real tokens. A row that may see nothing sees itself, so that softmax stays finite.
    """
    batch, length = ids.shape
    past = cache.length if cache is not None else 0
    if cache is not None and (mask is not None or cache.mask is not None):
        present = mask if mask is not None else torch.ones(batch, length, dtype=torch.bool, device=ids.device)
        before = cache.mask if cache.mask is not None else present.new_ones(batch, past)
        mask = cache.mask = torch.cat((before, present), dim=1)  # (B, S)
    if mask is None and segments is None and past == 0:
        return None
    query = torch.arange(past, past + length, device=ids.device)[:, None]
    key = torch.arange(past + length, device=ids.device)[None, :]
    allowed = (key <= query)[None, None]  # (1, 1, T, S)
    if mask is not None:
        allowed = allowed & (mask[:, None, None, :] | (key == query))
    if segments is not None:
        allowed = allowed & (segments[:, None, :, None] == segments[:, None, None, :])
    return allowed
