"""The user's preferences, defined once for the menus, the status bar and the preferences window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QSignalBlocker, Signal, SignalInstance, Slot
from PySide6.QtWidgets import QApplication, QWidget

from terrarium.app.kit.basics import REDUCED_MOTION, plain_tip
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.theme import MODES, TEXT_SCALES, ThemeProvider
from terrarium.app.session.device import automatic_threads, usable_cores
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_percent
from terrarium.models.settings.run_spec import DEVICE_NAMES

_MODE_LABELS = {
    "system": "System",
    "light": "Light",
    "dark": "Dark",
    "contrast light": "High contrast, light",
    "contrast dark": "High contrast, dark",
}
_DETAIL_LABELS = {SIMPLE: "Simple", EVERYTHING: "Everything"}
_DEVICE_LABELS = {"auto": "Auto", "cpu": "CPU", "cuda": "CUDA", "mps": "Apple GPU (MPS)"}
_QUIT_LABELS = {"ask": "Ask what to do", "save": "Save it and quit"}
_MOTION_LABELS = {"system": "System", "reduced": "Reduced"}
_ON_QUIT, _MOTION = "on quit", "motion"


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A setting with a few values; a change takes effect immediately.

    help: a sentence. choices: returns (value, label) of each value; they may change. find_by: additional search terms.
    changed: emitted when `value` or `choices` may have changed.
    """

    title: str
    help: str
    choices: Callable[[], Sequence[tuple[Any, str]]]
    value: Callable[[], Any]
    choose: Callable[[Any], object]
    changed: SignalInstance
    find_by: str = ""


class Preferences(QObject):
    """The preferences of a window.

    Signals:
        changed(): a preference may have changed.
    """

    changed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QObject) -> None:
        super().__init__(parent)
        assert set(_MODE_LABELS) == set(MODES)
        assert set(_DEVICE_LABELS) == set(DEVICE_NAMES)
        self._session, self._theme = session, theme
        theme.theme_changed.connect(self.changed)
        session.device.changed.connect(self.changed)
        session.detail.changed.connect(self.changed)
        self.theme = Preference(
            title="Theme",
            help="Light, dark, of high contrast, or whatever the system uses.",
            choices=lambda: list(_MODE_LABELS.items()),
            value=lambda: theme.mode,
            choose=self._set_theme,
            changed=self.changed,
            find_by="appearance colours colors dark mode accessibility",
        )
        self.text_size = Preference(
            title="Text size",
            help="Of everything in the window, relative to the system's size.",
            choices=lambda: [(scale, format_percent(scale)) for scale in TEXT_SCALES],
            value=lambda: min(TEXT_SCALES, key=lambda scale: abs(scale - theme.text_scale)),
            choose=self._set_text_size,
            changed=self.changed,
            find_by="appearance font zoom larger smaller",
        )
        self._set_motion(session.remembered.get(_MOTION, "system"))
        self.motion = Preference(
            title="Motion",
            help="Reduced leaves out what only moves to please: bars jump, and highlights last.",
            choices=lambda: list(_MOTION_LABELS.items()),
            value=lambda: session.remembered.get(_MOTION, "system"),
            choose=self._choose_motion,
            changed=self.changed,
            find_by="appearance accessibility animation animations",
        )
        self.detail = Preference(
            title="Detail",
            help="Simple leaves out what newcomers rarely need; a link shows it.",
            choices=lambda: list(_DETAIL_LABELS.items()),
            value=lambda: session.detail.level,
            choose=session.detail.choose,
            changed=self.changed,
            find_by="simple everything beginner advanced hide show more views settings",
        )
        self.device = Preference(
            title="Device",
            help="Where models run. A change applies to the next model or run.",
            choices=self._devices,
            value=lambda: session.device.name,
            choose=session.device.choose,
            changed=self.changed,
            find_by="gpu cpu cuda mps graphics compute",
        )
        self.threads = Preference(
            title="Threads",
            help="Cores that models may use. A run in progress keeps its own.",
            choices=self._thread_choices,
            value=lambda: session.device.threads,
            choose=session.device.choose_threads,
            changed=self.changed,
            find_by="cpu cores processors compute speed",
        )
        self.on_quit = Preference(
            title="Quitting while a model trains",
            help="A saved run can be resumed at the next launch, exactly where it was.",
            choices=lambda: list(_QUIT_LABELS.items()),
            value=lambda: "ask" if self.asks_on_quit else "save",
            choose=self._set_on_quit,
            changed=self.changed,
            find_by="close exit ask",
        )

    @property
    def asks_on_quit(self) -> bool:
        """Whether to ask before quitting while a model trains."""
        return bool(self._session.remembered.get(_ON_QUIT, "ask") != "save")

    def change_text_size(self, by: int) -> None:
        """Change the text size by this many steps; negative ones make it smaller."""
        place = TEXT_SCALES.index(self.text_size.value()) + by
        self._set_text_size(TEXT_SCALES[min(max(place, 0), len(TEXT_SCALES) - 1)])

    def _set_theme(self, mode: str) -> None:
        self._theme.set_mode(mode)
        self._session.remembered.set("theme", mode)

    def _set_text_size(self, scale: float) -> None:
        self._theme.set_text_scale(scale)
        self._session.remembered.set("text scale", self._theme.text_scale)

    def _choose_motion(self, motion: str) -> None:
        self._session.remembered.set(_MOTION, motion)
        self._set_motion(motion)
        self.changed.emit()

    def _set_motion(self, motion: str) -> None:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.setProperty(REDUCED_MOTION, motion == "reduced")

    def _set_on_quit(self, how: str) -> None:
        self._session.remembered.set(_ON_QUIT, how)
        self.changed.emit()

    def _thread_choices(self) -> list[tuple[int, str]]:
        cores, chosen = usable_cores(), self._session.device.threads
        counts = {n for n in (*range(1, 9), 12, 16, 24, 32, 48, 64, 96, 128) if n < cores} | {cores, chosen} - {0}
        return [(0, f"Automatic ({automatic_threads():,})"), *((n, f"{n:,}") for n in sorted(counts))]

    def _devices(self) -> list[tuple[str, str]]:
        usable = self._session.device.available
        return [
            (name, words + ("" if name in usable else " · not available")) for name, words in _DEVICE_LABELS.items()
        ]


class PreferenceBox(ElidedCombo):
    """A combo box that sets a preference and follows its changes."""

    def __init__(self, preference: Preference, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preference = preference
        self.setAccessibleName(preference.title)
        self.setToolTip(plain_tip(preference.help))
        keep_wheel_for_scrolling(self)
        self.activated.connect(self._on_activated)
        preference.changed.connect(self._show)
        self._show()

    @Slot()
    def _show(self) -> None:
        choices = list(self._preference.choices())
        with QSignalBlocker(self):
            if choices != [(self.itemData(row), self.itemText(row)) for row in range(self.count())]:
                self.clear()
                for value, words in choices:
                    self.addItem(words, value)
            self.setCurrentIndex([value for value, _ in choices].index(self._preference.value()))

    @Slot(int)
    def _on_activated(self, row: int) -> None:
        self._preference.choose(self.itemData(row))
