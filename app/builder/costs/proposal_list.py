"""“Make it fit”: changes to choose from, each a button with its sentence and what it would take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.kit.basics import label
from app.kit.theme import SPACE, ThemeProvider
from models.cost.fit import Proposal
from models.number_words import format_size

_SHOWN = 4
_NARROW = 200
"""Whatever the sentences are, the list is not wider: a panel's width must not follow them."""


class ProposalList(QWidget):
    """A heading and a button for each proposal; hidden while there is nothing to propose.

    Signals:
        chosen(proposal): the user wants this one.
    """

    chosen = Signal(object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.buttons: list[ProposalButton] = []
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._lines.setSpacing(SPACE)
        self._nothing = label("No single change makes it fit: choose a smaller design.", "muted", wrap=True)
        self._lines.addWidget(label("Make it fit", "subheading"))
        self._lines.addWidget(self._nothing)
        self.hide()

    def set_proposals(self, proposals: Sequence[Proposal]) -> None:
        """Offer the first few; where there are none, say so."""
        for old in self.buttons:
            self._lines.removeWidget(old)
            old.deleteLater()
        self.buttons = [
            ProposalButton(proposal, lambda proposal=proposal: self.chosen.emit(proposal))  # type: ignore[misc]
            for proposal in proposals[:_SHOWN]
        ]
        for new in self.buttons:
            self._lines.addWidget(new)
        self._nothing.setVisible(not self.buttons)
        self.setEnabled(True)
        self.show()


class ProposalButton(QPushButton):
    """A button of several lines: QPushButton itself has only one."""

    def __init__(self, proposal: Proposal, on_click: Callable[[], object]) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        size = format_size(proposal.bytes)
        self.setAccessibleName(f"{proposal.sentence} Takes {size}.")
        self.setToolTip("Change the design like this")
        lines = QVBoxLayout(self)
        lines.setContentsMargins(SPACE + 2, SPACE, SPACE + 2, SPACE)
        lines.setSpacing(SPACE // 2)
        sentence, amount = label(proposal.sentence, wrap=True), label(f"→ {size}", "mono-small")
        amount.setAlignment(Qt.AlignmentFlag.AlignRight)
        for each in (sentence, amount):
            each.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            lines.addWidget(each)
        self.clicked.connect(lambda: on_click())

    def sizeHint(self) -> QSize:
        layout = self.layout()
        assert layout is not None
        return layout.totalSizeHint()

    def minimumSizeHint(self) -> QSize:
        layout = self.layout()
        assert layout is not None
        return QSize(_NARROW, layout.totalMinimumSize().height())
