"""The embeddings page: the nearest neighbours of a token, and a map of the whole vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QLineEdit, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from terrarium.app.glass.embeddings.embedding_table import EmbeddingTable, find_nearest, read_table
from terrarium.app.glass.embeddings.kinds import KINDS, first_choice
from terrarium.app.glass.embeddings.neighbour_list import NeighbourList
from terrarium.app.glass.embeddings.scatter import MAX_MARKED, EmbeddingScatter
from terrarium.app.glass.embeddings.symbols import KindLegend
from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.glass_panel import GlassPanel
from terrarium.app.glass.names import quoted, spoken
from terrarium.app.glass.panel_head import About, PanelHead
from terrarium.app.glass.sheet import Sheet
from terrarium.app.kit.basics import EmptyState, label, plain_tip, row
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.export_button import ExportButton
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask, latest_progress
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event, Progress
from terrarium.models.number_words import format_count, format_percent

if TYPE_CHECKING:
    from terrarium.models.corpora.token_use import TokenUse

ABOUT = About(
    title="Embeddings",
    term="Embedding",
    shows="Every token as a point, and the nearest neighbours of the chosen one.",
    source=(
        "The model's embedding table. The map is a principal component analysis: the two directions in which the table "
        "varies most. The list uses the cosine similarity of two rows, in all dimensions."
    ),
    limits=(
        "Two points that are close on the map may be far apart in the other dimensions: trust the list. And a token's "
        "embedding is only the input of the first layer."
    ),
)


_WIDE, _BESIDE = 820, 360  # pixels: minimum width to show the list beside the map, and its width there
_NO_LIMIT = 16_777_215  # QWIDGETSIZE_MAX

_N_SPOKEN = 3
"""The number of nearest tokens named in the sentence."""


class EmbeddingsPage(GlassPanel):
    """The embeddings of the open model; optionally follows the token in focus."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self._session = session
        self._seeker = Examiner(session.worker, session.chat, self)
        self._table: EmbeddingTable | None = None
        self._read_of: ChatModel | None = None
        self._use: dict[str, TokenUse | None] = {}
        """The use of tokens in the training text of each run, by the run's id; None if it could not be counted."""
        self._counting = LatestTask(self)
        self._chosen = -1
        self.which = Segments("Table", {"input": "Input", "output": "Output"})
        self.which.setToolTip("The table that embeds input tokens, or the one that computes the logits")
        self.search = QLineEdit()
        self.setFocusProxy(self.search)
        self.search.setPlaceholderText("Find a token")
        self.search.setAccessibleName("Find a token")
        self.search.setClearButtonEnabled(True)
        self.follow = QPushButton("Follow the pointer")
        self.follow.setCheckable(True)
        self.follow.setToolTip("Select the token of the text under the pointer")
        self.unused = QPushButton("")
        self.unused.setCheckable(True)
        self.unused.setToolTip(
            plain_tip("Their embeddings have hardly changed since the random start, so they say nothing")
        )
        self.found = label("", "caption")
        self.legend = KindLegend(theme)
        self.sentence = label("", "sentence", wrap=True, selectable=True)
        self.scatter = EmbeddingScatter(theme)
        self.near_title = label("", "subheading", wrap=True)
        self.near = NeighbourList(theme)
        self._beside = QWidget()
        picture = Sheet(theme, self._heading, self.scatter, self._beside, parent=self)
        self.head = PanelHead(theme, ABOUT, ExportButton(session.notices, theme, picture, self.numbers))
        self.nothing = EmptyState("", "")
        self._pages = QStackedWidget()
        self._both = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._build()
        self._connect()

    def _build(self) -> None:
        page = QWidget()
        lines = QVBoxLayout(page)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        top = row(self.search, None, self.which, self.unused, self.follow)
        top.setStretch(0, 4)
        lines.addLayout(top)
        lines.addWidget(self.found)
        lines.addWidget(self.legend)
        lines.addLayout(self._both, 1)
        self._both.setSpacing(SPACE)
        self._both.addWidget(self.scatter, 1)
        self._both.addWidget(self._beside)
        beside = QVBoxLayout(self._beside)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(SPACE)
        beside.addWidget(self.sentence)
        beside.addWidget(self.near_title)
        beside.addWidget(self.near)
        beside.addStretch(1)
        self._pages.addWidget(page)
        self._pages.addWidget(self.nothing)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self.head)
        layout.addWidget(self._pages, 1)

    def _connect(self) -> None:
        self.examiner.done.connect(self._on_table)
        self.examiner.failed.connect(self._on_failed)
        self._seeker.done.connect(self._on_nearest)
        self._seeker.failed.connect(self._on_failed)
        self.which.changed.connect(self._read)
        self.unused.clicked.connect(self._read)
        self._counting.events_received.connect(self._on_counting)
        self._counting.done.connect(self._on_counted)
        self._counting.failed.connect(self._on_not_counted)
        self.search.textChanged.connect(self._on_search)
        self.search.returnPressed.connect(self._on_search_entered)
        self.follow.toggled.connect(self.show_position)
        self.scatter.chosen.connect(self.choose)
        self.near.chosen.connect(self.choose)

    @property
    def table(self) -> EmbeddingTable | None:
        """The displayed table, or None."""
        return self._table

    @property
    def chosen(self) -> int:
        """The id of the token whose neighbours are shown, −1 for none."""
        return self._chosen

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        is_wide = event.size().width() >= _WIDE
        directions = QBoxLayout.Direction
        self._both.setDirection(directions.LeftToRight if is_wide else directions.TopToBottom)
        self._beside.setMinimumWidth(_BESIDE if is_wide else 0)
        self._beside.setMaximumWidth(_BESIDE if is_wide else _NO_LIMIT)
        self.search.setMaximumWidth(_BESIDE if is_wide else _NO_LIMIT)

    # -- Following -----------------------------------------------------------------------------------------------------

    def show_text(self) -> None:
        model = self._session.chat.model
        if model is None:
            self._table = self._read_of = None
            self._counting.cancel()
            self.examiner.forget()
            self._show_message("No model is open", "Choose a model above to see its embeddings here.")
        elif model is not self._read_of:
            self._table = None  # it was another model's
            self._seeker.forget()
            self._chosen = -1
            self.head.set_note("")
            self._read_of = model
            if model.run_id in self._use:
                self._read()
            else:
                self._count(model.run_id)

    @Slot()
    def show_position(self) -> None:
        text, position = self.focus.text, self.focus.position
        if self.follow.isChecked() and text is not None and position is not None:
            self.choose(text.ids[position])

    def _count(self, run_id: str) -> None:
        """Count the tokens in the training text of the open model, then read the table."""
        self._show_message("Counting the tokens …", "Tokens that its training text never uses are left out of the map.")
        library, tokenizer = self._session.library, self._session.chat.tokenizer
        assert tokenizer is not None

        def work() -> Generator[Event, None, tuple[str, TokenUse | None]]:
            from terrarium.models.corpora.token_use import count_training_tokens
            from terrarium.models.runs.run_folder import RunFolder

            try:
                run = RunFolder.open(library.find_run(run_id))
            except ValueError:  # the model is not a run in this library
                return run_id, None
            return run_id, (yield from count_training_tokens(library, run, tokenizer))

        self._counting.drive(work)

    @Slot(object)
    def _on_counting(self, events: tuple[Event, ...]) -> None:
        for event in latest_progress(events):
            if isinstance(event, Progress) and event.total:
                share = format_percent(event.done / event.total)
                self._show_message("Counting the tokens …", f"{share} of its training text so far.")

    @property
    def busy(self) -> bool:
        """Whether tokens are being counted, the map is being computed, or neighbours are being looked up."""
        return self._counting.busy or self.examiner.busy or self._seeker.busy

    @Slot(object)
    def _on_counted(self, counted: tuple[str, TokenUse | None]) -> None:
        run_id, use = counted
        self._use[run_id] = use
        model = self._session.chat.model
        if model is not None and model.run_id == run_id:
            self._read()

    @Slot(object)
    def _on_not_counted(self, failure: Failure) -> None:
        model = self._session.chat.model
        if model is not None:
            self._on_counted((model.run_id, None))

    @Slot()
    def _read(self) -> None:
        model = self._session.chat.model
        if model is None:
            return
        which, use, with_unused = self.which.value, self._use.get(model.run_id), self.unused.isChecked()
        in_world = model.source == "tiny-world"
        if self._table is None:
            self._show_message("Reading the table…", "The map is computed once per model.")
        self.examiner.ask(
            lambda model, tokenizer: read_table(
                model, tokenizer, which, use, in_world=in_world, with_unused=with_unused
            )
        )

    # -- Showing -------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_table(self, table: EmbeddingTable) -> None:
        self._table = table
        share = format_percent(sum(table.map.shares))
        self.scatter.show_table(
            table,
            (
                f"The map shows {share} of the variance, in 2 of {table.width:,} dimensions.",
                "Wheel: zoom. Drag: pan. Double-click: show all.",
            ),
        )
        counts = Counter(table.kinds[id] for id in table.shown)
        self.legend.show_kinds((kind, counts[kind]) for kind in KINDS if counts[kind])
        self.which.setVisible(table.has_both)
        self.which.choose(table.which)
        self.unused.setVisible(table.n_unused > 0)
        self.unused.setText(f"Show {table.n_unused:,} unused")
        self.head.set_note(self._describe(table))
        self._pages.setCurrentIndex(0)
        self._on_search()
        chosen, self._chosen = self._chosen, -1
        self.near.show_rows(())
        self.sentence.hide()
        self.near_title.setText("Click a point, or search, to see its neighbours")
        if not 0 <= chosen < len(table.names):
            chosen = first_choice(table.kinds, table.counts, table.shown)
        self.choose(chosen)
        self.show_position()

    def _describe(self, table: EmbeddingTable) -> str:
        """Describe the size of the table, which tokens are on the map, and how that is known."""
        n, n_shown, step = len(table.names), len(table.shown), f"at step {self.examiner.step:,}"
        if table.use is None:
            where = f"All {format_count(n, 'token')} are shown: without its training text, it is unknown which it uses"
        else:
            text = "its training text" if table.use.is_whole else "the part of its training text that was counted"
            where = f"{n_shown:,} of {format_count(n, 'token')} are shown"
            if n_shown < n:
                where += f"; the other {n - n_shown:,} never occur in {text}"
            elif table.n_unused:
                where += f", {table.n_unused:,} of which never occur in {text}"
        size = f"{where}. {table.width:,} numbers each, {step}."
        n_read = table.map.n_read
        return size if n_read == n_shown else f"{size} The map's axes are computed from {n_read:,} of them."

    @Slot(int)
    def choose(self, id: int) -> None:
        """Show the nearest neighbours of a token."""
        table = self._table
        if table is None or not 0 <= id < len(table.names):
            return
        self._chosen = id
        self.scatter.mark(id)
        which, among = table.which, table.shown
        self._seeker.ask(lambda model, tokenizer: find_nearest(model, tokenizer, which, id, among))

    @Slot(object)
    def _on_nearest(self, answer: tuple[int, list[tuple[int, float]]]) -> None:
        id, near = answer
        table = self._table
        if table is None or id != self._chosen:
            return
        self.scatter.mark(id, [other for other, _ in near])
        length = float(table.map.lengths[id])
        self.sentence.setText(describe_nearest(table.names[id], [table.names[other] for other, _ in near]))
        self.sentence.setVisible(bool(near))
        aside = "" if id in table.shown else ", which is not on the map"
        self.near_title.setText(f"Nearest to {quoted(table.names[id])}{aside} (length {length:.2f}) by cosine")
        self.near.show_rows([(other, table.names[other], cosine) for other, cosine in near])

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._show_message("This cannot be shown", failure.sentence)

    def _show_message(self, heading: str, sentence: str) -> None:
        self.nothing.set_words(heading, sentence)
        self._pages.setCurrentIndex(1)

    # -- Searching -----------------------------------------------------------------------------------------------------

    @Slot()
    def _on_search(self) -> None:
        words = self.search.text()
        found = self._table.find(words) if self._table is not None else []
        self.scatter.mark_found(found)
        self.found.setVisible(bool(words))
        marked = "" if len(found) <= MAX_MARKED else f" The shortest {MAX_MARKED} are marked."
        number = format_count(len(found), "match", "matches")
        self.found.setText(f"{number}; Enter selects {'it' if len(found) == 1 else 'the best'}.{marked}")

    @Slot()
    def _on_search_entered(self) -> None:
        found = self._table.find(self.search.text()) if self._table is not None else []
        if found:
            self.choose(found[0])

    # -- Export --------------------------------------------------------------------------------------------------------

    def _heading(self) -> str:
        model = self._session.chat.model
        return f"{ABOUT.title} · {model.name}, step {self.examiner.step:,}" if model is not None else ABOUT.title

    def numbers(self) -> Callable[[], Columns]:
        """Return a function that creates the export columns.

        They are every token with its coordinates on the map and, for the neighbours of the chosen token, their cosines.
        """
        table, near = self._table, {id: cosine for id, _, cosine in self.near.rows}

        def make() -> Columns:
            if table is None:
                return {key: [] for key in ("id", "token", "kind", "count", "x", "y", "length", "cosine_to_chosen")}
            return {
                "id": list(range(len(table.names))),
                "token": table.names,
                "kind": [kind.name for kind in table.kinds],
                "count": [None] * len(table.names) if table.use is None else table.counts,
                "x": table.map.points[:, 0],
                "y": table.map.points[:, 1],
                "length": table.map.lengths,
                "cosine_to_chosen": [near.get(id) for id in range(len(table.names))],
            }

        return make


def describe_nearest(name: str, nearest: Sequence[str]) -> str:
    """Name up to three nearest neighbours, the nearest first: “Closest to “Mia”: Tom, Anna, Ben.”"""
    if not nearest:
        return ""
    words = (spoken(each) for each in nearest[:_N_SPOKEN])
    plain = (word.strip("“”") if word.strip("“”").isalnum() else word for word in words)
    return f"Closest to {spoken(name)}: {', '.join(plain)}."
