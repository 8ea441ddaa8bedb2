"""Speculative decoding against plain decoding of the same model, by turns, on the beginnings of held-out texts."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Sequence

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Event, Phase, Progress, ReplyFinished
from terrarium.models.inference.generate import generate
from terrarium.models.inference.held_out import HeldOut
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.inference.speculative import Draft
from tools.bench.result import Result, compared

N_TEXTS, N_PROMPT, N_TOKENS, ROUNDS = 3, 32, 64, 5
TEMPERATURES = (0.0, 0.8)
_NEVER = (-1,)
"""An end token that no model writes, so that all replies are equally long."""


def bench_speculation(
    model: AnyModel, tokenizer: Tokenizer, draft: Draft, held_out: HeldOut
) -> Generator[Event, None, list[Result]]:
    """Two results per temperature: tokens per second, the reference being the model alone; and what was accepted.

    draft: `models.inference.speculative.check_draft` has approved of it.
    """
    prompts = [list(text[:N_PROMPT]) for text in held_out.texts[:N_TEXTS]]
    results = []
    for temperature in TEMPERATURES:
        yield Phase(name=f"Writing at temperature {temperature:g}")
        rates: tuple[list[float], list[float]] = ([], [])
        ends: list[ReplyFinished] = []
        for done in range(ROUNDS + 1):
            config = SamplingConfig(temperature=temperature, max_tokens=N_TOKENS, seed=done)
            for i, helper in enumerate((draft, None)):
                made = [_reply(model, tokenizer, prompt, config, helper) for prompt in prompts]
                rates[i].append(_rate(made))
                ends += made if done and helper is not None else ()
            yield Progress(done=done, total=ROUNDS)
        ours, plain = (each[1:] for each in rates)  # the first round warms up
        results.append(
            compared(
                f"draft, temperature {temperature:g}",
                statistics.median(ours),
                statistics.median(plain),
                "tokens/s",
                less_is_better=False,
                rounds=zip(ours, plain, strict=True),
            )
        )
        n_drafted, n_accepted = sum(end.n_drafted for end in ends), sum(end.n_accepted for end in ends)
        per_pass = sum(end.n_tokens for end in ends) / sum(end.n_passes for end in ends)
        results.append(
            Result(
                name=f"accepted, temperature {temperature:g}",
                ours=100 * n_accepted / max(n_drafted, 1),
                unit=f"% of the drafted tokens, {per_pass:.2f} tokens per pass of the model",
            )
        )
    return results


def _reply(
    model: AnyModel, tokenizer: Tokenizer, prompt: Sequence[int], config: SamplingConfig, draft: Draft | None
) -> ReplyFinished:
    *_, end = generate(model, tokenizer, prompt, config, end_ids=_NEVER, draft=draft)
    assert isinstance(end, ReplyFinished)
    return end


def _rate(ends: Sequence[ReplyFinished]) -> float:
    """Tokens per second of several replies together, after the first token of each."""
    seconds = sum((end.n_tokens - 1) / end.tokens_per_s for end in ends if end.tokens_per_s)
    return sum(end.n_tokens - 1 for end in ends if end.tokens_per_s) / seconds if seconds else 0.0
