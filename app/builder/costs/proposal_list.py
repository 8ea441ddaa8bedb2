"""“Make it fit”: a button per proposed change, with its description and memory estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from terrarium.app.kit.basics import column, label
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.design.fit import Proposal
from terrarium.models.number_words import format_size

_MAX_SHOWN = 4
_MIN_WIDTH = 200
"""The minimum width in pixels. Independent of the sentences, so that the width of the panel stays constant."""


class ProposalList(QWidget):
    """A heading and a button for each proposal; hidden while there is nothing to propose.

    Signals:
        chosen(proposal): the user clicked this proposal.
    """

    chosen = Signal(object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.buttons: list[ProposalButton] = []
        self._nothing = label("No single change makes it fit: choose a smaller design.", "muted", wrap=True)
        self._lines = column(label("Make it fit", "subheading"), self._nothing)
        self.setLayout(self._lines)
        self.hide()

    def set_proposals(self, proposals: Sequence[Proposal]) -> None:
        """Offer the first few proposals, or state that no single change suffices."""
        for old in self.buttons:
            self._lines.removeWidget(old)
            old.deleteLater()
        self.buttons = [
            ProposalButton(proposal, lambda proposal=proposal: self.chosen.emit(proposal))  # type: ignore[misc]
            for proposal in proposals[:_MAX_SHOWN]
        ]
        for new in self.buttons:
            self._lines.addWidget(new)
        self._nothing.setVisible(not self.buttons)
        self.setEnabled(True)
        self.show()


class ProposalButton(QPushButton):
    """A button with several lines of text, which QPushButton does not support."""

    def __init__(self, proposal: Proposal, on_click: Callable[[], object]) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        size = format_size(proposal.bytes)
        self.setAccessibleName(f"{proposal.sentence} Takes {size}.")
        self.setToolTip("Apply this change")
        sentence, amount = label(proposal.sentence, wrap=True), label(f"→ {size}", "mono-small")
        amount.setAlignment(Qt.AlignmentFlag.AlignRight)
        for each in (sentence, amount):
            each.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setLayout(column(sentence, amount, spacing=SPACE // 2, margin=(SPACE + 2, SPACE, SPACE + 2, SPACE)))
        self.clicked.connect(lambda: on_click())

    def sizeHint(self) -> QSize:
        layout = self.layout()
        assert layout is not None
        return layout.totalSizeHint()

    def minimumSizeHint(self) -> QSize:
        layout = self.layout()
        assert layout is not None
        return QSize(_MIN_WIDTH, layout.totalMinimumSize().height())
