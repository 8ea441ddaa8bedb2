"""Generation: one reply as a stream of tokens, or many greedy ones side by side for evaluation.

The model may be in training, and no random state but a generator of our own is touched (see `Continuation`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.architecture.cache import KVCache
from models.architecture.transformer import AnyModel, Decoder
from models.events import Progress, ReplyFinished, TokenMade
from models.inference.continuation import Continuation, check_prompt, next_logits
from models.inference.prefill import PrefixCache
from models.inference.sampling import SamplingConfig, as_floats, draw_number, likeliest_log_probabilities, sample
from models.inference.sampling_steps import SamplingState, sampling_steps
from models.tokenizers import IncrementalDecoder
from models.tokenizers.special_tokens import end_id, start_id


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
) -> Iterator[Progress | TokenMade | ReplyFinished]:
    """Continue `ids` (a decoder) or answer them (an encoder-decoder): TokenMade for each token, and ReplyFinished.

    Where a prompt is long for the model it is read in pieces; Progress (tokens) comes between them.

    Ends with reason "stop" at the end token (yielded, as no text) or where a stop text appears (which is part of no
    token's text), else with "length" when max_tokens are made or the context is full. The texts joined are the reply.

    Args:
        prefix_ids: tokens that the reply begins with already. It goes on after them as it would have gone on if it had
            made them itself: penalties and stop texts count them, and their random numbers are spent. max_tokens counts
            only the new tokens, and only these are yielded.
        n_top: how many of the likeliest tokens each TokenMade tells about.
        end_ids: tokens that end the reply; none: the model's own (`roles.end_id`).
        prefix_cache: what was read last, which need not be read again; it is this text afterwards. The reply is the
            same, up to rounding where the number of threads was another.

    Raises:
        ValueError: for an encoder, where `ids` is empty or longer than the context, or where it is with `prefix_ids`.
    """
    state = SamplingState(config)
    # What the draws remember of tokens that stand already comes from their logits: they are read as they were made.
    again = tuple(prefix_ids) if state.remembers else ()
    continuation = Continuation(model, ids, first_id(model, tokenizer), prefix_ids[len(again) :], prefix_cache)
    check_prompt(len(continuation.prompt_ids) + len(again), model.config.context_length)
    limit = min(config.max_tokens, continuation.max_new_tokens - len(again))
    generator = torch.Generator().manual_seed(config.seed)
    ends = end_ids or (end_id(tokenizer, model.config),)
    text = _HeldText(tokenizer, config.stop)
    for id in prefix_ids:
        draw_number(generator)
        text.skip(id)
    stands = list(continuation.prompt_ids)
    n_prompt = len(stands) + len(again) - len(prefix_ids)
    seconds = [0.0, 0.0]  # of prefill, of decoding
    began = time.perf_counter()
    for n_read in continuation.read_pieces():
        seconds[0] += time.perf_counter() - began
        yield Progress(done=n_read, total=len(stands))
        began = time.perf_counter()
    new = stands[continuation.n_read :]
    for id in again:
        logits = continuation.next_logits(torch.tensor([new]))[0]
        state.follow(sampling_steps(as_floats(logits), config, stands, n_prompt, state), id)
        new = [id]
        stands.append(id)
        seconds[0] += time.perf_counter() - began
        yield Progress(done=len(stands), total=n_prompt + len(prefix_ids))
        began = time.perf_counter()
    for made in range(1, limit + 1):
        began = time.perf_counter()
        logits = continuation.next_logits(torch.tensor([new]))[0]
        choice = sample(logits, config, generator, stands, n_prompt, state)
        seconds[made > 1] += time.perf_counter() - began
        new = [choice.id]
        stands.append(choice.id)
        is_end = choice.id in ends
        shown, stopped = text.add(choice.id, is_end=is_end, is_last=made == limit)
        yield TokenMade(
            id=choice.id,
            text=shown,
            probability=choice.probability,
            entropy=choice.entropy,
            rank=choice.rank,
            draw=choice.draw,
            top=likeliest_log_probabilities(logits, n_top) if n_top else (),
        )
        if is_end or stopped:
            yield _finished("stop", len(ids), made, seconds)
            return
    yield _finished("length", len(ids), limit, seconds)


def first_id(model: AnyModel, tokenizer: Tokenizer) -> int:
    """What an encoder-decoder's text begins with; -1 for the others, whose texts begin with their prompt."""
    return start_id(model.config, tokenizer) if model.config.topology == "encoder-decoder" else -1


def generate_batch(
    model: Decoder, prompts: Sequence[Sequence[int]], max_tokens: int, end_id: int, batch_size: int = 64
) -> list[list[int]]:
    """The greedy reply to each prompt, without its end token; the same as `generate` at temperature 0, only faster.

    Prompts are sorted by length and answered `batch_size` at a time (measured on a CPU: 32 to 64 is fastest, since more
    falls out of its cache).

    Raises:
        ValueError: where a prompt is empty or longer than the context.
    """
    for prompt in prompts:
        check_prompt(len(prompt), model.config.context_length)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    replies: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for row, reply in zip(
            rows, _reply_side_by_side(model, [prompts[i] for i in rows], max_tokens, end_id), strict=True
        ):
            replies[row] = reply
    return replies


def _reply_side_by_side(
    model: Decoder, prompts: Sequence[Sequence[int]], max_tokens: int, end_id: int
) -> list[list[int]]:
    """Greedy replies of one batch, the longest prompt first; a row leaves the batch when its reply ends."""
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    longest = len(prompts[0])
    mask = torch.arange(longest) >= longest - lengths[:, None]  # (B, T): the padding is on the left
    ids = torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.tensor([id for prompt in prompts for id in prompt])
    replies: list[list[int]] = [[] for _ in prompts]
    rows, positions = torch.arange(len(prompts)), lengths
    room = (model.config.context_length - lengths + 1).clamp(max=max_tokens)
    cache = KVCache(model.config.n_layer)
    logits = _prefill(model, ids, mask, cache)
    while True:
        chosen = logits.argmax(dim=-1).cpu()  # (B,)
        ended = chosen == end_id
        for row, id in zip(rows[~ended].tolist(), chosen[~ended].tolist(), strict=True):
            replies[row].append(id)
        room = room - 1
        goes_on = ~ended & (room > 0)
        if not goes_on.any():
            return replies
        if not goes_on.all():
            rows, room, positions, chosen = rows[goes_on], room[goes_on], positions[goes_on], chosen[goes_on]
            with torch.inference_mode():
                cache.select(goes_on.nonzero()[:, 0].to(logits.device))
                cache.drop_padding()
        logits = next_logits(model, chosen[:, None], cache, positions=positions[:, None])
        positions = positions + 1


def _prefill(model: Decoder, ids: Tensor, mask: Tensor, cache: KVCache) -> Tensor:
    """Read prompts (B, T) padded on the left into an empty cache -> the logits after each, (B, V)."""
    if mask.all():
        return next_logits(model, ids, cache)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    # As segments, padding and text keep their convolutions apart; what those keep of the padding is zeroed below.
    logits = next_logits(model, ids, cache, positions=positions, mask=mask, segments=mask.long())
    with torch.inference_mode():
        cache.clear_tails(mask.to(logits.device))
    return logits


def _finished(reason: str, n_prompt: int, n_tokens: int, seconds: Sequence[float]) -> ReplyFinished:
    """tokens_per_s counts the tokens after the first, which the prefill gives, and only time spent computing."""
    rate = (n_tokens - 1) / seconds[1] if n_tokens > 1 else 0.0
    return ReplyFinished(reason=reason, n_prompt=n_prompt, n_tokens=n_tokens, prefill_s=seconds[0], tokens_per_s=rate)


class _HeldText:
    """Text on its way out: what may be the beginning of a stop text, or of a character, waits until that is known."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._decoder = IncrementalDecoder(tokenizer)
        self._stop = stop
        self._held = ""
        self._n_shown = 0
        """So many characters of `_held` are on screen already: the beginning of a stop text in a reply that goes on."""

    def skip(self, id: int) -> None:
        """A token whose text was shown long ago."""
        self._held += self._decoder.add(id)
        self._n_shown = max((_overlap(self._held, text) for text in self._stop), default=0)
        self._held = self._held[len(self._held) - self._n_shown :]

    def add(self, id: int, *, is_end: bool, is_last: bool) -> tuple[str, bool]:
        """The text that can be shown with this token, and whether a stop text ended the reply."""
        if not is_end:
            self._held += self._decoder.add(id)
        found = [place for place in (self._held.find(text) for text in self._stop) if place >= 0]
        if found:
            return self._held[self._n_shown : min(found)], True
        waits = 0 if is_end or is_last else max((_overlap(self._held, text) for text in self._stop), default=0)
        n_ready = len(self._held) - waits
        shown = self._held[self._n_shown : n_ready]
        self._held = self._held[n_ready:]
        self._n_shown = max(0, self._n_shown - n_ready)
        return shown, False


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
