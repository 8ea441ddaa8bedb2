"""The question that the lens panel asks: what each layer answers at some places, and how a logit is made up there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.glass.names import token_names
from app.glass.target_token import TargetToken

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.inspect.logit_attribution import Contributions
    from models.inspect.logit_lens import Lens
    from models.inspect.reading import Reader

_N_BEST = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class LensColumn:
    """One place: by layer the best tokens with their probabilities, and how the token that stands there fared."""

    best: Sequence[Sequence[tuple[int, float]]]
    own: Sequence[float]
    ranks: Sequence[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class LensAnswer:
    """What was found for `asked`: at `places`, of which the last is the one in focus.

    token: the one asked for; rival: the likeliest other one. names: of all tokens in it.
    split: what makes up the token's logit, lead: what makes up its lead over the rival; where there is no such sum,
        `no_split` says why. has_final_norm: whether one was applied to every layer. sees_itself: as in Asked.
    """

    target: TargetToken
    positions: Sequence[int]
    token: int
    rival: int
    lens: Lens
    names: dict[int, str]
    split: Contributions | None
    lead: Contributions | None
    no_split: str
    has_final_norm: bool
    sees_itself: bool

    def columns(self) -> dict[int, LensColumn]:
        """What was found at each place."""
        lens, found = self.lens, {}
        for i, position in enumerate(self.positions):
            best = zip(lens.best[:, i].tolist(), lens.probabilities[:, i].tolist(), strict=True)
            found[position] = LensColumn(
                best=[list(zip(ids, values, strict=True)) for ids, values in best],
                own=lens.own[:, i].tolist(),
                ranks=lens.ranks[:, i].tolist(),
            )
        return found


def read_lens_at(
    model: AnyModel, tokenizer: Tokenizer, target: TargetToken, missing: Sequence[int], reader: Reader
) -> LensAnswer:
    """Worker's thread: the lens at `missing` places and the one in focus, and the contributions there."""
    from models.inspect.logit_attribution import contributions
    from models.inspect.logit_lens import read_lens
    from models.inspect.reading import answering_stack

    positions, at = [*missing, target.position], target.at(model)
    back = target.position - at
    whole = target.to_text()
    fits = dataclasses.replace(whole, ids=whole.ids[: model.config.context_length])  # one may be made at a full context
    streams = reader.streams(model, fits)
    own = [max(TargetToken(target.text, position).token(model, tokenizer), 0) for position in positions]
    lens = read_lens(model, streams, [position - back for position in positions], own, _N_BEST)
    answer = lens.best[-1, -1].tolist()
    token = target.token(model, tokenizer)
    token = answer[0] if token < 0 else token
    rival = answer[1] if answer[0] == token else answer[0]
    split = lead = None
    reason = ""
    try:
        split, lead = contributions(model, streams, at, [(token, None), (token, rival)])
    except ValueError as error:  # the lens stands without it
        reason = str(error)
    names = token_names(tokenizer, [*lens.best.flatten().tolist(), token, rival])
    return LensAnswer(
        target=target,
        positions=positions,
        token=token,
        rival=rival,
        lens=lens,
        names=names,
        split=split,
        lead=lead,
        no_split=reason,
        has_final_norm=answering_stack(model).final_norm is not None,
        sees_itself=target.sees_itself(model, tokenizer),
    )


def first_token(tokenizer: Tokenizer, word: str) -> tuple[int, str]:
    """The token, and its name, that a word begins with inside a text: with its space where words bring that along."""
    from models.tokenizers import encode_text

    inside, alone = encode_text(tokenizer, f" {word.strip()}"), encode_text(tokenizer, word)
    id = inside[0] if len(inside) <= len(alone) else alone[0]
    return id, token_names(tokenizer, [id])[id]
