"""The stages before the model: text, normalized text, words; and a field for a custom word."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QGridLayout, QListView, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from terrarium.app.kit.basics import label, set_role
from terrarium.app.kit.inputs import line_edit
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.tokenizer.steps.analysis import MAX_TEXT, TextAnalysis
from terrarium.app.tokenizer.steps.style import DrawingStyle, alternate
from terrarium.models.number_words import format_count, format_times
from terrarium.models.tokenizers import show_bytes
from terrarium.models.tokenizers.steps.steps import Word

_SHOWN = 300  # characters of a text
_Index = QModelIndex | QPersistentModelIndex
_NO_INDEX = QModelIndex()
_WIDEST, _PAD, _LONGEST = 260, 6, 60  # pixels of a word, padding; characters shown


class Stages(QWidget):
    """Three lines: the text, the normalized text, and its words.

    Signals:
        typed(str): the user has typed a custom text, "" to return to the text of the tab.
    """

    typed = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text, self.normalized = ElidedLabel(), ElidedLabel()
        self.about_normalized, self.about_words = label("", "caption", wrap=True), label("", "caption", wrap=True)
        tip = "Used instead of your text unless empty; spaces count"
        self.own = line_edit("Your own word", tip, "Or type your own word", clears=True)
        self.strip = _WordStrip(theme)
        for widget in (self.text, self.normalized):
            set_role(widget, "mono")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(2, 240)
        top = Qt.AlignmentFlag.AlignTop
        for line, words in enumerate(("Text", "Normalised", "Words")):
            name = label(words, "subheading")
            if line == 2:
                name.setContentsMargins(0, 3, 0, 0)
            grid.addWidget(name, line, 0, top if line == 2 else Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(self.text, 0, 1)
        grid.addWidget(self.own, 0, 2)
        grid.addWidget(self.normalized, 1, 1)
        grid.addWidget(self.about_normalized, 1, 2)
        grid.addWidget(self.strip, 2, 1)
        self.about_words.setAlignment(top)  # aligned by the grid, the label would get no height for its lines
        grid.addWidget(self.about_words, 2, 2)
        self.own.textChanged.connect(self.typed)

    def show_analysis(self, analysis: TextAnalysis) -> None:
        """Show the stages of an analysis."""
        split = analysis.split
        glyphs = Glyphs(self.text.font())
        self.text.setText(glyphs.drawable(_beginning(split.text)))
        self.normalized.setText(glyphs.drawable(_beginning(split.normalized)))
        if not analysis.normalizer:
            self.about_normalized.setText("No normaliser: unchanged.")
        else:
            same = ": changes nothing here" if split.normalized == split.text else ""
            self.about_normalized.setText(f"{analysis.normalizer}{same}")
        how = f"by {analysis.pre_tokenizer}" if analysis.pre_tokenizer else "not split"
        n = f"{format_count(split.n_words, 'word')}, {len(split.words):,} distinct" if split.words else "no words"
        words = [f"{n} ({how})."]
        if analysis.is_cut:
            words.append(f"Only the first {MAX_TEXT:,} characters of the text.")
        words.append(_agreement(analysis))
        self.about_words.setText("\n".join(words))
        self.strip.set_words(split.words)

    def clear(self) -> None:
        """Clear all lines except the custom word."""
        self.strip.set_words(())
        for widget in (self.text, self.normalized):
            widget.setText("")
        for about in (self.about_normalized, self.about_words):
            about.setText("")


def _agreement(analysis: TextAnalysis) -> str:
    if not analysis.n_checked:
        return ""
    if analysis.n_wrong:
        words = format_count(analysis.n_wrong, "word")
        verb = "differs" if analysis.n_wrong == 1 else "differ"
        return f"{words} {verb} from the encoder: do not trust their steps."
    n = "all" if analysis.n_checked == len(analysis.split.words) else f"{analysis.n_checked:,}"
    return f"✓ The steps of {n} of them match the encoder."


def _beginning(text: str) -> str:
    return show_bytes(text[:_SHOWN].encode()) + ("…" if len(text) > _SHOWN else "")


class _WordStrip(QListView):
    """The distinct words of a text in order of first occurrence, wrapped, each with its number of occurrences.

    Signals:
        chosen(int): another word was selected.
    """

    chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.words = _Words(self)
        self.setModel(self.words)
        self.setItemDelegate(_Pill(theme, self.words, self))
        self.setProperty("role", "plain")
        self.setAccessibleName("Words")
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setLayoutMode(QListView.LayoutMode.Batched)
        self.setBatchSize(2000)
        self.setSpacing(1)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerItem)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._silent, self._n_lines = False, 2
        self.selectionModel().currentChanged.connect(self._on_current)
        theme.theme_changed.connect(self._on_theme)
        self._on_theme()

    @property
    def current(self) -> int:
        """The index of the current word, −1 for none."""
        return self.currentIndex().row()

    def set_words(self, words: Sequence[Word]) -> None:
        """Replace the words; none is selected."""
        self._silent = True
        self.words.set_words(words)
        self._silent = False

    def set_lines(self, n: int) -> None:
        """Set the height to `n` lines of words."""
        if n != self._n_lines:
            self._n_lines = n
            self._on_theme()

    def choose(self, row: int) -> None:
        """Select a word."""
        self.setCurrentIndex(self.words.index(row))

    def _on_current(self, index: QModelIndex) -> None:
        if index.isValid() and not self._silent:
            self.scrollTo(index)
            self.setAccessibleDescription(f"{index.data()}, word {index.row() + 1} of {self.words.rowCount()}")
            self.chosen.emit(index.row())

    def _on_theme(self) -> None:
        self.setFixedHeight(self._n_lines * (round(DrawingStyle(self._theme).pill_height) + 2 + self.spacing()) + 2)
        self.scheduleDelayedItemsLayout()


class _Words(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.words: Sequence[Word] = ()

    def set_words(self, words: Sequence[Word]) -> None:
        self.beginResetModel()
        self.words = words
        self.endResetModel()

    def rowCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self.words)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        word = self.words[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return word.display[:_LONGEST]
        if role == Qt.ItemDataRole.ToolTipRole:
            added = "An added token, " if word.added_id is not None else ""
            return f"{added}{format_times(word.count)} in the text".capitalize()
        return None


class _Pill(QStyledItemDelegate):
    def __init__(self, theme: ThemeProvider, words: _Words, parent: _WordStrip) -> None:
        super().__init__(parent)
        self._theme, self._words, self._strip = theme, words, parent
        self._take_style()
        theme.theme_changed.connect(self._take_style)

    def _take_style(self) -> None:
        self._style = DrawingStyle(self._theme)

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        style, word = self._style, self._words.words[index.row()]
        width = style.width(word.display[:_LONGEST]) + 2 * _PAD
        if word.count > 1:
            width += style.small_width(_times(word)) + 5
        return QSize(min(round(width), _WIDEST), round(style.pill_height) + 2)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        style, word = self._style, self._words.words[index.row()]
        rect = QRectF(option.rect).adjusted(1, 1, -1, -1)
        is_current = index.row() == self._strip.current
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill = "" if word.added_id is not None else alternate(index.row())
        edge = "accent" if is_current else "" if fill else "border_strong"
        style.pill(painter, rect, "", fill=fill, edge=edge)
        text = rect.adjusted(_PAD - 1, 0, -_PAD + 1, 0)
        metrics = QFontMetrics(style.font)
        room = text.width()
        if word.count > 1:
            painter.setFont(style.small)
            painter.setPen(style.colors.color("pill_text" if fill else "muted", 0.75))
            painter.drawText(text, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, _times(word))
            room -= style.small_width(_times(word)) + 5
        painter.setFont(style.font)
        painter.setPen(style.colors.color("pill_text" if fill else "text"))
        whole = style.drawable(word.display[:_LONGEST])
        shown = metrics.elidedText(whole, Qt.TextElideMode.ElideRight, round(room) + 1)
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()


def _times(word: Word) -> str:
    return f"×{word.count:,}"
