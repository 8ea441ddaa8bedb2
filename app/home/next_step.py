"""The next step that Home suggests, as a pure function of the library's contents and the current training."""

from __future__ import annotations

from dataclasses import dataclass

QUICK_START, SHOW, CHAT, TIME_MACHINE, RESUME = "quick start", "show", "chat", "time machine", "resume"
OPEN_QUEUE, OPEN_TEXT, LEARN_TASK, NEW_RUN, LONGER = "queue", "text", "task", "new run", "longer"
RETRY = "retry"
ACTIONS = (QUICK_START, SHOW, CHAT, TIME_MACHINE, RESUME, RETRY, OPEN_QUEUE, OPEN_TEXT, LEARN_TASK, NEW_RUN, LONGER)
"""The actions that can be suggested."""

PREPARING, LEARNING = "preparing", "learning"
LIVE = "live"
"""Used instead of a run id for the model in training."""


@dataclass(frozen=True)
class NamedRun:
    """A run that a suggestion names.

    title: the result of a run on the user's own text (“has grown”, “is half grown”, …); for a stuck item, its problem.
    """

    id: str
    name: str
    title: str = ""
    is_grown: bool = True


@dataclass(frozen=True, kw_only=True)
class LibraryFacts:
    """The facts from which the next step is chosen.

    training: "" for none, PREPARING while there are no weights yet, or LEARNING. can_chat: the model in training is a
    chat model. newest: the newest model trained here, or None. interrupted: the newest run, if it ended before it was
    finished. stuck: the first queued item that could not start; its title says why. n_waiting: the other queued items,
    if they do not start automatically. has_chatted, has_watched, has_own_text, has_task: whether there is a chat, the
    time machine was opened, a run was trained on the user's own text, or on a task.
    """

    training: str = ""
    can_chat: bool = True
    newest: NamedRun | None = None
    interrupted: NamedRun | None = None
    stuck: NamedRun | None = None
    n_waiting: int = 0
    has_chatted: bool = False
    has_watched: bool = False
    has_own_text: bool = False
    has_task: bool = False


@dataclass(frozen=True)
class NextStep:
    """A suggestion: a sentence, the text of its button, one of ACTIONS, and the id of the run that it applies to."""

    sentence: str
    button: str
    action: str
    run_id: str = ""


def next_step(facts: LibraryFacts) -> NextStep:
    """Choose the next step: something that waits for the user, else something that was not tried yet."""
    newest, interrupted = facts.newest, facts.interrupted
    if facts.training == LEARNING and facts.can_chat:
        return NextStep(
            "A model is learning right now: talk to it and hear how far it is.", "Chat as it learns", CHAT, LIVE
        )
    if facts.training == LEARNING:
        return NextStep("A model is learning right now: watch how its answers get better.", "Show it", SHOW)
    if facts.training:
        return NextStep("A model is on its way: watch how it begins.", "Show it", SHOW)
    if interrupted is not None:
        return NextStep(
            f"“{interrupted.name}” is not finished: it can resume from its last checkpoint.",
            "Resume",
            RESUME,
            interrupted.id,
        )
    if facts.stuck is not None:
        return NextStep(
            f"“{facts.stuck.name}” could not start: {facts.stuck.title}", "Try again", RETRY, facts.stuck.id
        )
    if facts.n_waiting:
        waiting = "A run waits" if facts.n_waiting == 1 else f"{facts.n_waiting:,} runs wait"
        return NextStep(f"{waiting} in the queue, which is on hold.", "Open the queue", OPEN_QUEUE)
    if newest is None:
        return NextStep("Grow your first model: it takes a minute or two.", "Quick start", QUICK_START)
    if not facts.has_chatted and not newest.is_grown:
        return NextStep(
            f"“{newest.name}” {newest.title}: a table of letters still predicts its text better.",
            "Train longer…",
            LONGER,
            newest.id,
        )
    if not facts.has_chatted and newest.title:
        sentence = f"“{newest.name}” {newest.title}: it continues what you begin."
        return NextStep(sentence, "Write with it", CHAT, newest.id)
    if not facts.has_chatted:
        return NextStep(f"“{newest.name}” has grown: ask it something.", "Chat with it", CHAT, newest.id)
    if not facts.has_watched:
        return NextStep(
            f"See how “{newest.name}” learned: go back to any of its steps.",
            "Time machine",
            TIME_MACHINE,
            newest.id,
        )
    if not facts.has_own_text:
        return NextStep("Grow a model on words of your own: a book, notes, code.", "Open a text file", OPEN_TEXT)
    if not facts.has_task:
        return NextStep("Teach a model a task: moods, names, translation, code.", "Learn a task", LEARN_TASK)
    return NextStep("Change one thing, train again, and compare the two runs.", "New run", NEW_RUN)
