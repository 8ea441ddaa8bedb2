"""The list of designs: a preset family per row with its published sizes below, then the user's own designs."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import (
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSignalBlocker,
    QSize,
    Qt,
    Signal,
    SignalInstance,
    Slot,
)
from PySide6.QtGui import QAction, QFontMetrics, QKeyEvent, QKeySequence, QPainter
from PySide6.QtWidgets import (
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
    QTreeWidgetItemIterator,
    QWidget,
)

from terrarium.app.kit.basics import add_action, plain_tip
from terrarium.app.kit.setting_names.preset_words import design_title, format_parameter_count, preset_families
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.library.library import DesignInfo
from terrarium.models.settings.presets import PRESETS

_KEY, _SIZE, _PROBLEM, _HEADING = (Qt.ItemDataRole.UserRole + n for n in range(1, 5))
_PAD, _ARROW = 6, 12  # pixels


class DesignList(QTreeWidget):
    """Presets by family, and saved designs. The Delete key deletes and F2 renames a saved design. A deleted design
    stays open in the builder without a row; an arrow key then continues from its former row.

    Signals:
        chosen(name): a design was clicked, or reached with the arrow keys.
        rename_requested(name), duplicate_requested(name), delete_requested(name), compare_requested(name): the user
            asked for this by key or in the context menu.
    """

    chosen = Signal(str)
    rename_requested = Signal(str)
    duplicate_requested = Signal(str)
    delete_requested = Signal(str)
    compare_requested = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setAccessibleName("Designs")
        self.setProperty("role", "plain")
        self.setHeaderHidden(True)
        self.setIndentation(16)
        self.setUniformRowHeights(True)
        self.setExpandsOnDoubleClick(False)
        self.setItemDelegate(_NameAndSize(theme, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._own_actions: list[QAction] = []
        self._add_action("Compare with this", QKeySequence(), self.compare_requested, own=False)
        self._add_action("Duplicate", QKeySequence("Ctrl+D"), self.duplicate_requested, own=False)
        self._add_action("Rename…", QKeySequence(Qt.Key.Key_F2), self.rename_requested, own=True)
        self._add_action("Delete", QKeySequence(QKeySequence.StandardKey.Delete), self.delete_requested, own=True)
        self._saved: Sequence[DesignInfo] = ()
        self._deleted_at: int | None = None  # the index among `keys` of the last deleted design
        self.delete_requested.connect(self._on_delete)
        self._add_presets()
        self._own = QTreeWidgetItem(["Your designs"])
        self._own.setData(0, _HEADING, True)
        self._own.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.addTopLevelItem(self._own)
        self._own.setHidden(True)
        self.currentItemChanged.connect(self._on_current_changed)
        self.itemDoubleClicked.connect(lambda item: item.setExpanded(not item.isExpanded()))
        theme.theme_changed.connect(self.doItemsLayout)
        self._allow_actions()

    @property
    def current_key(self) -> str:
        """The name of the selected design, '' if none is selected."""
        item = self.currentItem()
        return "" if item is None else str(item.data(0, _KEY) or "")

    @property
    def keys(self) -> list[str]:
        """The names of all designs, from top to bottom."""
        return [key for item in self._all_items() if (key := item.data(0, _KEY))]

    def item_of(self, name: str) -> QTreeWidgetItem | None:
        """Return the row of a design, or None if it is not in the list."""
        return next((item for item in self._all_items() if item.data(0, _KEY) == name), None)

    def set_designs(self, saved: Sequence[DesignInfo], current: str) -> None:
        """Show the saved designs below the presets, with `current` selected ('' = none). Emits no signal."""
        with QSignalBlocker(self):
            if list(saved) != list(self._saved):
                self._saved = saved
                self._own.takeChildren()
                for info in saved:
                    self._own.addChild(_saved_item(info))
                self._own.setHidden(not saved)
                self._own.setExpanded(True)
            item = self.item_of(current) if current else None
            if item is not None:
                self.setCurrentItem(item)
                self.scrollToItem(item)
            else:
                self.setCurrentIndex(QModelIndex())
        self._allow_actions()

    def refresh_sizes(self) -> None:
        """Show the numbers of parameters again: those of custom blocks may have become known."""
        for info in self._saved:
            item = self.item_of(info.name)
            if item is not None and info.config is not None:
                item.setData(0, _SIZE, format_parameter_count(info.config))

    @Slot(str)
    def _on_delete(self, name: str) -> None:
        self._deleted_at = self.keys.index(name) if name in self.keys else None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        at = self._deleted_at
        if at is not None and not self.current_key and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            at, keys = at if event.key() == Qt.Key.Key_Down else at - 1, self.keys
            if (item := self.item_of(keys[max(0, min(at, len(keys) - 1))])) is not None:
                self.setCurrentItem(item)
        else:
            super().keyPressEvent(event)

    def drawRow(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        # A single shape for the whole row including the arrow; the style would draw two.
        if not index.data(_HEADING):
            colors = self._theme.theme
            selected = index.row() == self.currentIndex().row() and index.parent() == self.currentIndex().parent()
            hovered = option.state & QStyle.StateFlag.State_MouseOver
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(colors.color("accent") if selected and self.hasFocus() else Qt.PenStyle.NoPen)
            if selected or hovered:
                painter.setBrush(colors.color("accent_soft" if selected else "sunken"))
                painter.drawRoundedRect(QRect(option.rect).adjusted(1, 1, -2, -1), 6, 6)
            painter.restore()
        super().drawRow(painter, option, index)

    def drawBranches(self, painter: QPainter, rect: QRect, index: QModelIndex | QPersistentModelIndex) -> None:
        if index.model().hasChildren(index):
            icon = self._theme.icon("caret-down" if self.isExpanded(index) else "caret-right", "muted")
            box = QRect(0, 0, _ARROW, _ARROW)
            box.moveCenter(QPoint(rect.right() - self.indentation() // 2, rect.center().y()))
            icon.paint(painter, box)

    def _add_presets(self) -> None:
        for family in preset_families():
            first = _preset_item(family.presets[0], family.title if family.presets[0].endswith("-tiny") else "")
            self.addTopLevelItem(first)
            for name in family.presets[1:]:
                first.addChild(_preset_item(name))
            if family.presets[1:]:
                first.setToolTip(0, f"{first.toolTip(0)}\nPublished sizes: press →, or click the arrow")

    def _all_items(self) -> list[QTreeWidgetItem]:
        iterator = QTreeWidgetItemIterator(self)
        items = []
        while (item := iterator.value()) is not None:
            items.append(item)
            iterator += 1
        return items

    def _add_action(self, text: str, shortcut: QKeySequence, signal: SignalInstance, *, own: bool) -> None:
        action = add_action(self, text, shortcut, lambda: signal.emit(self.current_key) if self.current_key else None)
        if own:
            self._own_actions.append(action)

    def _on_current_changed(self) -> None:
        self._allow_actions()
        if self.current_key:
            self.chosen.emit(self.current_key)

    def _allow_actions(self) -> None:
        for action in self._own_actions:
            action.setEnabled(bool(self.current_key) and self.current_key not in PRESETS)


def _preset_item(name: str, title: str = "") -> QTreeWidgetItem:
    config, full = PRESETS[name], design_title(name)
    item = QTreeWidgetItem([title or full])
    item.setData(0, _KEY, name)
    item.setData(0, _SIZE, format_parameter_count(config))
    item.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{full}, {format_parameter_count(config)} parameters")
    item.setToolTip(0, f"{full}: {format_parameter_count(config)} parameters, {config.topology} ({name})")
    return item


def _saved_item(info: DesignInfo) -> QTreeWidgetItem:
    item = QTreeWidgetItem([info.name])
    item.setData(0, _KEY, info.name)
    item.setData(0, _SIZE, format_parameter_count(info.config) if info.config is not None else "damaged")
    item.setData(0, _PROBLEM, info.problem)
    item.setToolTip(0, plain_tip(info.problem or f"{info.name}\n{info.path}"))
    return item


class _NameAndSize(QStyledItemDelegate):
    """Draws a design's name, with its number of parameters on the right."""

    def __init__(self, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(80, QFontMetrics(self._theme.font()).height() + 9)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        colors = self._theme.theme
        box = QRect(option.rect).adjusted(0, 1, -2, -1)
        painter.save()
        heading = bool(index.data(_HEADING))
        text = box.adjusted(_PAD, 0, -_PAD, 0)
        size = index.data(_SIZE) or ""
        numbers = self._theme.mono_font(0.9)
        painter.setFont(numbers)
        painter.setPen(colors.color("danger" if index.data(_PROBLEM) else "muted"))
        painter.drawText(text, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, size)
        text.setRight(text.right() - QFontMetrics(numbers).horizontalAdvance(size) - 2 * _PAD)
        font = self._theme.font(0.9 if heading else 1.0)
        painter.setFont(font)
        painter.setPen(colors.color("muted" if heading else "danger" if index.data(_PROBLEM) else "text"))
        name = QFontMetrics(font).elidedText(index.data(), Qt.TextElideMode.ElideRight, text.width())
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
        painter.restore()
