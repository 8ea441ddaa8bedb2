"""The actions on a run: one list that all menus of a run are built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QMenu, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.chat_model import use_words
from terrarium.app.session.routes import DoToRun
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.library.run_record import RunInfo, last_saved_step
from terrarium.models.settings.extension_names import missing_sentence

_TRAINING = "It is training: stop it, or wait until it ends."
_DAMAGED = "The run is damaged."
_NO_MODEL = "It has no checkpoint yet."
_IMPORTED = "It was imported, so it has no training to continue or to repeat. Fine-tune it instead."


class RunAction(NamedTuple):
    """An entry of a run's menu. problem: why the action is unavailable, in a sentence; "" if it is available."""

    name: str
    words: str
    icon: str
    tip: str = ""
    problem: str = ""


class ActionGroup(NamedTuple):
    """A group of menu entries, shown as a submenu if it has a title."""

    actions: Sequence[RunAction]
    title: str = ""
    icon: str = ""


def run_actions(session: Session, run_id: str) -> Sequence[ActionGroup]:
    """Return all actions on a run; run_id "" is the current training before it has a run."""
    training = session.training
    state = training.state
    groups: list[ActionGroup] = []
    if state is not None and training.active and state.run_id == run_id:
        groups += _steering(session, state)
    if not run_id:
        return groups
    try:
        info = session.runs.find(run_id)
    except ValueError:  # the run was deleted
        return groups
    return [*groups, *_of_run(session, info)]


def _steering(session: Session, state: TrainingState) -> list[ActionGroup]:
    """Return the actions that control the training in progress."""
    staging = not state.total_steps or state.status in ("preparing", "evaluating")
    waits = "Only while it learns, from its first step to its last." if staging else ""
    spec = session.runs.spec(state.run_id) if state.run_id else None
    learns = [
        RunAction("save", "Save a checkpoint now", "floppy-disk", "", waits),
        RunAction("sample", "Sample now…", "text-aa", "", waits),
        RunAction("lr", "Change the learning rate…", "trend-down", "", waits),
    ]
    if spec is not None and spec.align is not None and spec.align.task == "prompts":
        learns.append(RunAction("beta", "Change the KL weight β…", "scales", "", waits))
    learns.append(RunAction("free", "Pause and free the device", "pause-circle", "", waits))
    ends = (
        RunAction("stop", "Stop without saving", "stop-circle"),
        RunAction("discard", "Stop and discard the run", "trash"),
    )
    return [ActionGroup(learns), ActionGroup(ends)]


def resume_words(info: RunInfo) -> tuple[str, str]:
    """Return the label and the tooltip of what continues a run."""
    if info.is_unmeasured:
        return "Evaluate now", "Its training has ended, but its model was not evaluated"
    return "Resume training", "Continue from its last checkpoint"


def _of_run(session: Session, info: RunInfo) -> list[ActionGroup]:
    own = session.training.trains(info.id)
    imported = info.status == "imported"
    damaged = _DAMAGED if info.problem else ""
    untrainable = damaged or missing_sentence(info.spec)
    no_model = damaged or ("" if info.has_model else _NO_MODEL)
    no_checkpoint = untrainable or (_IMPORTED if imported else "" if last_saved_step(info.folder) else _NO_MODEL)
    ended = ""
    if not info.can_resume:
        why = info.early_stop or "It has come to its end."
        ended = _IMPORTED if imported else f"{why} “Train longer…” continues from there."
    no_resume = untrainable or (_TRAINING if own else ended or session.training.why_not_start)
    is_held = _TRAINING if own or info.status == "running" else ""
    words, tip = resume_words(info)
    start = RunAction("resume", words, "play", tip, no_resume)
    if not (untrainable or own or ended) and no_resume:
        tip = "It starts by itself when what trains now has ended"
        verb = "Evaluate" if info.is_unmeasured else "Resume"
        start = RunAction("queue", f"{verb} it after this training", "queue", tip)
    use = ActionGroup((start, RunAction("chat", use_words(info.spec), "chat-circle", "", no_model)))
    further = ActionGroup(
        (
            RunAction("tune", "Fine-tune…", "graduation-cap", "A new run, from its weights, on other data", no_model),
            RunAction(
                "longer",
                "Train longer…",
                "fast-forward",
                "Continue from its end, with the same data",
                untrainable or is_held,
            ),
            RunAction(
                "fork", "Fork from a checkpoint…", "git-fork", "A new run from one of its checkpoints", no_checkpoint
            ),
            RunAction("template", "New run like this one", "copy", "Its settings, for a new run", untrainable),
            RunAction(
                "sweep",
                "Sweep its settings…",
                "sliders",
                "Several runs that differ in a setting",
                untrainable or (_IMPORTED if imported else ""),
            ),
        )
    )
    about = ActionGroup(
        (
            RunAction("rename", "Rename…", "pencil-simple", "", damaged),
            RunAction("notes", "Notes and tags…", "tag", "", damaged),
            RunAction("reveal", "Show in folder", "folder-open"),
        )
    )
    export = ActionGroup(
        (
            RunAction("file", "Save as one file…", "floppy-disk", "All of it, to open in another Terrarium", damaged),
            RunAction("model", "Export the model…", "export", "For other programs", no_model),
            RunAction("toml", "Export its settings (TOML)…", "file-text", "For “terrarium train”", damaged),
            RunAction("tensorboard", "Export for TensorBoard…", "chart-line", "Its curves", damaged),
        ),
        "Export",
        "export",
    )
    delete = ActionGroup((RunAction("delete", "Delete", "trash", "It can be restored from the trash", is_held),))
    return [use, further, about, export, delete]


class RunMenu(QMenu):
    """The menu of a run, filled with its actions each time it opens."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget, run_id: str = "") -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.run_id = run_id
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)

    @Slot()
    def fill(self) -> None:
        """Fill the menu with the current actions."""
        for submenu in self.findChildren(QMenu):  # `clear` does not delete submenus
            submenu.deleteLater()
        self.clear()
        for group in run_actions(self._session, self.run_id):
            menu: QMenu = self
            if group.title:
                menu = self.addMenu(self._theme.icon(group.icon), group.title)
                menu.setToolTipsVisible(True)
            elif not self.isEmpty():
                self.addSeparator()
            for action in group.actions:
                entry = menu.addAction(self._theme.icon(action.icon), action.words)
                entry.setToolTip(plain_tip(action.problem or action.tip))
                entry.setEnabled(not action.problem)
                route = DoToRun(self.run_id, action.name)
                entry.triggered.connect(lambda checked=False, route=route: self._session.go(route))
