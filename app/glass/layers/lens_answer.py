"""The query of the layers panel: each layer's prediction at some positions, and the contributions to a logit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.app.glass.names import token_names
from terrarium.app.glass.target_token import TargetToken

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inspect.logit_attribution import Contributions
    from terrarium.models.inspect.logit_lens import Lens
    from terrarium.models.inspect.read_text import Reader

_N_BEST = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class LensColumn:
    """The logit lens at one position. All sequences are over L + 1 rows: the embedding, then each layer.

    best: the top tokens with their probabilities. own, ranks: the probability and rank of the token in the text.
    """

    best: Sequence[Sequence[tuple[int, float]]]
    own: Sequence[float]
    ranks: Sequence[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class LensAnswer:
    """The logit lens at `positions`, the last of which is that of `target`.

    token: the id of the target token. rival: the id of the most likely other token. names: of all tokens in the answer.
    split: the contributions to the token's logit. lead: those to its logit difference to the rival.
    no_split: why there is no exact split, in which case both are None; else "".
    has_final_norm: whether the final norm was applied to the output of every layer.
    target_is_visible: as in TargetToken.
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
    target_is_visible: bool

    def columns(self) -> dict[int, LensColumn]:
        """Return the results by position."""
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
    """Compute the lens at the `missing` positions and the target's, and the contributions at the target.

    Runs on the worker thread.
    """
    from terrarium.models.inspect.logit_attribution import contributions
    from terrarium.models.inspect.logit_lens import read_lens
    from terrarium.models.inspect.read_text import answering_stack, ids_read

    positions, at = [*missing, target.position], target.at(model)
    back = target.position - at
    whole = target.to_text()
    streams = reader.streams(model, dataclasses.replace(whole, ids=ids_read(model.config, whole.ids)))
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
    except ValueError as error:  # the lens is shown without it
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
        target_is_visible=target.target_is_visible(model, tokenizer),
    )


def first_token(tokenizer: Tokenizer, word: str) -> tuple[int, str]:
    """Return the id and name of the first token of a word inside a text, after a space if the tokenizer attaches it."""
    from terrarium.models.tokenizers import encode_text

    inside, alone = encode_text(tokenizer, f" {word.strip()}"), encode_text(tokenizer, word)
    id = inside[0] if len(inside) <= len(alone) else alone[0]
    return id, token_names(tokenizer, [id])[id]
