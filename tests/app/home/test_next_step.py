"""Home's next step: what is suggested for every state of a library."""

from __future__ import annotations

import itertools

import pytest

from terrarium.app.home.next_step import (
    ACTIONS,
    CHAT,
    LEARN_TASK,
    LEARNING,
    LIVE,
    LONGER,
    NEW_RUN,
    OPEN_QUEUE,
    OPEN_TEXT,
    PREPARING,
    QUICK_START,
    RESUME,
    RETRY,
    SHOW,
    TIME_MACHINE,
    LibraryFacts,
    NamedRun,
    next_step,
)

MINE, BROKEN = NamedRun("mine-id", "Mine"), NamedRun("broken-id", "Broken off")
STUCK = NamedRun("item-id", "Quick start with bin.txt", "It is no text file.")
HALF = NamedRun("half-id", "Half", "is half grown", is_grown=False)
ALL_TRIED = {"has_chatted": True, "has_watched": True, "has_own_text": True, "has_task": True}


def every_library() -> list[LibraryFacts]:
    values = {
        "training": ("", PREPARING, LEARNING),
        "can_chat": (True, False),
        "newest": (None, MINE, HALF),
        "interrupted": (None, BROKEN),
        "stuck": (None, STUCK),
        "n_waiting": (0, 1, 1200),
        **dict.fromkeys(ALL_TRIED, (False, True)),
    }
    return [LibraryFacts(**dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*values.values())]


def expected(facts: LibraryFacts) -> tuple[str, str]:
    """The action and its run, by the first of the rules that holds."""
    newest_id = facts.newest.id if facts.newest is not None else ""
    rules = (
        (facts.training == LEARNING and facts.can_chat, CHAT, LIVE),
        (facts.training != "", SHOW, ""),
        (facts.interrupted is not None, RESUME, BROKEN.id),
        (facts.stuck is not None, RETRY, STUCK.id),
        (facts.n_waiting > 0, OPEN_QUEUE, ""),
        (facts.newest is None, QUICK_START, ""),
        (not facts.has_chatted and facts.newest is HALF, LONGER, HALF.id),
        (not facts.has_chatted, CHAT, MINE.id),
        (not facts.has_watched, TIME_MACHINE, newest_id),
        (not facts.has_own_text, OPEN_TEXT, ""),
        (not facts.has_task, LEARN_TASK, ""),
        (True, NEW_RUN, ""),
    )
    return next((action, run_id) for holds, action, run_id in rules if holds)


def test_every_library_has_one_next_step() -> None:
    seen = set()
    for facts in every_library():
        step = next_step(facts)
        assert (step.action, step.run_id) == expected(facts), facts
        assert step.sentence.endswith(".")
        assert step.sentence.count(". ") == 0, "one sentence"
        assert step.button
        seen.add(step.action)
    assert seen == set(ACTIONS)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (LibraryFacts(training=PREPARING), "on its way"),
        (LibraryFacts(training=LEARNING, can_chat=False), "is learning right now"),
        (LibraryFacts(newest=MINE), "“Mine” has grown"),
        (LibraryFacts(newest=NamedRun("text", "Text", "has grown")), "“Text” has grown: it continues what you begin"),
        (LibraryFacts(newest=HALF), "“Half” is half grown: a table of letters still predicts its text better"),
        (LibraryFacts(newest=MINE, has_chatted=True), "how “Mine” learned"),
        (LibraryFacts(newest=MINE, interrupted=BROKEN), "“Broken off” is not finished"),
        (LibraryFacts(newest=MINE, stuck=STUCK), "“Quick start with bin.txt” could not start: It is no text file."),
        (LibraryFacts(newest=MINE, n_waiting=1), "A run waits"),
        (LibraryFacts(newest=MINE, n_waiting=1200), "1,200 runs wait"),
    ],
)
def test_the_sentence_names_what_it_is_about(facts: LibraryFacts, words: str) -> None:
    assert words in next_step(facts).sentence
