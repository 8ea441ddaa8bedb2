"""The origin of a run (parents, tokenizer, text) and its children, as a chain of cards."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QPointF, QSize, Qt, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF, QShowEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

from terrarium.app.kit.basics import Content, column, group, label, plain_tip, row, show_words
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.clickable_card import ClickableCard
from terrarium.app.lineage.origin import Lineage, Link, lineage_of
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.routes import ShowRun, ShowTokenizer
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure

_WIDEST = 760  # pixels: longer lines are hard to read
_KINDS = {
    "run": ("Run", "trend-down"),
    "tokenizer": ("Tokenizer", "text-aa"),
    "corpus": ("Text", "book-open"),
    "model": ("Imported model", "download-simple"),
}


class OriginView(QWidget):
    """A chain of cards: the run, its parents, its tokenizer and its text; below them what was made from it."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._run: ShownRun | None = None
        self._lineage: Lineage | None = None
        self.cards: list[LineageCard] = []
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self._area.setAccessibleName("Origin")
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._note = label("", "muted", wrap=True)
        self.setLayout(column(self._note, self._area))
        self._reading = LatestTask(self)
        self._reading.done.connect(self._on_read)
        self._reading.failed.connect(self._on_failed)
        self._is_stale = False
        session.runs.changed.connect(self._on_runs_changed)
        theme.theme_changed.connect(self._restyle)

    @property
    def lineage(self) -> Lineage | None:
        """The lineage shown; None while it is being read, or if reading failed."""
        return self._lineage

    def show_run(self, run: ShownRun) -> None:
        """Show another run's lineage."""
        self._run, self._lineage = run, None
        self._area.hide()
        self._say("" if run.folder is not None else "The lineage appears when the run has been prepared.")
        self._read()

    def refresh(self) -> None:
        """A run's origin does not change while it grows."""

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._read()

    @Slot()
    def _on_runs_changed(self) -> None:
        """Runs made from it may be new or gone; read again once visible, since that is slow for long texts."""
        self._is_stale = True
        if self.isVisible():
            self._read()

    def _read(self) -> None:
        self._is_stale = False
        if self._run is None or self._run.folder is None:
            return
        library, folder, index = self._session.library, self._run.folder, self._session.runs.index
        self._reading.ask(lambda: lineage_of(library, folder, index.refresh()))

    @Slot(object)
    def _on_read(self, lineage: Lineage) -> None:
        if lineage != self._lineage:
            self._lineage = lineage
            self._say("")
            self._build(lineage)
            self._area.show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._lineage = None
        self._area.hide()
        self._say(failure.sentence)

    def _say(self, words: str) -> None:
        show_words(self._note, words)

    def _build(self, lineage: Lineage) -> None:
        page = QWidget()
        page.setProperty("role", "scrolled")
        self.cards = []
        links = list[Content]()
        for i, link in enumerate(lineage.chain):
            if i:
                links.append(_LineageArrow(link.made, self._theme))
            links.append(self._card(link, stands_out=i == 0))
        if lineage.children or lineage.can_be_forked:
            links += 3 * SPACE, label("Made from this run", "subheading"), SPACE
        for link in lineage.children:
            links += label(link.made, "caption"), self._card(link), SPACE
        if not lineage.children and lineage.can_be_forked:
            links.append(label("Nothing yet. Fork any checkpoint, or start a new run from it.", "muted", wrap=True))
        chain = group(*links, spacing=0)
        chain.setMaximumWidth(_WIDEST)
        page.setLayout(column(chain, None, spacing=0, margin=(0, 0, SPACE, 0)))
        self._area.setWidget(page)

    def _card(self, link: Link, *, stands_out: bool = False) -> LineageCard:
        opens = ""
        if link.key and not stands_out:
            opens = {"run": "Show this run", "tokenizer": "Show this tokenizer"}.get(link.kind, "")
        card = LineageCard(link, self._theme, opens, stands_out=stands_out)
        if opens:
            route = ShowRun(link.key) if link.kind == "run" else ShowTokenizer(link.key)
            card.clicked.connect(partial(self._session.go, route))
        self.cards.append(card)
        return card

    @Slot()
    def _restyle(self) -> None:
        for card in self.cards:
            card.restyle()


class LineageCard(ClickableCard):
    """A card of a link; clickable if `opens`, the tooltip of the click, is given."""

    def __init__(self, link: Link, theme: ThemeProvider, opens: str = "", *, stands_out: bool = False) -> None:
        words, icon = _KINDS[link.kind]
        super().__init__(icon, theme, can_open=bool(opens), stands_out=stands_out)
        self.link = link
        title = ElidedLabel(link.title)
        title.setProperty("role", "subheading")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.icon.setAccessibleName(words)
        kind = label(words, "caption")
        head = row(self.icon, title, kind, grows=title)
        facts = [label("  ·  ".join(link.facts), "caption", wrap=True)] if link.facts else []
        problem = [label(link.problem, "warning", wrap=True)] if link.problem else []
        margin = (2 * SPACE, SPACE + 2, 2 * SPACE, SPACE + 2)
        self.setLayout(column(head, *facts, *problem, margin=margin, spacing=SPACE // 2))
        self.setAccessibleName(", ".join(filter(None, (words, link.title, *link.facts, link.problem))))
        if opens:
            self.setToolTip(plain_tip(opens))


class _LineageArrow(QWidget):
    """A labelled arrow from a card up to the one made from it."""

    def __init__(self, words: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words, self._theme = words, theme
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(120, 34)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, x = self._theme.theme, 2 * SPACE + 9.0
        painter.setPen(QPen(colors.color("border_strong"), 1.5))
        painter.drawLine(QPointF(x, 9), QPointF(x, self.height() - 2))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("border_strong"))
        painter.drawPolygon(QPolygonF([QPointF(x, 2), QPointF(x - 5, 10), QPointF(x + 5, 10)]))
        painter.setPen(colors.color("muted"))
        painter.setFont(self._theme.font(0.9))
        words = self.rect().adjusted(round(x) + 2 * SPACE, 0, 0, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._words)
