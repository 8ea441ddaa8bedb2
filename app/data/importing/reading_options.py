"""Options to override how files are read: format, encoding, header, unit of a row of text, configuration."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QWidget

from terrarium.app.kit.basics import label
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
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
        body = QWidget()
        grid = QGridLayout(body)
        grid.setContentsMargins(2 * SPACE, 0, 0, 0)
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        self._captions = {}
        for at, box in enumerate((self.format, self.encoding, self.delimiter, self.header, self.unit, self.config)):
            self._captions[box] = caption = label(box.accessibleName())
            caption.setBuddy(box)
            grid.addWidget(caption, at, 0)
            grid.addWidget(box, at, 1)
            box.activated.connect(lambda _: self.chosen.emit(self.options))
        grid.setColumnStretch(2, 1)
        self.set_body(body)
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
        chosen = self.config.currentData()
        with QSignalBlocker(self.config):
            while self.config.count() > 1:
                self.config.removeItem(1)
            for config in configs:
                self.config.addItem(config, config)
            self.config.setCurrentIndex(max(0, self.config.findData(chosen)))
        for widget in (self.config, self._captions[self.config]):
            widget.setVisible(bool(configs))


def _box(name: str, guess: object, choices: dict[str, str] | dict[bool, str]) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(f"{name}; “Guess” works it out from the files")
    box.addItem("Guess", guess)
    for value, words in choices.items():
        box.addItem(words, value)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    keep_wheel_for_scrolling(box)
    return box
