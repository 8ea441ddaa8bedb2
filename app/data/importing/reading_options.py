"""Options to override how files are read: format, encoding, header, unit of a row of text, configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox

from terrarium.app.kit.basics import group, row, show_if
from terrarium.app.kit.inputs import caption, choice, fill_choice, grid
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.importing.formats.registry import FORMATS
from terrarium.models.importing.formats.rows import ReadOptions

_ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16")
_DELIMITERS = {",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Bar"}
_UNITS = {"file": "Each file", "paragraph": "Each paragraph", "line": "Each line"}


class ReadingOptions(Section):
    """A folded form for ReadOptions; “Guess” detects the option automatically.

    Signals:
        chosen(ReadOptions): the user has changed an option.
    """

    chosen = Signal(object)

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__("How it is read", theme, folded=True)
        self.format = _box("Format", "", {name: known.title for name, known in FORMATS.items()})
        self.encoding = _box("Encoding", "", {name: name for name in _ENCODINGS})
        self.delimiter = _box("Between cells", "", _DELIMITERS)
        self.header = _box("First line", None, {True: "Names the columns", False: "Is a row"})
        self.unit = _box("One row of a text", "", _UNITS)
        self.config = _box("Configuration", "", {})
        boxes = self.format, self.encoding, self.delimiter, self.header, self.unit, self.config
        self._captions = {box: caption(box.accessibleName(), box) for box in boxes}
        for box in boxes:
            box.activated.connect(lambda _: self.chosen.emit(self.options))
        lines = grid(*((self._captions[box], box) for box in boxes))
        self.set_body(group(row(lines, None), margin=(2 * SPACE, 0, 0, 0)))
        self.show_configs(())

    @property
    def options(self) -> ReadOptions:
        """The chosen options."""
        return ReadOptions(
            format=self.format.currentData(),
            encoding=self.encoding.currentData(),
            delimiter=self.delimiter.currentData(),
            header=self.header.currentData(),
            unit=self.unit.currentData(),
            config=self.config.currentData(),
        )

    def reset(self) -> None:
        """Set all options to “Guess”."""
        for box in self._captions:
            box.setCurrentIndex(0)

    def show_configs(self, configs: tuple[str, ...]) -> None:
        """Offer the configurations of a Hugging Face folder."""
        entries = {"": "Guess", **dict(zip(configs, configs, strict=True))}
        fill_choice(self.config, entries, self.config.currentData())
        show_if(configs, self.config, self._captions[self.config])


def _box(name: str, guess: object, choices: Mapping[Any, str]) -> QComboBox:
    return choice(name, f"{name}; “Guess” works it out from the files", {guess: "Guess", **choices})
