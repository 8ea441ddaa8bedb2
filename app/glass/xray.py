"""The distribution from which one token was sampled, step by step, as plain numbers. No widgets, no torch.

`models.inference.sampling_steps` computes it, the same code that generates replies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.models.inference.sampling_steps import (
    Floats,
    SamplingState,
    SamplingSteps,
    drawn_token,
    sampling_steps,
    top_ids,
)
from terrarium.models.settings.sampling_config import SamplingConfig

N_ROWS = 30
_N_SEGMENTS = 40


@dataclass(frozen=True)
class XrayRow:
    """The probabilities of one token at a position.

    rank, own: the rank (1 = most likely) and probability in the model's own distribution. tempered: the probability
    after penalties and temperature. final: after all settings. cut: the setting that removed it, or "".
    """

    id: int
    rank: int
    own: float
    tempered: float
    final: float
    cut: str


@dataclass(frozen=True, kw_only=True)
class XrayBar:
    """One step of `SamplingSteps` as a bar of length 1.

    widths: of the tokens of `Xray.order`. is_cut: which of them have been removed; before the step "drawn", they keep
    their width as gaps. rest: the width of all other tokens; `rest_left` is the part of it that has not been removed.
    removed: the probability that this step removed. entropy: that of the remaining distribution, renormalised, in nats.
    """

    name: str
    widths: tuple[float, ...]
    is_cut: tuple[bool, ...]
    rest: float
    rest_left: float
    removed: float
    entropy: float


@dataclass(frozen=True, kw_only=True)
class Xray:
    """The distribution at one position of a text.

    rows: the top tokens after penalties and temperature, then `chosen` and `lands` if they are not among them.
    order: ids of the tokens in the bars, from left to right. chosen: the id of the token in the text.
    draw: the random number in [0, 1); None if nothing was drawn or it is unknown. lands: the id of the token that the
    draw selects with these settings: at temperature 0 the most likely one, else None if `draw` is None.
    n_left: how many of the `n_tokens` tokens of the vocabulary can be drawn.
    removed: the probability that all truncations removed.
    """

    config: SamplingConfig
    rows: tuple[XrayRow, ...]
    order: tuple[int, ...]
    bars: tuple[XrayBar, ...]
    chosen: int
    draw: float | None
    lands: int | None
    n_left: int
    n_tokens: int
    removed: float

    def row_of(self, id: int) -> XrayRow:
        """Return the row of a token: `chosen`, `lands` or one of the top tokens."""
        return next(row for row in self.rows if row.id == id)


def x_ray(
    logits: Floats,
    config: SamplingConfig,
    before: Sequence[int],
    n_prompt: int,
    chosen: int,
    draw: float | None,
    state: SamplingState | None = None,
) -> Xray:
    """Compute the X-ray of token `chosen`, drawn from logits (V,) after the tokens `before`.

    n_prompt, state: as in `sampling_steps`. draw: see Xray.

    Raises:
        ValueError: as `sampling_steps`.
    """
    steps = sampling_steps(logits, config, before, n_prompt, state)
    if draw is None or config.temperature == 0.0:
        lands = int(steps.final.argmax()) if config.temperature == 0.0 else None
    else:
        lands = drawn_token(steps.final, draw)
    # At temperature 0 all tokens but one have probability 0: order them by the probabilities before temperature.
    ordered = steps.tempered if config.temperature else steps.untempered
    order = top_ids(ordered, _N_SEGMENTS).tolist()
    wanted = dict.fromkeys([*order[:N_ROWS], chosen, *([] if lands is None else [lands])])
    return Xray(
        config=config,
        rows=tuple(_rows(np.array(list(wanted)), logits, steps)),
        order=tuple(order),
        bars=_bars(steps, order),
        chosen=chosen,
        draw=draw,
        lands=lands,
        n_left=int((steps.final > 0).sum()),
        n_tokens=len(logits),
        removed=steps.removed,
    )


def all_rows(
    logits: Floats, config: SamplingConfig, before: Sequence[int], n_prompt: int, state: SamplingState | None = None
) -> list[XrayRow]:
    """Return the rows of the whole vocabulary by rank in the model's own distribution; arguments as `x_ray`."""
    return _rows(top_ids(logits, len(logits)), logits, sampling_steps(logits, config, before, n_prompt, state))


def _rows(ids: NDArray[np.int64], logits: Floats, steps: SamplingSteps) -> list[XrayRow]:
    ranks = len(logits) - np.searchsorted(np.sort(logits), logits[ids], side="right") + 1
    cuts = np.full(len(ids), "", dtype=object)
    for stage in reversed(steps.truncations):
        cuts[stage.probabilities[ids] == 0] = stage.name
    cuts[steps.tempered[ids] == 0] = "temperature"  # at 0, and where float32 cannot tell a probability from 0
    columns = (ids, ranks, steps.own[ids], steps.tempered[ids], steps.final[ids], cuts)
    return [XrayRow(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def _bars(steps: SamplingSteps, order: list[int]) -> tuple[XrayBar, ...]:
    bars, tempered = [], steps.tempered[order].tolist()
    for stage in steps.stages:
        values = stage.probabilities[order].tolist()
        left = max(0.0, float(stage.probabilities.sum()) - sum(values))
        is_cut = stage in steps.truncations
        bars.append(
            XrayBar(
                name=stage.name,
                widths=tuple(tempered if is_cut else values),
                is_cut=tuple(value == 0.0 for value in values),
                rest=max(0.0, 1.0 - sum(tempered)) if is_cut else left,
                rest_left=left,
                removed=stage.removed,
                entropy=stage.entropy,
            )
        )
    return tuple(bars)
