"""The home page: the newest models, the current training, a next step, and ways to start."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QBoxLayout, QCheckBox, QFrame, QHBoxLayout, QLabel, QScrollArea, QWidget

from terrarium.app.home.home_cards import ModelRows, RunningCard, StartCards
from terrarium.app.home.library_overview import LibraryOverview, read_overview
from terrarium.app.home.next_step import (
    CHAT,
    LEARN_TASK,
    LEARNING,
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
    NextStep,
    next_step,
)
from terrarium.app.kit.basics import button, column, frame, group, label, plain_tip, row
from terrarium.app.kit.layout.advanced_settings import reveal
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.logo import program_mark
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import (
    ChooseTexts,
    DoToRun,
    OpenModel,
    Route,
    ShowGuide,
    ShowPlace,
    ShowRun,
    ShowRunning,
    StartQuickStart,
    TryPronouns,
)
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask

SEEN = "seen"
"""The setting that remembers which features were opened: {"time machine": True}."""
TIME_MACHINE_SEEN = "time machine"
_MINUTES_MORE = 6
"""Extra minutes of a quick start on two cores with a portable design, from measured step times."""
_BY_QUICK_START = "with the quick start"
_WIDTH = 1100
"""The maximum width of the content, in pixels at the default text size: longer lines are hard to read."""


class Home(QWidget):
    """The home page: the quick start in the middle while the library is empty, later the models and a next step.

    Signals:
        remove_requested(id): take an item out of the queue.
    """

    remove_requested = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.overview = LibraryOverview()
        self._is_read = self._awaits_next = False
        self._arranged: tuple[QBoxLayout.Direction, Qt.AlignmentFlag] | None = None
        self._step: NextStep | None = None
        self._missions: QWidget | None = None
        self._reading = LatestTask(self)
        self._reading.done.connect(self._on_read)
        self._reading.failed.connect(session.notices.fail)
        self.cards = StartCards(session.go, theme)
        self.models = ModelRows(session.go, theme)
        self.running = RunningCard(session, theme)
        self._build()
        self._connect()
        self._fit()
        self._show_library()
        self._show_training()

    def _build(self) -> None:
        theme, go = self._theme, self._session.go
        self.quickstart = button(
            "Quick start",
            theme,
            partial(go, StartQuickStart()),
            icon="mdi6.sprout",
            role="hero",
            tip="Data, tokenizer, training, chat",
        )
        self.hint = label("Grow a small model in a minute or two", "muted")
        self.portable, self.another_portable = self._portable_box(), self._portable_box()
        self.another = button(
            f"Grow another {_BY_QUICK_START}",
            theme,
            partial(go, StartQuickStart()),
            icon="mdi6.sprout",
            role="link",
            tip="A new small world, and a new model of it",
        )
        self.guide = button(
            "Follow the guide, chapter by chapter",
            theme,
            partial(go, ShowGuide()),
            icon="compass",
            role="link",
            tip="How language models work, done step by step in this window",
        )
        self.learn = button(
            "Learn a task: moods, names, translation, code…",
            theme,
            partial(go, ShowPlace("training/recipes")),
            icon="graduation-cap",
            role="link",
            tip="A small model learns it in a few minutes, and is scored beside simple rules",
        )
        self.published = button(
            "Download a model, or open one from the disk",
            theme,
            partial(go, ShowPlace("models")),
            icon="cloud-arrow-down",
            role="link",
            tip="Small models that run here: chat with them, fine-tune them, look inside",
        )
        self.pronouns = button(
            "What does “it” refer to?",
            theme,
            partial(go, TryPronouns()),
            icon="arrows-left-right",
            role="link",
            tip="Two sentences that differ in one word, and two models that point at the noun",
        )
        self.earlier = button(
            "Open earlier runs", theme, partial(go, ShowPlace("training")), icon="chart-line", role="link"
        )
        self._hero, self._next = self._make_hero(), self._make_next()
        self._missions_place = column(spacing=0)
        self._more = label("Start something new", "subheading")
        parts = self._hero, self._next, self.running, self.models, self._missions_place, self._more
        self._body = group(*parts, self._make_ways(), spacing=2 * SPACE)
        self._show_in_middle(self._body)
        RelayoutOnResize(self._area.viewport(), self._arrange)  # a scroll bar takes width without a resize of the page
        RelayoutOnResize(self._links, self._arrange)

    def _make_ways(self) -> QBoxLayout:
        """Create the cards with the links below them, or beside them once they are no longer centred."""
        self._all_links = (
            self.another,
            self.another_portable,
            self.guide,
            self.learn,
            self.published,
            self.pronouns,
            self.earlier,
        )
        self._link_lines = column(None, *self._all_links, None, spacing=0)
        self._links = group(self._link_lines)
        self._ways = column(self.cards, self._links, None, spacing=2 * SPACE)
        return self._ways

    def _show_in_middle(self, body: QWidget) -> None:
        lines = column(margin=(3 * SPACE, 2 * SPACE, 3 * SPACE, 2 * SPACE))
        lines.addStretch(2)
        lines.addLayout(_centred(body))
        lines.addStretch(3)
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        inner.setLayout(lines)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self._area.setAccessibleName("Home")
        self._area.setWidget(inner)
        self.setLayout(column(self._area))

    def _make_hero(self) -> QWidget:
        mark = QLabel()
        mark.setPixmap(program_mark(88))
        mark.setAccessibleName("Terrarium's mark: a plant under glass")
        self._sentence = label(
            "Grow a small language model behind glass: make a tokenizer, design the model, watch it learn, and talk "
            "with it, all on this computer.",
            "lead",
            wrap=True,
        )
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        title, ways = label("Terrarium", "title"), (self.quickstart, self.hint, self.portable)
        lines = column(mark, title, _centred(self._sentence), SPACE, *ways, spacing=2 * SPACE, margin=(0, 0, 0, SPACE))
        for each in (mark, title, *ways):
            lines.setAlignment(each, Qt.AlignmentFlag.AlignHCenter)
        return group(lines)

    def _portable_box(self) -> QCheckBox:
        """Create the check box for a design that other programs support too; each button has its own."""
        box = QCheckBox(f"One that also runs in Ollama: about {_MINUTES_MORE} minutes more")
        box.setToolTip(
            plain_tip("A design that llama.cpp, Ollama and LM Studio run, too. It needs more steps to learn as much.")
        )
        box.setChecked(self._session.training.quickstart_portable)
        box.toggled.connect(self._on_portable)
        return box

    @Slot(bool)
    def _on_portable(self, is_wanted: bool) -> None:
        self._session.training.quickstart_portable = is_wanted
        for box in (self.portable, self.another_portable):
            box.setChecked(is_wanted)

    def _make_next(self) -> QWidget:
        self.next_sentence = label("", "subheading", wrap=True)
        self.next_button = button("", self._theme, self._on_step, role="primary")
        self.remove = button("Remove", self._theme, self._on_remove, role="quiet", tip="Take it out of the queue")
        contents = self.next_sentence, self.remove, self.next_button
        return frame("banner", *contents, horizontal=True, grows=self.next_sentence)

    def _connect(self) -> None:
        session = self._session
        session.runs.changed.connect(self._on_runs_changed)
        session.training.changed.connect(self._show_training)
        session.queue.changed.connect(self._show_step)
        self._theme.theme_changed.connect(self._fit)

    @property
    def busy(self) -> bool:
        """Whether the library is being read."""
        return self._reading.busy

    @property
    def is_empty(self) -> bool:
        """Whether the library is known to contain no model."""
        return not self.overview.models if self._is_read else not self._session.runs.has_any

    def set_missions(self, widget: QWidget) -> None:
        """Set the widget for missions and the guide, replacing an earlier one.

        It is hidden until the library contains a model, which the missions need; until then there is a link.
        """
        if self._missions is not None:
            self._missions_place.removeWidget(self._missions)
            self._missions.hide()
            self._missions.deleteLater()
        self._missions = widget
        self._missions_place.addWidget(widget)
        widget.setVisible(not self.is_empty)

    @Slot()
    def refresh(self) -> None:
        """Read the library again, in the background."""
        library, index = self._session.library, self._session.runs.index
        self._reading.ask(lambda: read_overview(library, index))

    @Slot()
    def _on_runs_changed(self) -> None:
        if self.isVisible():  # otherwise Home is refreshed when shown
            self.refresh()

    def offer_files(self, files: tuple[str, ...]) -> None:
        """Offer actions for these text files."""
        self.cards.offer_files(files)
        QTimer.singleShot(0, self, lambda: self._area.ensureWidgetVisible(self.cards.buttons[0]))  # after the layout

    def focus_first(self) -> None:
        """Scroll to the top and focus the most likely next button."""
        self._area.verticalScrollBar().setValue(0)
        self._awaits_next = not self._is_read and not self.is_empty
        (self.quickstart if self.is_empty else self.next_button).setFocus()

    def focus_quickstart(self) -> None:
        """Scroll to the button that starts a quick start, and focus it."""
        self._awaits_next = False
        reveal(self.quickstart if self.is_empty else self.another)

    @Slot(object)
    def _on_read(self, overview: LibraryOverview) -> None:
        self.overview, self._is_read = overview, True
        self._show_library()
        if self._awaits_next and self.isVisible():
            self.focus_first()
        elif self.another.hasFocus():
            reveal(self.another)  # the update may have scrolled the link out of view

    def _show_library(self) -> None:
        """Show the models, or how to start."""
        is_empty = self.is_empty
        self._hero.setVisible(is_empty)
        for part in (self.models, self._more, self.another, self.another_portable):
            part.setVisible(not is_empty)
        self.guide.setVisible(is_empty)
        if self._missions is not None:
            self._missions.setVisible(not is_empty)
        self.earlier.setVisible(is_empty and self._session.runs.has_any)
        self.models.show_models(self.overview.models, self.overview.n_models)
        self._arrange()
        self._show_step()

    def _arrange(self) -> None:
        """Lay out cards and links in a row if they fit, else in a column; without models, in a centred column."""
        is_empty, spacing = not self._hero.isHidden(), self._ways.spacing()
        needed = self.cards.sizeHint().width() + spacing + self._links.sizeHint().width()
        has = min(self._area.viewport().width() - 6 * SPACE, self._body.maximumWidth())
        is_row = not is_empty and needed <= has
        middle = Qt.AlignmentFlag.AlignHCenter if is_empty else Qt.AlignmentFlag.AlignLeft
        across = QBoxLayout.Direction.LeftToRight if is_row else QBoxLayout.Direction.TopToBottom
        if (across, middle) == self._arranged:
            return
        self._arranged = across, middle
        self._ways.setDirection(across)
        for part in (self.cards, self._links):
            self._ways.setAlignment(part, Qt.AlignmentFlag.AlignVCenter if is_row else middle)
        for link in self._all_links:
            self._link_lines.setAlignment(link, middle)

    @Slot()
    def _show_training(self) -> None:
        busy, grows = self._session.training.active, self._grows
        waits = busy and not grows
        self.quickstart.setText(
            "Show the quick start" if grows else "Add a quick start to the queue" if waits else "Quick start"
        )
        self.another.setText(
            "Show the quick start" if grows else f"Grow another {'after the current run' if waits else _BY_QUICK_START}"
        )
        self.cards.show_waiting(is_waiting=busy)
        self.hint.setText(
            "A quick start is running."
            if grows
            else "A run is training: the quick start follows it."
            if waits
            else "Grow a small model in a minute or two"
        )
        self._show_step()

    @property
    def _grows(self) -> bool:
        state = self._session.training.state
        return self._session.training.active and state is not None and state.quickstart

    @property
    def facts(self) -> LibraryFacts:
        """The facts from which the next step is chosen."""
        session, overview = self._session, self.overview
        state = session.training.state if session.training.active else None
        seen, waiting = session.remembered.get(SEEN, {}), session.queue.waiting
        stuck = next((NamedRun(item.id, item.name, item.problem) for item in waiting if item.problem), None)
        return LibraryFacts(
            training="" if state is None else LEARNING if state.total_steps and not state.outcome else PREPARING,
            can_chat=self._grows,
            newest=overview.newest,
            interrupted=overview.interrupted,
            stuck=stuck,
            n_waiting=0 if session.queue.is_draining else sum(not item.problem for item in waiting),
            has_chatted=overview.has_chatted,
            has_watched=bool(seen.get(TIME_MACHINE_SEEN)),
            has_own_text=overview.has_own_text,
            has_task=overview.has_task,
        )

    @Slot()
    def _show_step(self) -> None:
        step = next_step(self.facts)
        if step != self._step:  # the training state changes many times a second
            self._step = step
            self.next_sentence.setText(step.sentence)
            self.next_button.setText(step.button)
            self.next_button.setAccessibleName(step.button)
            self.remove.setVisible(step.action == RETRY)
        # Hidden until the library is read, and if it is empty: the quick start in the middle is then the next step.
        self._next.setVisible(self._is_read and (not self.is_empty or step.action in (RETRY, OPEN_QUEUE)))

    def _on_remove(self) -> None:
        if self._step is not None:
            self.remove_requested.emit(self._step.run_id)

    def _on_step(self) -> None:
        step, queue = self._step, self._session.queue
        if step is None:
            return
        if step.action == RETRY:
            if queue.retry(step.run_id):
                queue.start()
            return
        routes: Mapping[str, Route] = {
            QUICK_START: StartQuickStart(),
            SHOW: ShowRunning(),
            CHAT: OpenModel(step.run_id),
            TIME_MACHINE: ShowRun(step.run_id, "machine"),
            RESUME: DoToRun(step.run_id, "resume"),
            OPEN_QUEUE: ShowRunning(),
            OPEN_TEXT: ChooseTexts(),
            LEARN_TASK: ShowPlace("training/recipes"),
            NEW_RUN: ShowPlace("training/new"),
            LONGER: DoToRun(step.run_id, "longer"),
        }
        self._session.go(routes[step.action])

    @Slot()
    def _fit(self) -> None:
        """Keep the lines readable, and the sentence to two lines, at any text size."""
        self._sentence.setMaximumWidth(round(600 * self._theme.text_scale))
        self._body.setMaximumWidth(round(_WIDTH * self._theme.text_scale))


def _centred(widget: QWidget) -> QHBoxLayout:
    """Return a layout that centres a widget with wrapped text, as wide as possible."""
    line = row()
    line.addStretch(1)
    line.addWidget(widget, 100)
    line.addStretch(1)
    return line
