"""The X-ray of a draw in numbers: it shows the distribution the token was drawn from."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRectF, Qt
from pytestqt.qtbot import QtBot

from terrarium.app.glass.next_token.xray_table import XrayTable
from terrarium.app.glass.stage_bars import StageBars
from terrarium.app.glass.xray import Xray, all_rows, x_ray
from terrarium.app.kit.forms.sampling_sliders import sampling_label
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.inference.sampling_steps import sampling_steps
from terrarium.models.settings.sampling_config import TRUNCATIONS, SamplingConfig, format_step, is_same_sampling
from tests.models.every_cut import EVERY_CUT

LOGITS = np.log(np.array([0.05, 0.4, 0.25, 0.2, 0.1], np.float32))
AS_IT_IS = SamplingConfig(temperature=1.0)


def look(draw: float | None = 0.5, chosen: int = 1, **settings: float) -> Xray:
    return x_ray(LOGITS, SamplingConfig(**{"temperature": 1.0, **settings}), (), 0, chosen, draw)


def test_rows_are_the_distribution_step_by_step() -> None:
    xray = look(top_k=3, min_p=0.6)
    assert [row.id for row in xray.rows] == [1, 2, 3, 4, 0]
    assert [row.rank for row in xray.rows] == [1, 2, 3, 4, 5]
    assert [row.cut for row in xray.rows] == ["", "", "min_p", "top_k", "top_k"]
    assert [row.own for row in xray.rows] == pytest.approx([0.4, 0.25, 0.2, 0.1, 0.05])
    assert [row.final for row in xray.rows] == pytest.approx([0.4 / 0.65, 0.25 / 0.65, 0, 0, 0])
    assert (xray.n_left, xray.n_tokens) == (2, 5)
    assert xray.removed == pytest.approx(0.35)


def test_bars_keep_gaps_until_the_last_stage() -> None:
    bars = {bar.name: bar for bar in look(top_k=3).bars}
    assert list(bars) == ["model", "temperature", "top_k", "drawn"]
    assert bars["top_k"].widths == bars["temperature"].widths
    assert bars["top_k"].is_cut == (False, False, False, True, True)
    assert bars["top_k"].removed == pytest.approx(0.15)
    assert bars["drawn"].widths == pytest.approx((0.4 / 0.85, 0.25 / 0.85, 0.2 / 0.85, 0, 0))
    assert bars["drawn"].entropy < bars["model"].entropy
    assert all(bar.rest == pytest.approx(0, abs=1e-6) for bar in bars.values())


def test_the_draw_lands_where_the_bar_says() -> None:
    for draw in np.linspace(0, 0.999, 50).tolist():
        xray = look(draw, top_p=0.9)
        edges = np.cumsum(xray.bars[-1].widths)
        assert xray.lands == xray.order[int(np.searchsorted(edges, draw, side="right"))]
    assert look(0.99, top_k=1).lands == 1
    assert look(None).lands is None
    greedy = look(0.99, chosen=3, temperature=0.0)
    assert (greedy.lands, greedy.row_of(3).cut) == (1, "temperature")
    assert [row.id for row in greedy.rows] == [1, 2, 3, 4, 0], "tokens that cannot be drawn are ranked too"


def test_a_low_ranked_chosen_token_is_in_the_rows() -> None:
    logits = np.linspace(5, -5, 500, dtype=np.float32)
    xray = x_ray(logits, AS_IT_IS, (), 0, 400, 1 - 1e-9)
    assert len(xray.order) == 40
    assert [row.id for row in xray.rows[-2:]] == [400, 499]
    assert xray.row_of(400).rank == 401
    assert sum(xray.bars[0].widths) + xray.bars[0].rest == pytest.approx(1)


def test_all_rows_are_the_whole_vocabulary() -> None:
    logits = np.array([1.0, 3.0, 1.0, 2.0], np.float32)
    rows = all_rows(logits, SamplingConfig(temperature=0.5, top_k=2), (), 0)
    assert [(row.id, row.rank) for row in rows] == [(1, 1), (3, 2), (0, 3), (2, 3)]
    assert sum(row.own for row in rows) == pytest.approx(1)
    assert [row.final for row in rows] == pytest.approx(
        [*sampling_steps(logits, SamplingConfig(temperature=0.5, top_k=2)).final[[1, 3]], 0, 0]
    )
    assert math.isclose(sum(row.final for row in rows), 1, rel_tol=1e-6)


def test_seed_and_length_change_no_distribution() -> None:
    assert is_same_sampling(AS_IT_IS, SamplingConfig(temperature=1.0, seed=5, max_tokens=3, stop=("a",)))
    assert not is_same_sampling(AS_IT_IS, SamplingConfig(temperature=0.9))


@pytest.mark.parametrize("draw", [145.0, 150.0, 155.0, 20.0])
def test_the_line_of_the_draw_crosses_no_name(qtbot: QtBot, theme: ThemeProvider, draw: float) -> None:
    bars, shape = StageBars(theme), QRectF(0, 0, 300, 18)
    qtbot.addWidget(bars)
    words = bars.words_rect(shape, 40, draw)
    assert shape.contains(words)
    assert not words.left() <= draw <= words.right()
    assert (words.center() == shape.center()) == (draw == 20.0), "only words that the line would cross are moved"
    tight = QRectF(130, 0, 44, 18)
    assert bars.words_rect(tight, 40, 150.0).center() == tight.center(), "where neither side has room they stay"


@pytest.mark.parametrize("name", TRUNCATIONS)
def test_every_cut_has_a_bar_and_a_word(qtbot: QtBot, theme: ThemeProvider, name: str) -> None:
    config = dataclasses.replace(AS_IT_IS, **EVERY_CUT[name])
    xray = x_ray(np.linspace(3, -3, 200, dtype=np.float32), config, (), 0, 199, None)
    bars, table = StageBars(theme), XrayTable(theme)
    for view in (bars, table):
        qtbot.addWidget(view)
        view.show_xray(xray, str, can_choose=False)
    assert format_step(config, name) in bars.accessibleDescription()
    assert next(bar for bar in xray.bars if bar.name == name).removed > 0
    (row,) = (row for row in table.texts() if row[1].endswith("199"))
    assert row[4] == sampling_label(name)[0].lower()


def test_only_a_left_click_chooses_a_token(qtbot: QtBot, theme: ThemeProvider) -> None:
    bars, chosen = StageBars(theme), list[int]()
    qtbot.addWidget(bars)
    bars.chosen.connect(chosen.append)
    bars.resize(400, bars.sizeHint().height())
    bars.show_xray(x_ray(np.array([3.0, 1.0, 0.0], np.float32), AS_IT_IS, (), 0, 0, None), str, can_choose=True)
    place = QPoint(20, int(bars.bar_rect(0).center().y()))
    qtbot.mouseClick(bars, Qt.MouseButton.RightButton, pos=place)
    assert chosen == []
    qtbot.mouseClick(bars, Qt.MouseButton.LeftButton, pos=place)
    assert chosen == [0]
