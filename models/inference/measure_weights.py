"""Measurement of speed, memory and perplexity of each weight format, on the same texts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.inference.continuation import Continuation, evaluating
from terrarium.models.inference.held_out import HeldOut
from terrarium.models.inference.sampling import check_finite
from terrarium.models.inference.weight_kinds import KINDS, WeightsFigures, WeightsMeasured
from terrarium.models.inference.weights import megabytes, prepare_weights, slower_reason

N_PREDICTED = 2048
"""Number of predicted tokens."""
WINDOW = 256
N_PROMPT, N_WRITTEN, ROUNDS = 128, 16, 4
"""In each round, all formats read and generate this many tokens in turn, so that other load affects all equally."""


@dataclass
class _Measured:
    model: Decoder
    read: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)
    """Tokens per second in each round."""
    nats: float = 0.0


def measure_weights(model: AnyModel, held_out: HeldOut, kinds: Sequence[str] = KINDS) -> Generator[Event, None, None]:
    """Measure the formats, including float32. Yields Phase, Progress, finally WeightsMeasured; closing it cancels.

    All formats are in memory simultaneously, which takes about as much again as the model itself.

    Raises:
        ValueError: if the model is not a decoder, its output is not finite, or the text is too short.
    """
    if not isinstance(model, Decoder):
        raise ValueError("Only a decoder's weights can be measured, since only decoders predict the next token.")
    windows = text_windows(held_out, model.config.context_length)
    if not windows:
        raise ValueError(f"There is too little text in {held_out.label}: it needs at least two tokens.")
    yield Phase(name="Preparing weights")
    measured: dict[str, _Measured] = {}
    wanted = dict.fromkeys(("float32", *kinds))
    for kind in wanted:
        prepared = prepare_weights(model, kind)
        assert isinstance(prepared, Decoder)
        measured[kind] = _Measured(prepared)
        yield Progress(done=len(measured), total=len(wanted))
    yield Phase(name="Reading and writing")
    for done in range(ROUNDS + 1):
        for one in measured.values():
            for _ in _write(one, windows[0][0]):
                yield Progress(done=done, total=ROUNDS + 1)
    yield Phase(name="Predicting held-out text")
    for done, (window, counted) in enumerate(windows, start=1):
        for one in measured.values():
            one.nats += nats(one.model, window, counted)
            yield Progress(done=done, total=len(windows))
    n_predicted = sum(n_counted(*each) for each in windows)
    device = model.embedding.weight.device
    exact = measured["float32"].nats
    rows = tuple(
        WeightsFigures(
            kind=kind,
            megabytes=megabytes(one.model),
            tokens_per_s=statistics.median(one.written[1:]),  # the first round warms up
            read_per_s=statistics.median(one.read[1:]),
            perplexity=math.exp(min(one.nats / n_predicted, 700.0)),
            change=math.expm1((one.nats - exact) / n_predicted),
            problem=slower_reason(kind, device),
        )
        for kind, one in measured.items()
    )
    yield WeightsMeasured(rows=rows, text=held_out.label, n_predicted=n_predicted)


def text_windows(held_out: HeldOut, context: int) -> list[tuple[Sequence[int], Sequence[bool]]]:
    """Return windows of up to WINDOW tokens, and which tokens count (as for `nats`), for N_PREDICTED predictions.

    If only some tokens of each text count, only its beginning is read; a text without such tokens there is left out.

    context: the model's context length.
    """
    length = min(WINDOW, context)
    found: list[tuple[Sequence[int], Sequence[bool]]] = []
    left = N_PREDICTED
    if held_out.counted:
        for ids, counted in zip(held_out.texts, held_out.counted, strict=True):
            if any(counted[1:length]) and left > 0:
                found.append((ids[:length], counted[:length]))
                left -= n_counted(*found[-1])
        return found
    for text in held_out.texts:
        for start in range(0, len(text) - 1, max(length - 1, 1)):
            window = text[start : start + min(length, left + 1)]
            if len(window) > 1 and left > 0:
                found.append((window, ()))
                left -= len(window) - 1
    return found


def n_counted(window: Sequence[int], counted: Sequence[bool] = ()) -> int:
    """Return the number of tokens that `nats` sums over."""
    return sum(counted[1:]) if counted else len(window) - 1


def _write(one: _Measured, ids: Sequence[int]) -> Iterator[None]:
    """Run one round of one format: read the beginning of `ids` and continue it. Yields after each forward pass."""
    prompt = list(ids[: max(1, min(N_PROMPT, one.model.config.context_length - N_WRITTEN))])
    text = Continuation(one.model, prompt, -1)
    new, seconds = torch.tensor([prompt]), []
    for _ in range(min(N_WRITTEN + 1, text.max_new_tokens)):
        began = time.perf_counter()
        new = text.next_logits(new).argmax(dim=-1, keepdim=True).cpu()
        seconds.append(time.perf_counter() - began)
        yield
    one.read.append(len(prompt) / seconds[0])
    one.written.append(1 / statistics.median(seconds[1:]) if seconds[1:] else 0.0)


def nats(model: Decoder, window: Sequence[int], counted: Sequence[bool] = ()) -> float:
    """Return the summed surprisal of all tokens of a text but the first, in nats.

    counted: which of its tokens count; () for all of them.
    """
    with evaluating(model):
        ids = torch.tensor([list(window)], device=model.embedding.weight.device)
        logits = model(ids[:, :-1])[0].float()
        check_finite(logits)
        each = F.cross_entropy(logits, ids[0, 1:], reduction="none")
        return float((each[torch.tensor(list(counted[1:]), device=each.device)] if counted else each).sum())
