"""The distribution that one token was sampled from, step by step, as plain numbers. No widgets.

Computed by `models.inference.sampling_steps`, which also generates replies. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.models.inference.sampling_steps import SamplingState, SamplingSteps, drawn_token, sampling_steps
from terrarium.models.inference.top_tokens import Floats, top_ids
from terrarium.models.settings.sampling_config import SamplingConfig

N_ROWS = 30
_N_SEGMENTS = 40


@dataclass(frozen=True)
class XrayRow:
    """One token: its rank and probability in the model's own distribution, its probability after penalties and
    temperature, and after all settings; `cut` is the setting that cut it off, "" for none."""

    id: int
    rank: int
    own: float
    tempered: float
    final: float
    cut: str


@dataclass(frozen=True, kw_only=True)
class XrayBar:
    """One stage of `SamplingSteps` as a bar of length 1.

    widths: of the tokens of `Xray.order`; `is_cut` says which of them are cut off: up to the stage "drawn" they are
    kept as gaps. rest: the width of all other tokens, with `rest_left` of it remaining.
    removed: the probability that this stage removed. entropy: in nats, of what is left.
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

    rows: the top tokens after penalties and temperature, with the token of the text and the one that the draw lands
    on. order: ids of the tokens in the bars, from left to right. chosen: the id of the token of the text.
    draw: the random number in [0, 1), None if nothing was drawn or it is unknown; with these settings it lands on the
    token `lands`.
    n_left: how many of the n_tokens in the vocabulary can be drawn. removed: the probability that was cut off.
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
        """The row of the chosen token, or of one of the top tokens."""
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
    """The X-ray of token `chosen`, drawn from logits (V,) after the tokens `before`; `state`: the sampling state after
    those, see `sampling_steps`.

    Raises:
        ValueError: as `sampling_steps`.
    """
    steps = sampling_steps(logits, config, before, n_prompt, state)
    if draw is None or config.temperature == 0.0:
        lands = int(steps.final.argmax()) if config.temperature == 0.0 else None
    else:
        lands = drawn_token(steps.final, draw)
    # At temperature 0 all but one have a probability of 0: order them by their probability before it.
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
    """Every token of the vocabulary, by rank in the model's own distribution; arguments as `x_ray`."""
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
