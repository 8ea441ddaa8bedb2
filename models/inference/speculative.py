"""Speculative decoding: a small model drafts the next tokens, and the large one checks all of them in one pass.

Sources: Leviathan et al. (arXiv:2211.17192) and Chen et al. (arXiv:2302.01318). Let p be the large model's distribution
of a token and q the draft's, both after the sampling settings. The draft's token x ~ q is accepted with the probability
min(1, p(x) / q(x)); otherwise the token is drawn from norm(max(0, p − q)). In both cases it has the distribution p: the
probability of y is min(q(y), p(y)) + (1 − Σ min(q, p)) · max(0, p(y) − q(y)) / Σ max(0, p − q) = p(y). At temperature
0, p and q are one-hot, so an accepted token is the large model's own choice.

Each position of a reply has its own random numbers, and every token is chosen in this way, including the bonus token
after the drafted ones: its q is the distribution that the draft computes next anyway. So a token depends on the text
before it, on the two models and on the seed, but not on how many tokens were drafted in one pass or where a pass began:
a seed gives the same reply for any number of drafted tokens, and a continued reply is the same as an uninterrupted one.

Only the mathematics is exact. A pass over several tokens rounds differently from passes over one (in float32, by some
1e-6 of a logit), so two tokens whose probabilities differ by less may change places.

Letters in shape comments: T tokens, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Speculated
from terrarium.models.inference.continuation import Continuation
from terrarium.models.inference.fast_matmul import FEW
from terrarium.models.inference.prefill import PrefixCache
from terrarium.models.inference.sampling import Drawn, SampledToken, SamplingConfig, as_floats
from terrarium.models.inference.sampling_steps import (
    Floats,
    SamplingState,
    SamplingSteps,
    drawn_token,
    entropy,
    likeliest,
    rank,
    sampling_steps,
)
from terrarium.models.settings.sampling_config import MAX_DRAFTED, N_DRAFTED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

assert MAX_DRAFTED < FEW
_LEAST_CONFIDENCE = 0.4
"""The draft stops at a token with a lower probability in its own distribution: the next ones would be rejected."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A draft model: a decoder that has passed `check_draft`.

    n_tokens: the maximum number of tokens per draft; fewer after rejections. prefix_cache: its KV cache of the last
    text.
    """

    model: AnyModel
    n_tokens: int = N_DRAFTED
    prefix_cache: PrefixCache | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.n_tokens <= MAX_DRAFTED:
            raise ValueError(f"{self.n_tokens} tokens cannot be drafted at once: choose 1 to {MAX_DRAFTED}.")


def check_draft(model: AnyModel, tokenizer: Tokenizer, draft: AnyModel, own: Tokenizer, name: str) -> None:
    """Raise ValueError if `draft`, called `name`, with its tokenizer `own`, cannot draft for `model`."""
    if model.config.topology != "decoder-only" or model.config.head != "language":
        raise ValueError("Only a decoder's texts can be drafted by a small model: leave out the draft model.")
    if model.config.rope_scaling == "dynamic":
        raise ValueError(
            "This model's RoPE scaling is dynamic, so reading several tokens at once would rotate them otherwise than "
            "one after another: leave out the draft model."
        )
    if draft.config.topology != "decoder-only" or draft.config.head != "language":
        raise ValueError(f"{name!r} cannot draft, since it is not a decoder that writes texts: choose another model.")
    if draft is model:
        raise ValueError(f"{name!r} is the model itself, which is no faster than itself: choose a smaller draft model.")
    if own.get_vocab() != tokenizer.get_vocab() or draft.config.vocab_size != model.config.vocab_size:
        raise ValueError(
            f"{name!r} has another tokenizer than the model that it is to draft for: train one with the same tokenizer."
        )


class Proposal(NamedTuple):
    """A drafted token, and the distribution (V,) that it was drawn from; None at temperature 0."""

    id: int
    q: Floats | None


class Speculation:
    """Drafts and checks the tokens of one reply, and counts drafted and accepted tokens and passes."""

    def __init__(
        self,
        model: Continuation,
        drafter: Drafter,
        config: SamplingConfig,
        n_prompt: int,
        state: SamplingState,
        end_ids: Collection[int | None] = (),
    ) -> None:
        """n_prompt: tokens before the reply. state: the sampling state, updated with the tokens. end_ids: tokens after
        which nothing is drafted."""
        self._model, self._drafter, self._config = model, drafter, config
        self._n_prompt, self._state, self._end_ids = n_prompt, state, end_ids
        self._numbers = _Numbers(config.seed)
        self._n = drafter.most
        self.n_drafted = self.n_accepted = self.n_passes = 0
        model.reserve_rollback(drafter.most)

    def draws(self, text: list[int], new: Sequence[int], limit: int) -> Iterator[Drawn]:
        """Continue `text` by `limit` tokens, appending them; the model has not read its last tokens `new`."""
        made = 0
        while made < limit:
            # The first pass reads the rest of the prompt; a pass yields one token more than are accepted.
            drawn = self._pass(text, new, min(self._n, limit - made - 1) if made else 0)
            made, new = made + len(drawn), text[-1:]
            for each in drawn:  # an end token may be the last of these that is used
                self.n_accepted += each.speculated is not None and each.speculated.outcome == "accepted"
                yield each

    def _pass(self, text: list[int], new: Sequence[int], most: int) -> list[Drawn]:
        """Check up to `most` drafted tokens in one pass; appends the returned tokens, at least one, to `text`."""
        drafted = self._draft(text, most)
        n = len(drafted)
        if n:
            each = self._model.each_logits([*new, *(proposal.id for proposal in drafted)])[-n - 1 :]
        else:
            each = self._model.next_logits(torch.tensor([list(new)]))
        drawn: list[Drawn] = []
        for logits, proposal in zip(each, [*drafted, None], strict=True):
            drawn.append(self._check(text, logits, proposal))
            text.append(drawn[-1].choice.id)
            if proposal is None or text[-1] != proposal.id or text[-1] in self._end_ids:
                break
        n_kept = len(drawn) - 1  # all but the last token remain in the cache
        self._model.forget(n - n_kept)
        self._drafter.forget_beyond(len(text) - 1)
        self.n_drafted, self.n_passes = self.n_drafted + n, self.n_passes + 1
        if n:  # Hugging Face's heuristic
            self._n = min(self._n + 2, self._drafter.most) if n_kept == n else max(self._n - 1, 1)
        return drawn

    def _draft(self, text: Sequence[int], most: int) -> list[Proposal]:
        drafted: list[Proposal] = []
        whole = list(text)
        while len(drafted) < most:
            proposal, confidence = self._drafter.propose(whole, self._first_number(len(whole)))
            drafted.append(proposal)
            whole.append(proposal.id)
            if confidence < _LEAST_CONFIDENCE or proposal.id in self._end_ids:
                break
        return drafted

    def _check(self, text: Sequence[int], logits: Tensor, proposal: Proposal | None) -> Drawn:
        """Choose the token that follows `text`: the proposal or another one; without a proposal, a bonus token."""
        config, position = self._config, len(text)
        floats = as_floats(logits)
        steps = sampling_steps(floats, config, text, self._n_prompt, self._state)
        p = steps.final
        given = proposal
        if given is None and config.temperature:  # the draft would read this text next anyway
            given, _ = self._drafter.propose(text, self._first_number(position))
        if given is None or given.q is None:
            id = int(p.argmax())
        else:
            _, accept, redraw = self._numbers.of(position - self._n_prompt)
            id = decide(p, given.q, given.id, accept, redraw)
        self._state.update(steps, id)
        if proposal is None:
            how = Speculated(outcome="bonus")
        else:
            q = 1.0 if proposal.q is None else float(proposal.q[proposal.id])
            outcome = "accepted" if id == proposal.id else "replaced"
            how = Speculated(outcome=outcome, proposed=proposal.id, p=float(p[proposal.id]), q=q)
        choice = SampledToken(id, float(steps.own[id]), entropy(steps.own), rank(floats, id), None)
        return Drawn(choice, logits, how)

    def _first_number(self, position: int) -> float | None:
        return self._numbers.of(position - self._n_prompt)[0] if self._config.temperature else None


def decide(p: Floats, q: Floats, proposed: int, accept: float, redraw: float) -> int:
    """Accept `proposed`, drawn from q (V,), or choose another token, so that the result has the distribution p (V,).

    accept, redraw: random numbers in [0, 1): for the acceptance, and for drawing a replacement.
    """
    exact_p, exact_q = _normalised(p), _normalised(q)
    if accept * exact_q[proposed] < exact_p[proposed]:
        return proposed
    left: NDArray[np.float64] = np.maximum(exact_p - exact_q, 0.0)
    if not left.any():  # p and q are equal up to rounding
        return proposed
    return drawn_token(left / left.sum(), redraw)


def _normalised(probabilities: Floats) -> NDArray[np.float64]:
    exact = probabilities.astype(np.float64)
    shares: NDArray[np.float64] = exact / exact.sum()
    return shares


class _Numbers:
    """Three random numbers in [0, 1) for each token of a reply: for the draft, the acceptance, and the replacement."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._known: list[tuple[float, float, float]] = []

    def of(self, index: int) -> tuple[float, float, float]:
        """Return the numbers of the token at an index of the reply."""
        while len(self._known) <= index:
            draft, accept, redraw = torch.rand(3, generator=self._generator, dtype=torch.float64).tolist()
            self._known.append((draft, accept, redraw))
        return self._known[index]


class Drafter:
    """A draft model that follows a text. Of a text longer than its own context, it reads the last part."""

    def __init__(self, draft: Draft, config: SamplingConfig, n_prompt: int) -> None:
        """n_prompt: tokens before the reply."""
        self.most = draft.n_tokens
        """The maximum number of tokens ahead of the text."""
        self._draft, self._config, self._n_prompt = draft, config, n_prompt
        self._continuation: Continuation | None = None
        self._start = 0
        self._steps: dict[int, tuple[SamplingState, SamplingSteps]] = {}  # of the last positions

    def read(self, text: Sequence[int]) -> Iterator[int]:
        """Read all but the last token of a text, in chunks; yields the number of tokens read after each."""
        continuation = self._following(text)
        for n_read in continuation.read_chunks():
            yield self._start + n_read
        rest = text[self._start + continuation.n_read : -1]
        if rest:
            continuation.next_logits(torch.tensor([list(rest)]))

    def follow(self, text: Sequence[int]) -> None:
        """Follow a text whose next token is given, if the sampling state depends on each token."""
        if self._config.temperature:
            self.propose(text, 0.0)
            self.forget_beyond(len(text))

    def propose(self, text: Sequence[int], number: float | None) -> tuple[Proposal, float]:
        """Propose the token after `text`, with its probability in the draft's distribution. number: the random number
        for drawing it; None for the most likely token."""
        logits = as_floats(self._logits(text))
        if number is None:
            id = likeliest(logits, self._config, text, self._n_prompt)
            return Proposal(id, None), float(1 / np.exp(logits - logits[id]).sum())
        state = self._state_after(text)
        steps = sampling_steps(logits, self._config, text, self._n_prompt, state)
        self._steps[len(text)] = state, steps
        id = drawn_token(steps.final, number)
        return Proposal(id, steps.final), float(steps.final[id])

    def forget_beyond(self, n: int) -> None:
        """Drop drafted tokens beyond the first n of the text from the cache."""
        if self._continuation is not None:
            self._continuation.forget(max(0, self._start + self._continuation.n_read - n))
        self._steps = {position: known for position, known in self._steps.items() if position == n}

    def _logits(self, text: Sequence[int]) -> Tensor:
        """Read the new tokens of `text`; return the logits of the token after it (V,)."""
        continuation = self._following(text)
        new = text[self._start + continuation.n_read :]
        if 1 < len(new) <= FEW:
            return continuation.each_logits(new)[-1]
        return continuation.next_logits(torch.tensor([list(new)]))[0]

    def _following(self, text: Sequence[int]) -> Continuation:
        """Return the reader of `text` or its last part: half a context is dropped when the context is full."""
        context = self._draft.model.config.context_length
        half = (context + 1) // 2
        start = -(-max(0, len(text) - context) // half) * half
        if self._continuation is None or start != self._start:
            cache = self._draft.prefix_cache if start == 0 else None
            self._start, self._continuation = start, Continuation(self._draft.model, text[start:], -1, (), cache)
            self._continuation.reserve_rollback(self.most + 1)
        return self._continuation

    def _state_after(self, text: Sequence[int]) -> SamplingState:
        """Return the draft's own sampling state, which depends on how it would have drawn the tokens so far."""
        known = self._steps.get(len(text) - 1)
        if known is None:
            return SamplingState(self._config)
        state, steps = known
        state = state.copy()
        state.update(steps, text[-1])
        return state
