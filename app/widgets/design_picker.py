"""Which architecture a run uses: the builder's current one, a preset, or a saved design."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QComboBox, QWidget

from app.session import Session
from app.theme import ThemeProvider
from app.widgets.basics import button, column, label, row
from app.widgets.words import words
from models.config import PRESETS


class DesignPicker(QWidget):
    """Shows and changes `session.design`, which the builder shares."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.choice = QComboBox()
        self.choice.setAccessibleName("Design")
        self._about = label("", "caption", wrap=True)
        edit = button(
            "Edit in Builder",
            theme,
            lambda: session.tab_requested.emit("builder"),
            icon="pencil-simple",
            role="link",
            tip="See the architecture as a diagram, and change it",
        )
        layout = column(self.choice, self._about)
        layout.addLayout(row(edit, None))
        self.setLayout(layout)
        self.choice.activated.connect(self._on_chosen)
        session.design_changed.connect(self.reload)
        session.library_changed.connect(self.reload)
        self.reload()

    @Slot()
    def reload(self) -> None:
        """Show what there is and what is chosen."""
        session = self._session
        with QSignalBlocker(self.choice):
            self.choice.clear()
            if not session.design_name:
                self.choice.addItem("Edited design (not saved)", "")
            for name in session.list_designs():
                self.choice.addItem(name, name)
            for name in PRESETS:
                self.choice.addItem(words(name), name)
            self.choice.setCurrentIndex(max(0, self.choice.findData(session.design_name)))
        design = session.design
        self._about.setText(
            f"{design.n_layer} layers, {design.d_model} wide, {design.n_head} heads, "
            f"{design.context_length:,} tokens of context"
        )

    @Slot(int)
    def _on_chosen(self, index: int) -> None:
        name = self.choice.itemData(index)
        if name:
            self._session.load_design(name)
