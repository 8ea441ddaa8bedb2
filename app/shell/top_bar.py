"""The top bar: the logo, a button for Home and for each tab, the guide, and the quick start."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from terrarium.app.kit.basics import button, label
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.logo import program_mark
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import Go, ShowQuickStart
from terrarium.models.number_words import format_done

HOME, HOME_KEYS = "home", "Alt+Home"
_HOME_TAB = (HOME, "Home", "house", "What you have grown, what is running, and what to do next")
TABS = (
    ("tokenizer", "Tokenizer", "puzzle-piece", "Cut text into tokens: choose, try and train tokenizers"),
    ("data", "Data", "table", "Bring in your own data: tables, texts, conversations, or a dataset of the hub"),
    ("builder", "Builder", "stack", "Design the architecture of a model"),
    ("training", "Training", "chart-line", "Train a model and watch it learn"),
    ("chat", "Chat", "chat-circle", "Chat with a model you trained, even while it trains"),
)

_ICON_GAP = 4
"""Pixels between a tab's icon and its name."""
_GUIDE = "Guide"
_QUICKSTART_TIP = "Grow a small model in a minute or two"


class TopBar(QFrame):
    """Lets the user choose the tab.

    Signals:
        tab_chosen(name): HOME, or one of the names in TABS.
        guide_requested(): the user pressed Guide.
    """

    tab_chosen = Signal(str)
    guide_requested = Signal()

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "top-bar")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, SPACE // 2, 2 * SPACE, SPACE // 2)
        layout.setSpacing(SPACE // 2)
        mark = QLabel()
        mark.setPixmap(program_mark(26))
        mark.setFixedSize(26, 26)
        mark.setAccessibleName("Terrarium's mark")
        layout.addWidget(mark)
        layout.addSpacing(SPACE // 2)
        self._brand = label("Terrarium", "heading")
        layout.addWidget(self._brand)
        layout.addSpacing(3 * SPACE)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QToolButton] = {}
        for number, (name, text, icon, tip) in enumerate((_HOME_TAB, *TABS)):
            self._buttons[name] = tab = QToolButton()
            tab.setText(text)
            tab.setProperty("role", "tab")
            tab.setCheckable(True)
            tab.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            keys = QKeySequence(f"Ctrl+{number}" if number else HOME_KEYS).toString(
                QKeySequence.SequenceFormat.NativeText
            )
            tab.setToolTip(f"{tip} ({keys})")
            tab.setAccessibleName(text)
            tab.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            theme.set_icon(tab, icon, "muted")
            tab.clicked.connect(lambda checked=False, name=name: self.tab_chosen.emit(name))
            self._group.addButton(tab)
            layout.addWidget(tab)
        layout.addStretch(1)
        self.guide_button = button(
            _GUIDE,
            theme,
            self.guide_requested.emit,
            icon="compass",
            role="quiet",
            tip="Learn how a language model works by doing it (Ctrl+Shift+G)",
        )
        layout.addWidget(self.guide_button)
        self.quickstart_button = button(
            "Quick start",
            theme,
            partial(go, ShowQuickStart()),
            icon="mdi6.sprout",
            tip=_QUICKSTART_TIP,
        )
        layout.addWidget(self.quickstart_button)
        self._theme = theme
        RelayoutOnResize(self, self._arrange)

    def minimumSizeHint(self) -> QSize:
        """Return the size of the compact bar: without the name, the tabs' icons, and the guide (also in the menu)."""
        hint = super().minimumSizeHint()
        brand = 0 if self._brand.isHidden() else self._brand_width
        guide = 0 if self.guide_button.isHidden() else self._guide_width
        return QSize(hint.width() - brand - guide - (0 if self._is_compact else self._icons_width), hint.height())

    @property
    def _is_compact(self) -> bool:
        style = next(iter(self._buttons.values())).toolButtonStyle()
        return style == Qt.ToolButtonStyle.ToolButtonTextOnly

    @property
    def _icons_width(self) -> int:
        """The width of the tabs' icons and the guide's name, in pixels."""
        icons = sum(tab.iconSize().width() + _ICON_GAP for tab in self._buttons.values())
        return icons + self.fontMetrics().horizontalAdvance(_GUIDE)

    @property
    def _guide_width(self) -> int:
        """The width of the guide's button without its name, in pixels."""
        layout, words = self.layout(), self.guide_button.text()
        named = self.fontMetrics().horizontalAdvance(words) if words else 0
        return self.guide_button.sizeHint().width() - named + (layout.spacing() if layout is not None else 0)

    @property
    def _brand_width(self) -> int:
        layout = self.layout()
        return self._brand.sizeHint().width() + (layout.spacing() if layout is not None else 0)

    def _arrange(self) -> None:
        least, have = self.minimumSizeHint().width(), self.width()
        self.guide_button.setVisible(least + self._guide_width <= have)
        least += self._guide_width
        is_compact = least + self._icons_width > have
        if is_compact != self._is_compact:
            styles = Qt.ToolButtonStyle
            style = styles.ToolButtonTextOnly if is_compact else styles.ToolButtonTextBesideIcon
            for tab in self._buttons.values():
                tab.setToolButtonStyle(style)
            self.guide_button.setText("" if is_compact else _GUIDE)
        self._brand.setVisible(least + self._icons_width + self._brand_width <= have)

    def show_quickstart(self, *, runs: bool, share: float = 0.0, is_paused: bool = False) -> None:
        """Show whether a quick start is running and, if not 0, the share of its steps that is done."""
        state = "paused" if is_paused else "running"
        done = f" {format_done(share)}" if share else ""
        words = f"{'Paused' if is_paused else 'Growing…'}{done}" if runs else "Quick start"
        if words == self.quickstart_button.text():
            return
        self.quickstart_button.setText(words)
        self.quickstart_button.setToolTip(f"Show the quick start that is {state}" if runs else _QUICKSTART_TIP)
        self.quickstart_button.setAccessibleName(f"Quick start, {state}{done}" if runs else "Quick start")

    def show_current(self, name: str) -> None:
        """Mark Home or a tab as current; "" for none."""
        for other, tab in self._buttons.items():
            self._group.removeButton(tab)
            tab.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # Qt lets Tab lead only to the checked one of a group
            tab.setChecked(other == name)
            icon = next(icon for tab_name, _, icon, _ in (_HOME_TAB, *TABS) if tab_name == other)
            self._theme.set_icon(tab, icon, "accent" if other == name else "muted")
        for tab in self._buttons.values() if name else ():
            self._group.addButton(tab)
