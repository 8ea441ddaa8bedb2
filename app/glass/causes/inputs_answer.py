"""The questions of the inputs panel: the answer at a token, and what each input token contributes to it."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.glass.examiner import Question
from app.glass.target_token import TargetToken

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.events import Event
    from models.inspect.input_attribution import Attribution
    from models.inspect.leave_one_out import InputToken


@dataclass(frozen=True, kw_only=True, eq=False)
class InputsAnswer:
    """The answer whose inputs are weighed.

    id, name: its token, or its label. own: its log-probability.
    n_tokens, n_source: how many tokens of the text, and of an encoder-decoder's source, it was given.
    n_inputs: how many of them can be hidden. flops: what hiding all of them costs, one by one.
    gradient: gradient × input of `of`, where that was asked for ("" if not). sees_itself: as in TargetToken.
    """

    target: TargetToken
    id: int
    name: str
    own: float
    n_tokens: int
    n_source: int
    n_inputs: int
    flops: float
    sees_itself: bool
    of: str = ""
    gradient: Attribution | None = None


def read_inputs(
    model: AnyModel, tokenizer: Tokenizer, target: TargetToken, of: str
) -> Generator[Event, None, InputsAnswer]:
    """The answer at the target; `of`: what gradient × input is taken of, "" for none. Runs on the worker's thread."""
    from models.inspect.input_attribution import attribute_in_steps
    from models.inspect.leave_one_out import answer_to, flops_of_one, inputs_of
    from models.inspect.reading import read_up_to

    text, readout = target.to_text(), target.readout(model)
    id, own = answer_to(model, text, readout, target.outcome(model, tokenizer))
    seen = read_up_to(model.config, text, readout.at)
    n_inputs = len(inputs_of(model, seen, readout))
    return InputsAnswer(
        target=target,
        id=id,
        name=target.names(tokenizer, [id])[id],
        own=own,
        n_tokens=len(seen.ids),
        n_source=len(seen.source_ids),
        n_inputs=n_inputs,
        flops=n_inputs * flops_of_one(model, seen),
        sees_itself=target.sees_itself(model, tokenizer),
        of=of,
        gradient=(yield from attribute_in_steps(model, text, readout, id, of)) if of else None,
    )


def hiding_question(answer: InputsAnswer) -> Question:
    """A question that is asked again and again: some more tokens with their changes, [] after the last one."""
    from models.inspect.leave_one_out import LeaveOneOut

    made: list[LeaveOneOut] = []

    def measure_next(model: AnyModel, tokenizer: Tokenizer) -> list[tuple[InputToken, float]]:
        from models.tokenizers.special_tokens import mask_id

        if not made:
            is_encoder = model.config.topology == "encoder-only"
            target, mask = answer.target, mask_id(tokenizer) if is_encoder else None
            made.append(LeaveOneOut(target.to_text(), target.readout(model), answer.id, mask))
        return made[0].measure_next(model)

    return measure_next


def contributions(
    answer: InputsAnswer, changes: Mapping[InputToken, float], *, in_percent: bool = False
) -> tuple[list[float], list[float]]:
    """What each token of the text, and of the source, adds to the answer: how much its log-probability (nats), or its
    probability (percentage points), falls without it; 0 where it is not measured."""
    found: tuple[list[float], list[float]] = [0.0] * answer.n_tokens, [0.0] * answer.n_source
    own = math.exp(answer.own)
    for token, change in changes.items():
        falls = 100 * (own - math.exp(answer.own + change)) if in_percent else -change
        found[token.in_source][token.position] = falls
    return found
