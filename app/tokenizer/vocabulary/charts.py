"""A vocabulary's figures side by side: lengths, and once a corpus was counted, frequency by rank and coverage."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.kit.basics import EmptyState, frame
from app.kit.figures.bar_plot import BarPlot
from app.kit.figures.line_plot import LinePlot
from app.kit.figures.pictures import LinePicture
from app.kit.theme import SPACE, ThemeProvider
from app.tokenizer.vocabulary.pictures import coverage_picture, lengths_picture, zipf_picture
from models.tokenizers.vocabulary.table import Vocabulary
from models.tokenizers.vocabulary.token_counts import Usage


class _LogPlot(LinePlot):
    """Lines as wide as there is room: no colour bar stands beside them."""

    def _room(self) -> QRectF:
        room = super()._room()
        room.setRight(self.width() - 1.5 * SPACE)
        return room


class VocabularyCharts(QWidget):
    """Three figures; in the place of the last two, what to do to see them."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lengths = BarPlot(theme)
        self.zipf, self.coverage = _LogPlot(theme), _LogPlot(theme)
        pair = QWidget()
        beside = QHBoxLayout(pair)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(SPACE)
        beside.addWidget(self.zipf, 1)
        beside.addWidget(self.coverage, 1)
        self._hint = EmptyState(
            "Nothing is counted yet",
            "Choose a corpus above and count: this shows how often each token occurs, and which never do.",
        )
        self._pages = QStackedWidget()
        self._pages.addWidget(self._hint)
        self._pages.addWidget(pair)
        card = frame("card", horizontal=True, margin=SPACE)
        inside = card.layout()
        assert isinstance(inside, QHBoxLayout)
        inside.addWidget(self.lengths, 1)
        inside.addWidget(self._pages, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(card)

    def sizeHint(self) -> QSize:
        return QSize(720, 168)

    @property
    def pictures(self) -> tuple[LinePicture, LinePicture] | None:
        """Frequency by rank and coverage, where a corpus was counted."""
        if self._pages.currentIndex() == 0 or self.zipf.picture is None or self.coverage.picture is None:
            return None
        return self.zipf.picture, self.coverage.picture

    def show_vocabulary(self, vocabulary: Vocabulary, usage: Usage | None) -> None:
        """Draw these; without `usage`, what is known of the vocabulary alone."""
        self.lengths.set_picture(lengths_picture(vocabulary))
        self._pages.setCurrentIndex(0 if usage is None else 1)
        if usage is not None:
            self.zipf.set_picture(zipf_picture(vocabulary, usage))
            self.coverage.set_picture(coverage_picture(usage))
