"""The right side of the chat tab, which can be folded: settings of replies, and the glass box for the focused token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.chat.settings.sampling_panel import SamplingPanel
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.glass_panel import GlassPanel
from terrarium.app.help.panels import PANELS, Panel
from terrarium.app.kit.basics import button, group, scrolled, separator
from terrarium.app.kit.layout.advanced_settings import AdvancedSettings, MoreLink
from terrarium.app.kit.layout.rail import Rail
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session

SETTINGS = "settings"
FIRST_VIEW = "pass"
_FOLD, _UNFOLD = "caret-double-right", "caret-double-left"
_SETTINGS_ICON = "sliders-horizontal"


class ChatSide(Views):
    """The settings and the panels of the glass box; each view is created when it is first shown.

    `strip` is shown beside it: the names of the views and the fold button, which stay visible when the side is folded.

    Args:
        settings: the sections of the settings by title; those in `folded` start folded. At the simple level, only the
            first one is shown.
        n_changed: counts the other sections that differ from their defaults; call `refresh_settings` when that changes.
        sampling: the section with the sampling settings.

    Signals:
        folded_changed(bool): the user has folded (True) or unfolded the side.
    """

    folded_changed = Signal(bool)

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        focus: Focus,
        settings: Mapping[str, QWidget],
        sampling: SamplingPanel,
        folded: frozenset[str],
        n_changed: Callable[[], int],
        parent: QWidget | None = None,
    ) -> None:
        self._session, self._theme, self._focus = session, theme, focus
        self._settings, self._sampling, self._folded = settings, sampling, folded
        self._n_changed = n_changed
        views = {
            SETTINGS: View("Settings", "How prompts and replies are made", self._make_settings, "Sampling"),
            **{
                key: View(panel.title, panel.tip, partial(self._make_panel, panel), panel.term)
                for key, panel in PANELS.items()
            },
        }
        title = "How replies are made"
        self.rail = Rail(title, [_SETTINGS_ICON, *(panel.icon for panel in PANELS.values())], theme)
        super().__init__(title, views, parent, bar=self.rail)
        self._is_folded = False
        self.fold = button("", theme, self._on_fold, icon=_FOLD, role="quiet-icon")
        self.strip = group(self.fold, self.rail, None, spacing=SPACE // 2)
        self.rail.pressed_again.connect(self._on_fold)
        self._left_for_settings = ""
        self.view(SETTINGS)  # the sections exist already and need a parent
        self.show_view(FIRST_VIEW)
        self.set_folded(False)
        self.view_changed.connect(self._on_view)
        self.pages.size_to_current_page()

    @property
    def is_folded(self) -> bool:
        """Whether the side is folded."""
        return self._is_folded

    def unfold(self, name: str) -> None:
        """Show a view, unfolding the side as the user would."""
        self.show_view(name)
        if self._is_folded:
            self._on_fold()

    def set_folded(self, folded: bool) -> None:
        """Update the button and the rail to the folded state; the parent hides the side itself."""
        self._is_folded = folded
        self.rail.set_shows(not folded)
        self._theme.set_icon(self.fold, _UNFOLD if folded else _FOLD, "muted")
        words = "Show this side" if folded else "Hide this side for more space"
        self.fold.setToolTip(words)
        self.fold.setAccessibleName(words)

    def set_glass_enabled(self, enabled: bool) -> None:
        """Enable the glass-box panels; while they are disabled, the settings are shown instead."""
        if not enabled and self.current != SETTINGS:
            self._left_for_settings = self.current
            self._show_quietly(SETTINGS)
        elif enabled and self._left_for_settings:
            self._show_quietly(self._left_for_settings)
            self._left_for_settings = ""
        for i, name in enumerate(self.names):
            self.rail.setTabEnabled(i, enabled or name == SETTINGS)

    def _show_quietly(self, name: str) -> None:
        """Show another view without unfolding the side."""
        folded, self._is_folded = self._is_folded, False
        self.show_view(name)
        self._is_folded = folded

    @Slot()
    def _on_fold(self) -> None:
        self.set_folded(not self._is_folded)
        self.folded_changed.emit(self._is_folded)

    @Slot(str)
    def _on_view(self, name: str) -> None:
        if self._is_folded:
            self._on_fold()

    @property
    def is_glass(self) -> bool:
        """Whether a glass-box panel is shown."""
        return self.current != SETTINGS and not self._is_folded

    def _update(self, name: str) -> None:
        """Do nothing: each view follows the focus through signals."""

    def _make_settings(self) -> QWidget:
        parts = list[QWidget]()
        for i, (title, body) in enumerate(self._settings.items()):
            section = Section(title, self._theme, folded=title in self._folded)
            section.set_body(body)
            parts += (separator(), section) if i else (section,)
        link = MoreLink("group of settings", self._session.detail, nouns="groups of settings")
        area = scrolled(*parts, link, None, spacing=SPACE + SPACE // 2)
        self._hidden_groups = AdvancedSettings(link, parts[1:], len(self._settings) - 1, self._n_changed)
        return area

    def refresh_settings(self) -> None:
        """Recount the groups of settings that differ from their defaults."""
        self._hidden_groups.refresh()

    def _make_panel(self, panel: Panel) -> QWidget:
        made = panel.load()(self._session, self._theme, self._focus)
        assert isinstance(made, GlassPanel)
        made.set_sampling(self._sampling.config)
        self._sampling.changed.connect(lambda: made.set_sampling(self._sampling.config))
        made.sampling_changed.connect(self._sampling.use)
        return made
