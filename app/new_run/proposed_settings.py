"""The proposed settings of a new run, which of them the user has changed, and how long the run takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, label, row, show_words
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.proposal.propose import prolonged

_WHY_CUT = (
    "As much as fits into about ten minutes while this computer does nothing else. More of it would be learned in a "
    "longer run."
)


class ProposedSettings(QWidget):
    """Fills a form of TrainConfig with proposed settings, except those that the user has changed.

    While the settings of an existing run or a file are held (`is_held`), no proposal is filled in.
    """

    def __init__(self, form: ConfigForm, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.form = form
        self._proposed: dict[str, Any] = {}
        self._is_held = False
        self.words = label("", wrap=True)
        self.why = label("", "caption", wrap=True)
        self.longer = button("", theme, self._on_longer, icon="timer", role="link")
        self.setLayout(column(self.words, self.why, row(self.longer, None)))
        form.changed.connect(self._mark)
        self.show_length("", "", is_cut=False)

    @property
    def config(self) -> TrainConfig:
        """The settings as proposed, with defaults for the others."""
        return dataclasses.replace(TrainConfig(), **self._proposed)

    @property
    def is_held(self) -> bool:
        """Whether the settings come from an existing run or a file, so that no proposal applies."""
        return self._is_held

    @property
    def proposes_steps(self) -> bool:
        """Whether the number of steps is as proposed."""
        return not self._is_held and "steps" not in self.edited

    @property
    def edited(self) -> tuple[str, ...]:
        """The names of the settings that differ from the proposal because the user changed them; () while held."""
        if self._is_held:
            return ()
        now, proposed = self.form.config, self.config
        return tuple(f.name for f in dataclasses.fields(now) if getattr(now, f.name) != getattr(proposed, f.name))

    def begin(self, changes: Mapping[str, Any]) -> None:
        """Discard the user's changes and earlier proposals; propose `changes` and defaults."""
        self._is_held, self._proposed = False, dict(changes)
        self.form.set_config(self.config)
        self._mark()

    def hold(self, train: TrainConfig) -> None:
        """Show the settings of an existing run or a file, and fill in no proposals until `begin`."""
        self._is_held = True
        self.form.set_config(train)
        self._mark()

    def propose(self, changes: Mapping[str, Any]) -> None:
        """Propose new values of these settings. Those that the user has changed stay unchanged."""
        kept, before = self.edited, self.form.config
        self._proposed |= changes
        if not self._is_held:
            new = {name: value for name, value in changes.items() if name not in kept}
            if any(getattr(before, name) != value for name, value in new.items()):
                with QSignalBlocker(self.form):
                    self.form.apply(new)
            self._mark()
            if self.form.config != before:
                self.form.changed.emit(self.form.config)

    def use(self, changes: Mapping[str, Any]) -> None:
        """Set and propose these settings even if the user has changed them: good values depend on the model."""
        self._proposed |= changes
        self.form.apply(changes)

    def show_length(self, words: str, price: str, *, is_cut: bool) -> None:
        """Show how long the run takes, and how long a longer one takes; "" if unknown.

        Args:
            is_cut: whether the proposed number of steps was reduced to limit the time.
        """
        show_words(self.words, words)
        show_words(self.why, _WHY_CUT if is_cut and self.proposes_steps else "")
        self.longer.setText(price)
        named(self.longer, price, "Learn longer: sets the steps, and how often the run is validated and sampled")
        self.longer.setVisible(bool(price) and self.proposes_steps)

    @Slot()
    def _on_longer(self) -> None:
        self.form.apply(prolonged(self.form.config))

    @Slot()
    def _mark(self) -> None:
        """Mark the settings that the user has changed."""
        self.form.show_proposed({} if self._is_held else vars(self.config))
