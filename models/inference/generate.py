"""Text generation: one reply as a stream of tokens. Many replies at once: models.inference.many_replies.

The model may be in training (see `Continuation`). Only a private random generator is used.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Progress, ReplyFinished, TokenMade
from terrarium.models.inference.continuation import Continuation, check_prompt
from terrarium.models.inference.prefill import PrefixCache
from terrarium.models.inference.sampling import (
    Drawn,
    SamplingConfig,
    as_floats,
    draw_number,
    sample,
    top_log_probabilities,
)
from terrarium.models.inference.sampling_steps import SamplingState, sampling_steps
from terrarium.models.inference.speculative import Draft, Drafter, Speculation
from terrarium.models.tokenizers import IncrementalDecoder
from terrarium.models.tokenizers.special_tokens import end_id, start_id


def generate(
    model: AnyModel,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    config: SamplingConfig,
    *,
    prefix_ids: Sequence[int] = (),
    n_top: int = 0,
    end_ids: Collection[int] = (),
    prefix_cache: PrefixCache | None = None,
    draft: Draft | None = None,
) -> Iterator[Progress | TokenMade | ReplyFinished]:
    """Continue `ids` (decoder) or generate their target (encoder-decoder): TokenMade per token, then ReplyFinished.

    A long prompt is read in chunks, with Progress (tokens) between them.

    Ends with reason "stop" at the end token (yielded with an empty text) or before a stop text (which is not part of
    any token's text), else with "length" after max_tokens or when the context is full. The joined texts are the reply.

    Args:
        prefix_ids: given tokens with which the reply begins. It continues exactly as if it had generated them itself:
            penalties and stop texts include them, and their random numbers are consumed. max_tokens counts only the new
            tokens, and only these are yielded.
        n_top: number of most likely tokens in each TokenMade.
        end_ids: tokens that end the reply; if empty, the model's own (`special_tokens.end_id`).
        prefix_cache: the KV cache of the last text, whose common prefix is not read again; afterwards it holds this
        text.
            The reply is the same, up to rounding if the number of threads was different.
        draft: a smaller model that drafts tokens (`models.inference.speculative`) and has passed `check_draft`. The
        reply
            has the same distribution, and at temperature 0 is the same; otherwise, a seed gives a different reply.

    Raises:
        ValueError: for an encoder, or if `ids` is empty or (with `prefix_ids`) longer than the context.
    """
    state = SamplingState(config)
    # The sampling state after the given tokens depends on their logits, so they are read one by one, as if generated.
    again = tuple(prefix_ids) if state.remembers else ()
    continuation = Continuation(model, ids, decoder_start_id(model, tokenizer), prefix_ids[len(again) :], prefix_cache)
    check_prompt(len(continuation.prompt_ids) + len(again), model.config.context_length)
    limit = min(config.max_tokens, continuation.max_new_tokens - len(again))
    generator = torch.Generator().manual_seed(config.seed)
    ends = end_ids or (end_id(tokenizer, model.config),)
    text = _StopTextFilter(tokenizer, config.stop)
    for id in prefix_ids:
        draw_number(generator)
        text.skip(id)
    text_ids = list(continuation.prompt_ids)
    n_prompt = len(text_ids) + len(again) - len(prefix_ids)
    drafter = Drafter(draft, config, n_prompt) if draft is not None else None
    speculation = None if drafter is None else Speculation(continuation, drafter, config, n_prompt, state, ends)
    seconds = [0.0, 0.0]  # of prefill, of decoding
    began = time.perf_counter()
    for n_read in continuation.read_chunks():
        seconds[0] += time.perf_counter() - began
        yield Progress(done=n_read, total=len(text_ids))
        began = time.perf_counter()
    if drafter is not None:
        for n_read in drafter.read(text_ids):
            seconds[0] += time.perf_counter() - began
            yield Progress(done=n_read, total=len(text_ids))
            began = time.perf_counter()
    new = text_ids[continuation.n_read :]
    for id in again:
        if drafter is not None:
            drafter.follow(text_ids)
        logits = continuation.next_logits(torch.tensor([new]))[0]
        state.update(sampling_steps(as_floats(logits), config, text_ids, n_prompt, state), id)
        new = [id]
        text_ids.append(id)
        seconds[0] += time.perf_counter() - began
        yield Progress(done=len(text_ids), total=n_prompt + len(prefix_ids))
        began = time.perf_counter()
    if speculation is not None:
        draws = speculation.draws(text_ids, new, limit)
    else:
        draws = _one_by_one(continuation, new, config, generator, text_ids, n_prompt, state)
    for made in range(1, limit + 1):
        choice, logits, speculated = next(draws)
        seconds[made > 1] += time.perf_counter() - began
        is_end = choice.id in ends
        shown, stopped = text.add(choice.id, is_end=is_end, is_last=made == limit)
        yield TokenMade(
            id=choice.id,
            text=shown,
            probability=choice.probability,
            entropy=choice.entropy,
            rank=choice.rank,
            draw=choice.draw,
            top=top_log_probabilities(logits, n_top) if n_top else (),
            speculated=speculated,
        )
        if is_end or stopped:
            yield _finished("stop", len(ids), made, seconds, speculation)
            return
        began = time.perf_counter()
    yield _finished("length", len(ids), limit, seconds, speculation)


def _one_by_one(
    continuation: Continuation,
    new: Sequence[int],
    config: SamplingConfig,
    generator: torch.Generator,
    text: list[int],
    n_prompt: int,
    state: SamplingState,
) -> Iterator[Drawn]:
    """Continue `text` without end, appending each token; its last tokens `new` have not been read yet."""
    while True:
        logits = continuation.next_logits(torch.tensor([list(new)]))[0]
        choice = sample(logits, config, generator, text, n_prompt, state)
        text.append(choice.id)
        new = text[-1:]
        yield Drawn(choice, logits)


def decoder_start_id(model: AnyModel, tokenizer: Tokenizer) -> int:
    """Return the decoder start token of an encoder-decoder; −1 for other models, which start with their prompt."""
    return start_id(model.config, tokenizer) if model.config.topology == "encoder-decoder" else -1


def _finished(
    reason: str, n_prompt: int, n_tokens: int, seconds: Sequence[float], speculation: Speculation | None
) -> ReplyFinished:
    """Make the final event. tokens_per_s: of the tokens after the first (part of the prefill), in compute time only."""
    return ReplyFinished(
        reason=reason,
        n_prompt=n_prompt,
        n_tokens=n_tokens,
        prefill_s=seconds[0],
        tokens_per_s=(n_tokens - 1) / seconds[1] if n_tokens > 1 else 0.0,
        n_drafted=speculation.n_drafted if speculation is not None else 0,
        n_accepted=speculation.n_accepted if speculation is not None else 0,
        n_passes=speculation.n_passes if speculation is not None else 0,
    )


class _StopTextFilter:
    """Streams text, but withholds a possible beginning of a stop text, and incomplete characters."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._decoder = IncrementalDecoder(tokenizer)
        self._stop = stop
        self._held = ""
        self._n_shown = 0
        """Number of characters of `_held` that are already shown: the beginning of a stop text in a continued reply."""

    def skip(self, id: int) -> None:
        """Add a prefix token, whose text is already shown."""
        self._held += self._decoder.add(id)
        self._n_shown = max((_overlap(self._held, text) for text in self._stop), default=0)
        self._held = self._held[len(self._held) - self._n_shown :]

    def add(self, id: int, *, is_end: bool, is_last: bool) -> tuple[str, bool]:
        """Add a token; return the text that can be shown now, and whether a stop text ended the reply."""
        if not is_end:
            self._held += self._decoder.add(id)
        found = [start for start in (self._held.find(text) for text in self._stop) if start >= 0]
        if found:
            return self._held[self._n_shown : min(found)], True
        waits = 0 if is_end or is_last else max((_overlap(self._held, text) for text in self._stop), default=0)
        n_ready = len(self._held) - waits
        shown = self._held[self._n_shown : n_ready]
        self._held = self._held[n_ready:]
        self._n_shown = max(0, self._n_shown - n_ready)
        return shown, False


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest suffix of `text` that is a proper prefix of `stop`."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
