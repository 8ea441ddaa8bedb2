"""The newest models of the library as rows, each with its quality and actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.home.library_overview import MAX_SHOWN, ModelSummary
from terrarium.app.kit.basics import button, column, headed, label, row, separator, set_enabled, set_role
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import DoToRun, Go, OpenModel, Route, ShowPlace, ShowRun
from terrarium.models.number_words import format_count

_TIP_OF_LONGER = "Continue from where its training ended, with the same data"
_TIP_OF_TUNE = "A new run that starts from its weights and learns other data"


class ModelRows(QFrame):
    """A card with a row for each model, whose buttons `go` to it."""

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.rows = [ModelRow(go, theme) for _ in range(MAX_SHOWN)]
        self.all = button("", theme, partial(go, ShowPlace("training")), icon="chart-line", role="link")
        self._empty = label("Reading your library…", "muted")
        head = headed("What you have grown", self.all, explained=self)
        margin = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        self.setLayout(column(head, self._empty, *self.rows, margin=margin))
        self.show_models((), 0)

    def show_models(self, models: Sequence[ModelSummary], n_models: int) -> None:
        """Show the newest of `n_models` models."""
        self._empty.setVisible(not models)
        for i, each in enumerate(self.rows):
            each.setVisible(i < len(models))
            if i < len(models):
                each.show_model(models[i])
        self.all.setText("Open all runs" if n_models <= len(models) else f"All {format_count(n_models, 'model')}")
        self.all.setAccessibleName(self.all.text())


class ModelRow(QWidget):
    """A model: its name, a description of its quality and age, and buttons."""

    def __init__(self, go: Go, theme: ThemeProvider) -> None:
        super().__init__()
        self._go = go
        self._model: ModelSummary | None = None
        self.name, self.facts = ElidedLabel(), ElidedLabel()
        set_role(self.name, "subheading")
        set_role(self.facts, "caption")
        self.chat = button("Chat", theme, lambda: self._go_to(OpenModel), icon="chat-circle")
        self.machine = button(
            "Time machine",
            theme,
            lambda: self._go_to(lambda run_id: ShowRun(run_id, "machine")),
            icon="clock-counter-clockwise",
            role="quiet",
            tip="Watch it learn again: what it wrote at every step",
        )
        self.run = button(
            "Open run", theme, lambda: self._go_to(ShowRun), icon="chart-line", role="quiet", tip="Its curves"
        )
        self.longer = button(
            "Train longer…",
            theme,
            lambda: self._go_to(lambda run_id: DoToRun(run_id, "longer")),
            icon="fast-forward",
            role="quiet",
            tip=_TIP_OF_LONGER,
        )
        self.tune = button(
            "Fine-tune…",
            theme,
            lambda: self._go_to(lambda run_id: DoToRun(run_id, "tune")),
            icon="graduation-cap",
            role="quiet",
            tip=_TIP_OF_TUNE,
        )
        words = column(self.name, self.facts, spacing=0)
        buttons = self.chat, self.longer, self.tune, self.machine, self.run
        self.setLayout(column(separator(), row(words, *buttons, spacing=SPACE // 2, grows=words)))

    def show_model(self, model: ModelSummary) -> None:
        """Show a model."""
        self._model = model
        self.name.setText(model.name)
        self.facts.setText(f"{model.quality}  ·  {model.when}" if model.when else model.quality)
        words = "Chat" if model.writes else "What is “it”?" if model.is_pronouns else "Try it"
        self.chat.setText(words)
        for each in (self.chat, self.longer, self.tune, self.machine, self.run):
            each.setAccessibleName(f"{each.text()}: {model.name}")
        for each in (self.machine, self.longer):
            each.setVisible(model.has_steps)
        set_enabled(self.longer, model.why_not_longer, _TIP_OF_LONGER)

    def _go_to(self, make: Callable[[str], Route]) -> None:
        if self._model is not None:
            self._go(make(self._model.id))
