"""Checks of a text while it is typed: which one runs, which ends, and which is ended."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.builder.blocks import checker as checker_module
from terrarium.app.builder.blocks.checker import BlockChecker
from terrarium.models.architecture import block_checks
from terrarium.models.architecture.block_checks import BlockReport
from terrarium.models.child_process import ChildProcess, Limits
from terrarium.models.events import Event
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import start_source

Until = Callable[[Callable[[], bool]], None]

SMALL = ModelConfig(vocab_size=64, context_length=16, n_layer=2, n_head=2, d_model=16)
TEXT = start_source("experts")
ENDLESS = TEXT.replace("super().__init__()", "super().__init__()\n        while True:\n            pass", 1)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    """The process of the checks, not started yet."""
    child = ChildProcess(idle_bytes=3 << 30)
    monkeypatch.setattr(block_checks, "_child", lambda: child)
    yield child
    child.kill()


@pytest.fixture
def began(child: ChildProcess, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts whose checks have begun; "ended" stands where one was ended before it was done."""
    texts: list[str] = []
    check_block = block_checks.check_block

    def noted(source: str, design: ModelConfig, options: Mapping[str, str]) -> Generator[Event, None, BlockReport]:
        texts.append(source)
        try:
            return (yield from check_block(source, design, options))
        except GeneratorExit:
            texts.append("ended")
            raise

    monkeypatch.setattr(block_checks, "check_block", noted)
    return texts


@pytest.fixture
def checker(qtbot: QtBot) -> Iterator[BlockChecker]:
    checker = BlockChecker(lambda: SMALL)
    yield checker
    checker.stop()
    checker.deleteLater()


def impatient(monkeypatch: pytest.MonkeyPatch, *, limit_s: float) -> BlockChecker:
    """A checker for which a check is slow at once, and that may take this long."""
    limits = Limits(seconds=limit_s, memory_bytes=3 << 30, answer_bytes=1 << 20)
    monkeypatch.setattr(block_checks, "_LIMITS", limits)
    monkeypatch.setattr(checker_module, "PATIENCE_MS", 20)
    return BlockChecker(lambda: SMALL)


def follow(checker: BlockChecker, source: str) -> None:
    checker.follow(source, may_run=True, at_once=True)


def test_a_check_of_an_older_text_ends_before_the_newest_begins(
    checker: BlockChecker, child: ChildProcess, began: list[str], until: Until
) -> None:
    follow(checker, TEXT)
    until(lambda: checker.report is not None)
    pid = child.pid
    texts = [TEXT + f"# {n}\n" for n in range(3)]
    follow(checker, texts[0])
    until(lambda: began[-1] == texts[0])
    follow(checker, texts[1])
    follow(checker, texts[2])
    assert checker.is_busy
    until(lambda: checker.report is not None)
    assert began == [TEXT, texts[0], texts[2]], "one of them was typed over before its turn"
    assert child.pid == pid


def test_the_check_of_a_text_that_is_typed_again_counts(checker: BlockChecker, began: list[str], until: Until) -> None:
    follow(checker, TEXT)
    until(lambda: began == [TEXT])
    checker.follow("BLOCK = 3", may_run=True)
    assert checker.problem
    follow(checker, TEXT)
    until(lambda: checker.report is not None)
    assert (began, checker.problem) == ([TEXT], "")


def test_a_slow_check_of_an_older_text_is_ended(
    qtbot: QtBot, began: list[str], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = impatient(monkeypatch, limit_s=600.0)
    follow(checker, ENDLESS)
    until(lambda: bool(began))
    follow(checker, TEXT)
    until(lambda: checker.report is not None)
    assert began == [ENDLESS, "ended", TEXT]


def test_a_slow_check_of_the_newest_text_has_its_whole_time(
    qtbot: QtBot, began: list[str], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = impatient(monkeypatch, limit_s=0.5)
    follow(checker, ENDLESS)
    until(lambda: checker.report is not None)
    assert checker.report is not None
    assert [check.name for check in checker.report.checks] == ["limits"]
    assert began == [ENDLESS]


def test_what_may_not_run_any_more_is_ended_at_once(checker: BlockChecker, began: list[str], until: Until) -> None:
    follow(checker, ENDLESS)
    until(lambda: bool(began))
    checker.follow(ENDLESS, may_run=False)
    assert not checker.is_busy
    until(lambda: began == [ENDLESS, "ended"])
    assert checker.report is None
