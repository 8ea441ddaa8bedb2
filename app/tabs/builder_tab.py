"""The builder tab: fill the slots of an architecture, see it drawn, and see what it costs."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QInputDialog, QLineEdit, QSplitter, QVBoxLayout, QWidget

from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, frame, label, row, set_role
from app.widgets.block_diagram import BlockDiagram
from app.widgets.block_parts import Part
from app.widgets.config_form import ConfigForm
from app.widgets.cost_panel import CostPanel
from app.widgets.item_list import Item, ItemList
from app.widgets.scrolling import scrolling
from app.widgets.words import short_count, words
from models import cost
from models.config import PRESETS, ModelConfig

_HINT = "Point at a part to see its formula. Click it to change it."


class BuilderTab(QWidget):
    """Left designs and slots, in the middle the block diagram, right the costs."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._origin = session.design_name
        self.setProperty("role", "page")
        self.list = ItemList("Designs", theme, can_rename=True)
        self.form = ConfigForm(
            session.design,
            theme,
            folded=("Details",),
            zero_words={
                "n_kv_head": lambda config: f"auto ({config.kv_heads})",
                "d_ff": lambda config: f"auto ({config.ff_width:,})",
                "conv_width": lambda config: "none",
            },
        )
        self.diagram = BlockDiagram(session.design, theme)
        self.costs = CostPanel(session.design, theme)
        self.name = QLineEdit()
        self.note = label("", "caption")
        self.formula = label(_HINT, "caption", wrap=True)
        # Redrawing follows every edit; the session, which writes to the disk, is told when edits pause.
        self._hand_over = QTimer(self, singleShot=True, interval=200)
        self._build()
        self._connect()
        self._on_library_changed()
        self._on_design_changed()

    # -- layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        splitter = self.splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        for widget in (self._slots_panel(), self._centre(), self._cost_panel()):
            splitter.addWidget(widget)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([330, 800, 260])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        layout.addWidget(splitter)

    def _slots_panel(self) -> QWidget:
        panel = frame("card")
        lines = panel.layout()
        assert isinstance(lines, QVBoxLayout)
        self.list.show_rows(4)
        lines.addWidget(label("Designs", "subheading"))
        lines.addWidget(self.list)
        lines.addWidget(scrolling(self.form), 1)
        return panel

    def _centre(self) -> QWidget:
        self.name.setAccessibleName("Name of the design")
        self.name.setToolTip("The name that the design is saved under")
        self.name.setMaximumWidth(240)
        self.save = button("Save", self._theme, self._on_save, icon="floppy-disk", tip="Save this design (Ctrl+S)")
        self.train = button("Train this", self._theme, self._on_train, icon="play", role="primary")
        panel = frame("card")
        lines = panel.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addLayout(row(self.name, self.save, self.note, None, self.train))
        lines.addWidget(self.diagram, 1)
        self.formula.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.formula.setFixedHeight(2 * self.formula.fontMetrics().lineSpacing() + 4)
        lines.addWidget(self.formula)
        return panel

    def _cost_panel(self) -> QWidget:
        panel = frame("card")
        lines = panel.layout()
        assert lines is not None
        lines.addWidget(scrolling(self.costs))
        return panel

    def _connect(self) -> None:
        self._hand_over.timeout.connect(self._on_pause)
        self.form.changed.connect(self._on_edited)
        self.form.problem_changed.connect(self._on_problem_changed)
        self.diagram.part_hovered.connect(self._on_part_hovered)
        self.diagram.part_clicked.connect(self._on_part_clicked)
        self.list.chosen.connect(self._on_chosen)
        self.list.rename_asked.connect(self._on_rename)
        self.list.delete_asked.connect(self._session.delete_design)
        self._session.design_changed.connect(self._on_design_changed)
        self._session.library_changed.connect(self._on_library_changed)
        self.name.returnPressed.connect(self._on_save)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Save), self, self._on_save).setContext(
            Qt.ShortcutContext.WidgetWithChildrenShortcut
        )

    # -- slots ---------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_library_changed(self) -> None:
        presets = [
            Item(
                name, words(name), f"preset, {short_count(cost.total_parameters(config))} parameters", can_change=False
            )
            for name, config in PRESETS.items()
        ]
        saved = [Item(name, name, "saved") for name in sorted(self._session.list_designs()) if name not in PRESETS]
        self.list.set_items([*presets, *saved], self._session.design_name)

    @Slot()
    def _on_design_changed(self) -> None:
        self._hand_over.stop()
        config, name = self._session.design, self._session.design_name
        if name:
            self._origin = name
            self.name.setText(self._free_name(name) if name in PRESETS else name)
        if config != self.form.config or self.form.problem:
            self.form.set_config(config)
        self._draw(config)
        self.note.setText("" if name else f"changed from {words(self._origin)}" if self._origin else "")
        self._on_library_changed()

    @Slot(object)
    def _on_edited(self, config: ModelConfig) -> None:
        self._draw(config)
        self._hand_over.start()

    def _draw(self, config: ModelConfig) -> None:
        if config != self.diagram.config:
            self.diagram.set_config(config)
            self.costs.set_config(config)

    @Slot()
    def _on_pause(self) -> None:
        """Make what the form holds the session's design."""
        config = self.form.config
        same = [name for name, preset in PRESETS.items() if preset == config]
        self._session.set_design(config, same[0] if same else "")

    def _hand_over_now(self) -> None:
        if self._hand_over.isActive():
            self._hand_over.stop()
            self._on_pause()

    def hideEvent(self, event: QHideEvent) -> None:
        self._hand_over_now()
        super().hideEvent(event)

    @Slot(str)
    def _on_problem_changed(self, sentence: str) -> None:
        self.diagram.set_problem(self.form.problem_group)
        self.train.setEnabled(not sentence)
        self.save.setEnabled(not sentence)
        self.train.setToolTip(sentence or "Go to the Training tab with this design")
        self._on_part_hovered(None)

    @Slot(object)
    def _on_part_hovered(self, part: Part | None) -> None:
        if part is not None:
            self.formula.setText(f"{part.title}: {part.meaning}\n{part.formula}")
        else:
            self.formula.setText(self.form.problem or _HINT)
        set_role(self.formula, "error" if part is None and self.form.problem else "caption")

    @Slot(object)
    def _on_part_clicked(self, part: Part) -> None:
        self.form.show_group(part.group)

    @Slot(str)
    def _on_chosen(self, name: str) -> None:
        if not self._session.load_design(name):
            self._on_library_changed()

    @Slot(str)
    def _on_rename(self, name: str) -> None:
        new, agreed = QInputDialog.getText(self, "Rename design", "New name", text=name)
        if agreed and new.strip() and new.strip() != name:
            self._session.rename_design(name, new.strip())

    def _on_save(self) -> None:
        self.form.commit()
        self._hand_over_now()
        if self.form.problem:
            return
        name = self.name.text().strip()
        if name in PRESETS or (name in self._session.list_designs() and name != self._origin):
            name = self._free_name(name)  # nothing is overwritten but the design that was opened
        self._session.save_design(name)

    def _on_train(self) -> None:
        self.form.commit()
        self._hand_over_now()
        if not self.form.problem:
            self._session.tab_requested.emit("training")

    def _free_name(self, name: str) -> str:
        taken, candidate, n = {*PRESETS, *self._session.list_designs()}, name, 1
        while candidate in taken:
            n += 1
            candidate = f"{name}-{n}"
        return candidate
