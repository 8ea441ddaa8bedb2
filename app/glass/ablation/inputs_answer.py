"""The queries of the inputs panel: the answer at a position, and the contribution of each input token to it."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from terrarium.app.glass.examiner import Question
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.target_token import TargetToken

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.events import Event
    from terrarium.models.inspect.input_attribution import Attribution
    from terrarium.models.inspect.leave_one_out import InputToken, Unit


@dataclass(frozen=True, kw_only=True, eq=False)
class InputsAnswer:
    """The answer for which input contributions are measured.

    id, name: the token, or the label. own: its log-probability, in nats.
    n_tokens, n_source: how many tokens of the text, and of an encoder-decoder's source, the model read for it.
    units: the tokens that are hidden together: those of a word if a label is explained, else single tokens.
    flops: the FLOPs of hiding all units, one after the other.
    of: "logit" or "log-probability", whose gradient × input is `gradient`; "" if it was not requested.
    target_is_visible: as in TargetToken.
    """

    target: TargetToken
    id: int
    name: str
    own: float
    n_tokens: int
    n_source: int
    units: tuple[Unit, ...]
    flops: float
    target_is_visible: bool
    of: str = ""
    gradient: Attribution | None = None

    @cached_property
    def named(self) -> ReadText:
        """The text in which the displayed word of each unit's first token is that of the whole unit."""
        words, source = [*self.target.text.words], [*self.target.text.source_words]
        for unit in self.units:
            side = source if unit[0].in_source else words
            first, *others = (side[token.position] for token in unit)
            side[unit[0].position] = first + "".join(other.removeprefix("##") for other in others)
        return replace(self.target.text, words=tuple(words), source_words=tuple(source))

    @cached_property
    def unit_of(self) -> Mapping[InputToken, InputToken]:
        """The first token of the unit of each token."""
        return {token: unit[0] for unit in self.units for token in unit}


def read_inputs(
    model: AnyModel, tokenizer: Tokenizer, target: TargetToken, of: str
) -> Generator[Event, None, InputsAnswer]:
    """Compute the answer at the target. of: as in InputsAnswer. Runs on the worker thread."""
    from terrarium.models.inspect.input_attribution import attribute_in_steps
    from terrarium.models.inspect.leave_one_out import answer_to, flops_of_one, inputs_of, words_to_hide
    from terrarium.models.inspect.read_text import read_up_to
    from terrarium.models.tokenizers.codec import words_of

    text, readout = target.to_text(), target.readout(model)
    id, own = answer_to(model, text, readout, target.outcome(model, tokenizer))
    seen = read_up_to(model.config, text, readout.at)
    inputs = inputs_of(model, seen, readout)
    units: list[Unit] = [(token,) for token in inputs]
    if target.question is not None:
        units = words_to_hide(inputs, words_of(tokenizer, seen.ids), words_of(tokenizer, seen.source_ids))
    return InputsAnswer(
        target=target,
        id=id,
        name=target.names(tokenizer, [id])[id],
        own=own,
        n_tokens=len(seen.ids),
        n_source=len(seen.source_ids),
        units=tuple(units),
        flops=len(units) * flops_of_one(model, seen),
        target_is_visible=target.target_is_visible(model, tokenizer),
        of=of,
        gradient=(yield from attribute_in_steps(model, text, readout, id, of)) if of else None,
    )


def hiding_question(answer: InputsAnswer) -> Question:
    """Return a question to ask repeatedly: each answer is a list of (a unit's first token, change in nats).

    The units follow one another; the answer is [] after the last one.
    """
    from terrarium.models.inspect.leave_one_out import LeaveOneOut

    made: list[LeaveOneOut] = []

    def measure_next(model: AnyModel, tokenizer: Tokenizer) -> list[tuple[InputToken, float]]:
        from terrarium.models.tokenizers.special_tokens import mask_id

        if not made:
            is_encoder = model.config.topology == "encoder-only"
            target, mask = answer.target, mask_id(tokenizer) if is_encoder else None
            made.append(LeaveOneOut(target.to_text(), target.readout(model), answer.id, mask, answer.units))
        return made[0].measure_next(model)

    return measure_next


def contributions(
    answer: InputsAnswer, changes: Mapping[InputToken, float], *, in_percent: bool = False
) -> tuple[list[float], list[float]]:
    """Return the contribution of each token of the text, and of the source, to the answer.

    It is the decrease of the answer's log-probability (nats), or with `in_percent` of its probability (percentage
    points), without the token, or without the word that it belongs to; 0 if it has not been measured.
    """
    found: tuple[list[float], list[float]] = [0.0] * answer.n_tokens, [0.0] * answer.n_source
    own = math.exp(answer.own)
    for token, first in answer.unit_of.items():
        change = changes.get(first)
        if change is not None:
            falls = 100 * (own - math.exp(answer.own + change)) if in_percent else -change
            found[token.in_source][token.position] = falls
    return found
