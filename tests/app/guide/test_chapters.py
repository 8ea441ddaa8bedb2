"""Every step of every chapter, done in the real window: set up, not done yet, done by its solution, and put back."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.data.data_tab import DataTab
from terrarium.app.guide.actions import Action, Judge, PointAt
from terrarium.app.guide.chapters import Chapter, guide_files, read_chapters
from terrarium.app.guide.guide import Guide
from terrarium.app.preferences import pair_sampler
from terrarium.app.shell.guide.stage import MainWindowDriver
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.corpora.corpus import Example, build_examples_corpus
from terrarium.models.recipes.demonstrations import strength
from tests.app.heard import Until

CHAPTERS, PROBLEMS = read_chapters()


def test_all_files_are_chapters() -> None:
    assert not PROBLEMS
    assert [f"{chapter.name}.md" for chapter in CHAPTERS] == [file.name for file in guide_files()]
    assert len(CHAPTERS) == 13


@pytest.fixture(autouse=True)
def _short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has hardly learned does not end its replies, and pairs longer than its context teach nothing.

    It counts as one that knows enough for a demonstration, which would train it on for minutes otherwise.
    """
    monkeypatch.setattr(pair_sampler, "MAX_TOKENS", 16)
    monkeypatch.setattr(strength, "is_strong", lambda accuracy: True)


@pytest.fixture
def window(window: MainWindow) -> MainWindow:
    """The window, complete: what a step leaves behind is seen on all pages."""
    for name in ("training", "tokenizer", "data", "builder", "chat"):
        window.pages.page(name)
    return window


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_steps_are_done_by_their_solutions(chapter: Chapter, window: MainWindow, until: Until, qtbot: QtBot) -> None:
    guide = window.guide.guide
    stage = guide.stage
    assert isinstance(stage, MainWindowDriver)
    for index, step in enumerate(chapter.steps):
        guide.open(chapter.name, index)
        assert not guide.needs, step.title
        before = stage.snapshot()
        if step.prepares:
            until(lambda: is_idle(window))
            guide.set_up()
            assert not guide.problem, (step.title, guide.problem)
            if any(isinstance(action, PointAt) for action in step.prepares):
                until(stage.ring.isVisible)
        guide.look()
        assert not guide.is_done, step.title
        for action in step.solution:
            perform(action, stage, window, until)
        until(lambda: is_seen(guide))
        until(partial(is_kept, guide, index))
        if step.prediction is not None:
            assert guide.verdict().startswith("Measured: "), step.title
        until(lambda: is_idle(window))
        guide.put_back()
        assert not stage.ring.isVisible()
        assert stage.snapshot() == before, step.title
    guide.next()
    assert guide.at_result
    assert guide.progress.of(chapter.name).is_done
    assert len(guide.results) == len(chapter.steps)


def test_a_step_brings_the_data_tab_to_the_pairs(window: MainWindow, until: Until) -> None:
    """The newest dataset of that task is shown, whatever the tab has shown before."""
    guide, session, tab = window.guide.guide, window.session, window.pages.page("data")
    stage = guide.stage
    assert isinstance(stage, MainWindowDriver)
    assert isinstance(tab, DataTab)
    guide.open("10-learning-from-preferences", 2)
    guide.set_up()
    assert guide.problem.startswith("There is no dataset for “Preferences” yet")
    asked = [{"role": "user", "content": "Which?"}]
    pair: Example = {"messages": asked, "chosen": "This.", "rejected": "That."}
    pairs = build_examples_corpus(session.library, [pair], [pair], "pairs", None, task="preference")
    build_examples_corpus(session.library, [{"messages": asked}], [{"messages": asked}], "later", None, task="prompts")
    tab.views.show_view("hub")
    guide.set_up()
    assert not guide.problem
    until(stage.ring.isVisible)
    assert session.datasets.sha == pairs.sha
    assert tab.views.current == "dataset"
    assert stage.ring.target is tab.views.view("dataset").train
    until(lambda: tab.views.bar.isTabEnabled(tab.views.names.index("dataset")))
    newer = build_examples_corpus(session.library, [pair] * 2, [pair], "mine", None, task="preference")
    guide.set_up()  # also where an older one is looked at
    assert session.datasets.sha == newer.sha


def perform(action: Action, stage: MainWindowDriver, window: MainWindow, until: Until) -> None:
    """Do it as soon as that is possible; what is judged needs the next pair each time."""
    for _ in range(action.times if isinstance(action, Judge) else 1):
        until(lambda: is_idle(window) and is_performed(action, stage))


def is_performed(action: Action, stage: MainWindowDriver) -> bool:
    with contextlib.suppress(ValueError):
        stage.perform(action)
        return True
    return False


def is_seen(guide: Guide) -> bool:
    guide.look()
    return guide.is_done


def is_kept(guide: Guide, index: int) -> bool:
    """Whether the step's line of the result card is there: its figures may become known a little later."""
    assert guide.chapter is not None
    guide.look()
    return str(index) in guide.progress.of(guide.chapter.name).results


def is_idle(window: MainWindow) -> bool:
    session = window.session
    return session.chat.state in ("none", "ready") and not session.training.active
