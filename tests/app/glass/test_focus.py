"""The token under the cursor: hover previews, click locks, arrow keys move, Esc unlocks."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.glass.focus import Focus, Head
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.target_token import TargetToken


@pytest.fixture
def focus() -> Focus:
    focus = Focus()
    focus.show(ReadText(ids=(1, 2, 3, 4), words=("a", "b", "c", "d"), n_prompt=2))
    return focus


def test_hovering_ends_when_the_cursor_leaves(focus: Focus, qtbot: QtBot) -> None:
    with qtbot.waitSignal(focus.position_changed):
        focus.hover(3)
    assert focus.position == 3
    assert focus.locked is None
    focus.hover(None)
    assert focus.position is None


def test_another_text_of_the_same_tokens_is_another_text(focus: Focus, qtbot: QtBot) -> None:
    before = focus.text
    assert before is not None
    same = dataclasses.replace(before)
    with qtbot.waitSignal(focus.text_changed):
        focus.show(same)
    assert TargetToken(before, 1) != TargetToken(same, 1)


def test_a_locked_token_stays_until_it_is_unlocked(focus: Focus) -> None:
    focus.lock(2)
    focus.hover(0)
    focus.hover(None)
    assert focus.position == focus.locked == 2
    focus.unlock()
    assert focus.position is None
    focus.hover(1)
    assert focus.position == 1


def test_locking_the_hovered_token_emits_lock_changed_only(focus: Focus, qtbot: QtBot) -> None:
    focus.hover(2)
    with qtbot.assertNotEmitted(focus.position_changed), qtbot.waitSignal(focus.lock_changed):
        focus.lock(2)
    with qtbot.assertNotEmitted(focus.lock_changed):
        focus.hover(3)


def test_arrow_keys_move_from_the_reply_and_stop_at_the_ends(focus: Focus) -> None:
    focus.walk(1)
    assert focus.locked == 2, "the first token of the reply"
    for _ in range(5):
        focus.walk(1)
    assert focus.locked == 3
    for _ in range(9):
        focus.walk(-1)
    assert focus.locked == 0


def test_a_new_text_has_no_position(focus: Focus, qtbot: QtBot) -> None:
    focus.lock(3)
    same = focus.text
    with qtbot.assertNotEmitted(focus.text_changed):
        focus.show(same)
    assert focus.locked == 3
    with qtbot.waitSignals([focus.text_changed, focus.position_changed]):
        focus.show(ReadText(ids=(7,), words=("z",), n_prompt=0))
    assert focus.position is None
    focus.show(None)
    focus.walk(1)
    assert focus.position is None


def test_a_branch_is_locked_where_it_branches_off(focus: Focus) -> None:
    focus.lock(2)
    focus.branch_requested.emit(2, 9)
    focus.show(None)
    focus.show(ReadText(ids=(1, 2, 9, 7), words=("a", "b", "x", "y"), n_prompt=2))
    assert focus.locked == 2
    focus.show(ReadText(ids=(1, 2, 9), words=("a", "b", "x"), n_prompt=2))
    assert focus.locked is None


def test_choosing_the_same_head_again_emits_nothing(focus: Focus, qtbot: QtBot) -> None:
    with qtbot.waitSignal(focus.head_changed):
        focus.choose_head(Head("blocks.0.attention", 1))
    with qtbot.assertNotEmitted(focus.head_changed):
        focus.choose_head(Head("blocks.0.attention", 1))


def test_a_text_may_say_where_to_start() -> None:
    focus = Focus()
    focus.show(ReadText(ids=(1, 2, 3, 4), words=("a", "b", "c", "d"), n_prompt=2, start=3))
    assert (focus.position, focus.locked) == (3, None)
    assert focus.is_at_start
    assert focus.is_steady
    focus.hover(2)
    assert (focus.position, focus.is_at_start, focus.is_steady) == (2, False, False)
    focus.hover(None)
    assert focus.position == 3
    focus.lock(1)
    assert (focus.position, focus.is_at_start, focus.is_steady) == (1, False, True)
    focus.unlock()
    assert focus.position == 3
    focus.walk(-1)
    assert focus.locked == 2
    focus.show(ReadText(ids=(1,), words=("a",), n_prompt=0))
    assert (focus.position, focus.is_at_start, focus.is_steady) == (None, False, False)
