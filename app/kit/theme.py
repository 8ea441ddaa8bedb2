"""The look of Terrarium: palettes, style sheets, fonts, icons and chart styles from its colours (app.kit.colours).

Widgets never name a colour. They take a role, through the dynamic property `role` (see resources/style/terrarium.qss)
or through a field of `ThemeProvider.theme`, and repaint on `theme_changed`.
"""

from __future__ import annotations

import dataclasses
import shutil
import weakref
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import qtawesome
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QFont, QFontDatabase, QFontInfo, QFontMetrics, QGuiApplication, QIcon
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from terrarium.app.kit.colours import LIGHT, THEMES, Theme, palette_of

if TYPE_CHECKING:
    import pyqtgraph as pg

SPACE = 8
"""The layout grid in pixels: margins and gaps are multiples of it, or of half of it."""

MODES = ("system", *THEMES)
_ICON = 16
"""The side of an icon at the usual text size, in pixels."""
HEADLINE_SIZE = 2.6
"""The size of a screen's main number, relative to text."""
TEXT_SCALES = (0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0)


class ThemeProvider(QObject):
    """The current theme of an application, and its fonts, icons and chart styles.

    Signals:
        theme_changed(): colours or text size changed; repaint what the style sheet does not cover.
    """

    theme_changed = Signal()
    _style_changed = Signal(str)

    def __init__(self, app: QApplication, mode: str = "system", text_scale: float = 1.0) -> None:
        super().__init__(app)
        self._app = app
        self._mode = mode
        self._text_scale = text_scale
        self._base_size = app.font().pointSizeF()
        if self._base_size <= 0:
            self._base_size = QFontInfo(app.font()).pointSizeF()
        self._glyphs = Path(mkdtemp(prefix="terrarium-"))
        weakref.finalize(self, shutil.rmtree, self._glyphs, ignore_errors=True)
        self.theme = LIGHT
        self._style = ""
        app.setStyle("Fusion")
        app.styleHints().colorSchemeChanged.connect(self._on_system_scheme)
        app.styleHints().accessibility().contrastPreferenceChanged.connect(self._on_system_scheme)
        self._apply()

    def apply_theme(self, window: QWidget) -> None:
        """Set the style sheet of a window, and update it whenever the theme changes.

        It is not set on the application: Qt would then style widgets before they are in a window, and restyle all
        descendants of a widget each time it gets a parent, which triples the time to create a tab.
        """
        window.setStyleSheet(self._style)
        self._style_changed.connect(window.setStyleSheet)

    @property
    def mode(self) -> str:
        """The mode that the user chose, one of MODES."""
        return self._mode

    @property
    def text_scale(self) -> float:
        """The text size, as a factor of the system's."""
        return self._text_scale

    @property
    def icon_room(self) -> int:
        """The side of the square that an icon needs in a small button, in pixels."""
        return round(_ICON * self._text_scale) + 2

    def set_mode(self, mode: str) -> None:
        """Set the mode, one of MODES."""
        assert mode in MODES, mode
        if mode != self._mode:
            self._mode = mode
            self._apply()

    def set_text_scale(self, scale: float) -> None:
        """Set the text size as a factor of the system's, clamped to 0.9 to 2."""
        scale = min(max(scale, TEXT_SCALES[0]), TEXT_SCALES[-1])
        if scale != self._text_scale:
            self._text_scale = scale
            self._apply()

    def font(self, size: float = 1.0, *, bold: bool = False) -> QFont:
        """Return the interface font at `size` times the normal text size."""
        font = QFont(self._app.font())
        font.setPointSizeF(self._base_size * self._text_scale * size)
        font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        return font

    def mono_font(self, size: float = 1.0) -> QFont:
        """Return the monospaced font, for tokens, ids and numbers."""
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(self._base_size * self._text_scale * size)
        return font

    def icon(self, name: str, role: str = "text") -> QIcon:
        """Return the Phosphor icon `name` ('play', 'chat-circle-fill' …) in the colour of the theme's field `role`."""
        full = name if "." in name else f"ph.{name}"
        disabled = self.theme.faint
        icon: QIcon = qtawesome.icon(full, color=getattr(self.theme, role), color_disabled=disabled)
        return icon

    def set_icon(self, target: QAbstractButton | QAction, name: str, role: str = "text") -> None:
        """Set the icon of a button or action, which then follows the theme."""
        target.setProperty("iconName", name)
        target.setProperty("iconRole", role)
        target.setIcon(self.icon(name, role))

    def pen(self, role: str, width: float = 1, alpha: float = 1.0, **kwargs: Any) -> Any:
        """Create a pyqtgraph pen in the colour of a field of the theme."""
        import pyqtgraph as pg

        return pg.mkPen(self.theme.color(role, alpha), width=width, **kwargs)

    def sequential_map(self) -> pg.ColorMap:
        """Return the colour map of attention and surprisal: zero is the background."""
        import pyqtgraph as pg

        return pg.colormap.get("inferno" if self.theme.dark else "CET-L17")

    def probability_map(self) -> pg.ColorMap:
        """Return the colour map of probabilities, in another hue than surprisal, which is low where they are high."""
        import pyqtgraph as pg

        return pg.ColorMap([0.0, 1.0], [self.theme.surface, self.theme.accent])

    def quantity_map(self) -> pg.ColorMap:
        """Return the colour map of entropy, rank and position: quantities without a natural zero."""
        import pyqtgraph as pg

        return pg.colormap.get("viridis")

    def diverging_map(self) -> pg.ColorMap:
        """Return the colour map of weights, gradients and differences: zero is the neutral background."""
        import pyqtgraph as pg

        if self.theme.dark:
            return pg.ColorMap([0.0, 0.5, 1.0], ["#58a6ff", self.theme.surface, "#e3a008"])
        return pg.colormap.get("CET-CBD1")

    def colour_map(self, name: str) -> pg.ColorMap:
        """Return one of the colour maps above by its name in `HeatPicture.colours`."""
        maps = {
            "diverging": self.diverging_map,
            "sequential": self.sequential_map,
            "probability": self.probability_map,
            "quantity": self.quantity_map,
        }
        return maps[name]()

    def _on_system_scheme(self) -> None:
        if self._mode == "system":
            self._apply()

    def _wanted(self) -> Theme:
        if self._mode != "system":
            return THEMES[self._mode]
        hints = QGuiApplication.styleHints()
        shade = "dark" if hints.colorScheme() == Qt.ColorScheme.Dark else "light"
        more = hints.accessibility().contrastPreference() == Qt.ContrastPreference.HighContrast
        return THEMES[f"contrast {shade}" if more else shade]

    def _apply(self) -> None:
        hints = QGuiApplication.styleHints()
        if self._mode == "system":
            hints.setColorScheme(Qt.ColorScheme.Unknown)
        else:
            hints.setColorScheme(Qt.ColorScheme.Dark if THEMES[self._mode].dark else Qt.ColorScheme.Light)
        self.theme = self._wanted()
        self._app.setPalette(palette_of(self.theme))
        self._app.setFont(self.font())
        self._style = self._style_sheet()
        self._style_changed.emit(self._style)
        self._refresh_icons()
        self.theme_changed.emit()

    def _refresh_icons(self) -> None:
        for widget in self._app.allWidgets():
            targets: list[QObject] = [widget, *widget.actions()]
            for target in targets:
                name = target.property("iconName")
                if name and isinstance(target, QAbstractButton | QAction):
                    target.setIcon(self.icon(name, target.property("iconRole")))

    def _style_sheet(self) -> str:
        source = files("terrarium.resources") / "style"
        colours = {f.name: getattr(self.theme, f.name) for f in dataclasses.fields(self.theme)}
        # Qt reads images in style sheets from files only: write the glyphs in this theme's colours.
        for glyph, role in _GLYPHS.items():
            svg = (source / f"{glyph.partition('@')[0]}.svg").read_text("utf-8").replace("currentColor", colours[role])
            path = self._glyphs / f"{self.theme.name}-{glyph}.svg"
            path.write_text(svg, "utf-8")
            colours[f"glyph_{glyph.replace('-', '_').replace('@', '_')}"] = path.as_posix()
        size = self._base_size * self._text_scale
        colours |= {
            "size": f"{size:.1f}pt",
            "size_small": f"{size * 0.9:.1f}pt",
            "size_lead": f"{size * 1.15:.1f}pt",
            "size_heading": f"{size * 1.25:.1f}pt",
            "size_title": f"{size * 1.9:.1f}pt",
            "size_headline": f"{size * HEADLINE_SIZE:.1f}pt",
            "icon": f"{round(_ICON * self._text_scale)}px",
            "icon_large": f"{round(22 * self._text_scale)}px",
            "button": f"{max(20, round(_ICON * self._text_scale))}px",
            "line": f"{max(20, QFontMetrics(self.font()).height())}px",
            "mono": QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family(),
        }
        return Template((source / "terrarium.qss").read_text("utf-8")).substitute(colours)


_GLYPHS = {
    "chevron-down": "muted",
    "chevron-up": "muted",
    "chevron-right": "muted",
    "check": "on_accent",
    "dot": "on_accent",
}
