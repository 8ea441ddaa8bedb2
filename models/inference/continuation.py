"""Step-by-step decoding of a text with a KV cache.

The model may be in training: it is put into eval mode for each forward pass and back afterwards. Inference mode never
spans a `yield`, since it would leak into the caller.

Letters in shape comments: B rows, T tokens, V vocab_size.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from terrarium.models.custom_blocks.loading import check_still_allowed
from terrarium.models.inference.fast_decoder import FastDecoder
from terrarium.models.inference.prefill import PrefixCache, chunk_size
from terrarium.models.inference.threads import ThreadTuner


class Continuation:
    """A prompt and its continuation in one row, or in several rows that differ after `select`.

    A decoder continues the prompt; an encoder-decoder reads it as its source, and generates a target text that begins
    with `start_id`.
    """

    def __init__(
        self,
        model: AnyModel,
        ids: Sequence[int],
        start_id: int,
        prefix_ids: Sequence[int] = (),
        prefix_cache: PrefixCache | None = None,
    ) -> None:
        """Prepare to read the prompt; nothing is computed yet.

        Args:
            prefix_ids: given tokens with which the text after the prompt begins.
            prefix_cache: the KV cache of the last text, whose common prefix is not read again.

        Raises:
            ValueError: for an encoder, an empty prompt, or one that is (with `prefix_ids`) longer than the context.
        """
        if isinstance(model, Encoder):
            raise ValueError("An encoder does not write texts: use it to fill masks, or choose another model.")
        if model.config.head != "language":
            raise ValueError(
                "This model only gives labels and writes no text: choose another model, or give it a text to label."
            )
        check_prompt(len(ids), model.config.context_length)
        self._model: Decoder | EncoderDecoder = model
        self._source = torch.tensor([list(ids)]) if isinstance(model, EncoderDecoder) else None
        self._fast = FastDecoder(model) if isinstance(model, Decoder) and FastDecoder.covers(model) else None
        self.prompt_ids = [start_id, *prefix_ids] if self._source is not None else [*ids, *prefix_ids]
        """The tokens that must be read before the first new one."""
        check_prompt(len(self.prompt_ids), model.config.context_length)
        self._reading_tuner = ThreadTuner(is_small=False) if prefix_cache is None else prefix_cache.tuner
        if prefix_cache is not None and isinstance(model, Decoder):
            self._cache = prefix_cache.lookup(model, self.prompt_ids)
        else:
            self._cache = KVCache(model.config.n_layer)
        self.max_new_tokens = model.config.context_length - len(self.prompt_ids) + 1
        """How many tokens can be generated before the context is full."""

    @property
    def n_read(self) -> int:
        """The number of tokens in the cache."""
        return self._cache.length

    def read_chunks(self) -> Iterator[int]:
        """Read the prompt in chunks, except the last one, left for `next_logits`; yields `n_read` after each."""
        if isinstance(self._model, Decoder):
            model, size = self._model, chunk_size(self._model)
            while len(self.prompt_ids) - self.n_read > size:
                piece = torch.tensor([self.prompt_ids[self.n_read :][:size]], device=model.embedding.weight.device)
                with evaluating(model):
                    self._reading_tuner.run(functools.partial(model.hidden, piece, cache=self._cache))
                yield self.n_read

    def next_logits(self, new: Tensor) -> Tensor:
        """Read new tokens (B, T); return the logits of the next token (B, V)."""
        if self._fast is not None and self._fast.supports(new, self._cache):
            with torch.inference_mode():
                return self._fast.next_logits(new, self._cache)
        return next_logits(self._model, new, self._cache, source=self._source)

    def each_logits(self, new: Sequence[int]) -> Tensor:
        """Read new tokens (T) of a decoder's single row; return the logits of the token after each of them (T, V)."""
        ids = torch.tensor([list(new)])
        if self._fast is not None and self._fast.supports_short(ids, self._cache):
            with torch.inference_mode():
                return self._fast.each_logits(ids, self._cache)
        model = self._model
        assert isinstance(model, Decoder)
        with evaluating(model):
            return model.logits(model.hidden(ids.to(model.embedding.weight.device), cache=self._cache)[0])

    def reserve_rollback(self, n: int) -> None:
        """Allow `forget` to drop up to n tokens from now on."""
        self._cache.reserve_rollback(n)

    def forget(self, n: int) -> None:
        """Drop the last n tokens, as if they had never been read."""
        self._cache.rollback(n)

    def select(self, rows: Tensor) -> None:
        """Keep only the given rows (1-D long), in that order; a row may appear several times."""
        with torch.inference_mode():
            self._cache.select(rows.to(self._model.embedding.weight.device))


def check_prompt(n_tokens: int, context_length: int) -> None:
    """Raise ValueError if no reply can follow a prompt of that many tokens."""
    if n_tokens == 0:
        raise ValueError("The prompt is empty, but a model needs at least one token to continue: write something.")
    if n_tokens > context_length:
        raise ValueError(
            f"The prompt has {n_tokens:,} tokens, but the model's context takes {context_length:,}: shorten the text."
        )


def next_logits(
    model: Decoder | EncoderDecoder, ids: Tensor, cache: KVCache, *, source: Tensor | None = None, **arguments: Any
) -> Tensor:
    """Read ids (B, T); return the logits of the next token (B, V), in eval mode without gradients. `source`: (B, S)."""
    device = model.embedding.weight.device
    with evaluating(model):
        moved = {name: value.to(device) for name, value in arguments.items()}
        if isinstance(model, EncoderDecoder):
            assert source is not None
            hidden = model.hidden(source.to(device), ids.to(device), cache=cache)
        else:
            hidden = model.hidden(ids.to(device), cache=cache, **moved)
        return model.logits(hidden[:, -1])


@contextmanager
def evaluating(model: AnyModel) -> Iterator[None]:
    """Eval mode and inference mode for one forward pass; the previous mode is restored.

    Raises:
        NotAllowedError: if a custom block of the model may no longer run on this computer.
    """
    if model.config.has_custom_blocks:
        check_still_allowed(model)
    was_training = model.training
    if was_training:
        model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if was_training:
            model.train()
