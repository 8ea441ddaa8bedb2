"""The right side of the chat tab: how replies are made, and the glass box for the token under the cursor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.glass.focus import Focus
from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import separator
from app.widgets.sampling_panel import SamplingPanel
from app.widgets.scrolling import scrolling
from app.widgets.section import Section
from app.widgets.views import View, Views

SETTINGS = "settings"


class ChatSide(Views):
    """Settings, and the panels of the glass box; each is made when it is first looked at.

    Args:
        settings: the settings' parts by their titles; those of `folded` are folded at first.
        sampling: among them how replies are drawn.
    """

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        focus: Focus,
        settings: Mapping[str, QWidget],
        sampling: SamplingPanel,
        folded: frozenset[str],
        parent: QWidget | None = None,
    ) -> None:
        self._session, self._theme, self._focus = session, theme, focus
        self._settings, self._sampling, self._folded = settings, sampling, folded
        views = {
            SETTINGS: View("Settings", "How prompts and replies are made", self._make_settings),
            "next": View("Next token", "What could have stood here, and how the choice fell", self._make_next),
            "attention": View("Attention", "Where each head looks", self._make_attention),
            "layers": View("Layers", "How the answer forms layer by layer", self._make_layers),
            "ablation": View("Switch off", "What becomes of the answer without a part", self._make_ablation),
            "inputs": View("Inputs", "Which tokens the answer hangs on", self._make_inputs),
        }
        super().__init__("How replies are made", views, parent)
        self.show_view(SETTINGS)

    @property
    def is_glass(self) -> bool:
        """Whether one looks into the model."""
        return self.current != SETTINGS

    def _update(self, name: str) -> None:
        """Each of them follows the focus by itself."""

    def _make_settings(self) -> QWidget:
        page = QWidget()
        lines = QVBoxLayout(page)
        lines.setContentsMargins(0, 0, SPACE, 0)
        lines.setSpacing(SPACE + SPACE // 2)
        for i, (title, body) in enumerate(self._settings.items()):
            if i:
                lines.addWidget(separator())
            section = Section(title, self._theme, folded=title in self._folded)
            section.set_body(body)
            lines.addWidget(section)
        lines.addStretch(1)
        return scrolling(page)

    def _make_next(self) -> QWidget:
        from app.widgets.glass.next_token_panel import NextTokenPanel

        panel = NextTokenPanel(self._session, self._theme, self._focus)
        panel.set_sampling(self._sampling.config)
        self._sampling.changed.connect(lambda: panel.set_sampling(self._sampling.config))
        panel.sampling_changed.connect(self._sampling.use)
        return panel

    def _make_attention(self) -> QWidget:
        from app.widgets.glass.attention_panel import AttentionPanel

        return self._made(AttentionPanel)

    def _make_layers(self) -> QWidget:
        from app.widgets.glass.lens_panel import LensPanel

        return self._made(LensPanel)

    def _make_ablation(self) -> QWidget:
        from app.widgets.glass.ablation_panel import AblationPanel

        return self._made(AblationPanel)

    def _make_inputs(self) -> QWidget:
        from app.widgets.glass.attribution_panel import AttributionPanel

        return self._made(AttributionPanel)

    def _made(self, panel: Callable[[Session, ThemeProvider, Focus], QWidget]) -> QWidget:
        return panel(self._session, self._theme, self._focus)
