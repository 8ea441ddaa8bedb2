"""A form generated from a settings dataclass: one editor per field, by group, with problems beside their cause."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from app.theme import ThemeProvider
from app.widgets.editors import Editor, FloatBox, IntBox, make_editor
from app.widgets.section import Section

_ADVICE = re.compile(r"\buse (\d+)(?: or (\d+))?\.")


class ConfigForm(QWidget):
    """Edits one frozen dataclass whose fields were made by `models.config.slot`.

    Args:
        config: what to show first; its type decides the fields.
        hidden: names of fields that keep their value and get no editor. A field with a single choice never gets one.
        folded: groups that start folded away.
        zero_words: for fields where 0 means "choose for me": the text shown for 0, given the current settings.

    Signals:
        changed(object): a new, legal settings object, after the user's edit.
        problem_changed(str): the sentence that says why the form's content is illegal; empty when it is legal again.
    """

    changed = Signal(object)
    problem_changed = Signal(str)

    def __init__(
        self,
        config: Any,
        theme: ThemeProvider,
        *,
        hidden: Collection[str] = (),
        folded: Collection[str] = (),
        zero_words: Mapping[str, Callable[[Any], str]] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._config = config
        self._problem, self._guilty = "", ""
        self._zero_words = dict(zero_words or {})
        self._fields = {
            f.name: f
            for f in dataclasses.fields(config)
            if f.name not in hidden and len(f.metadata.get("choices", (1, 2))) > 1
        }
        self._editors = {name: make_editor(f) for name, f in self._fields.items()}
        self._labels: dict[str, QLabel] = {}
        self._problems: dict[str, QLabel] = {}
        self._sections: dict[str, Section] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for group in dict.fromkeys(f.metadata.get("group", "") for f in self._fields.values()):
            section = Section(group, theme, folded=group in folded)
            section.set_body(self._group_body(group))
            self._sections[group] = section
            layout.addWidget(section)
        layout.addStretch(1)
        self._size_editors()
        self._show(config)

    @property
    def config(self) -> Any:
        """The last legal settings that the form held."""
        return self._config

    @property
    def problem(self) -> str:
        """Why the form's content is illegal, in a sentence; empty where it is legal."""
        return self._problem

    @property
    def problem_group(self) -> str:
        """The group of the field that is the cause of `problem`; '' where there is none."""
        return self._fields[self._guilty].metadata.get("group", "") if self._guilty else ""

    def set_config(self, config: Any) -> None:
        """Show `config`, without a signal but for a problem that this ends."""
        self._config = config
        self._show(config)
        self._set_problem("")

    def commit(self) -> None:
        """Take up what was typed but not yet entered; call it before acting on `config`."""
        for editor in self._editors.values():
            if isinstance(editor.widget, IntBox | FloatBox):
                editor.widget.interpretText()

    def show_group(self, group: str) -> None:
        """Unfold `group` and give its first editor the focus."""
        self._sections[group].set_folded(False)
        for name, f in self._fields.items():
            if f.metadata.get("group", "") == group:
                self._editors[name].widget.setFocus(Qt.FocusReason.OtherFocusReason)
                return

    def editor(self, name: str) -> QWidget:
        """The widget that edits the field `name`."""
        return self._editors[name].widget

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._size_editors()

    def _size_editors(self) -> None:
        width = self.fontMetrics().averageCharWidth() * 14 + 42
        for editor in self._editors.values():
            if not isinstance(editor.widget, QPlainTextEdit | QCheckBox):
                editor.widget.setFixedWidth(width)

    def _group_body(self, group: str) -> QWidget:
        body = QWidget()
        grid = QGridLayout(body)
        grid.setContentsMargins(8, 0, 8, 4)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 1)
        for name, f in self._fields.items():
            if f.metadata.get("group", "") == group:
                self._add_row(grid, name, f)
        return body

    def _add_row(self, grid: QGridLayout, name: str, f: dataclasses.Field[Any]) -> None:
        editor, words = self._editors[name], f.metadata.get("label", name)
        tip = f"<p>{f.metadata.get('help', '')}</p><p><code>{name}</code></p>"
        label = QLabel(words)
        label.setBuddy(editor.widget)
        editor.widget.setAccessibleName(words)
        editor.widget.setAccessibleDescription(f.metadata.get("help", ""))
        for widget in (label, editor.widget):
            widget.setToolTip(tip)
        problem = QLabel()
        problem.setProperty("role", "error")
        problem.setWordWrap(True)
        problem.setTextFormat(Qt.TextFormat.RichText)
        problem.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        problem.linkActivated.connect(lambda value: self._take_advice(name, value))
        problem.hide()
        row = grid.rowCount()
        if isinstance(editor.widget, QPlainTextEdit):
            grid.addWidget(label, row, 0, 1, 2)
            grid.addWidget(editor.widget, row + 1, 0, 1, 2)
        else:
            grid.addWidget(label, row, 0)
            if isinstance(editor.widget, QCheckBox):
                grid.addWidget(editor.widget, row, 1, Qt.AlignmentFlag.AlignRight)
            else:
                grid.addWidget(editor.widget, row, 1)
        grid.addWidget(problem, row + 2, 0, 1, 2)
        self._labels[name], self._problems[name] = label, problem
        editor.changed.connect(lambda *_: self._on_edited())

    def _on_edited(self) -> None:
        values = {name: editor.read() for name, editor in self._editors.items()}
        try:
            config = dataclasses.replace(self._config, **values)
        except ValueError as error:
            self._show_conditional_rows()
            self._set_problem(str(error))
            return
        unchanged = config == self._config
        self._config = config
        self._set_problem("")
        self._refresh(config)
        if not unchanged:
            self.changed.emit(config)

    def _show(self, config: Any) -> None:
        for name, editor in self._editors.items():
            editor.write(getattr(config, name))
        self._refresh(config)

    def _refresh(self, config: Any) -> None:
        """Bring up to date what depends on other fields: which rows show, and the words for 0."""
        for name, make_words in self._zero_words.items():
            widget = self._editors[name].widget
            assert isinstance(widget, IntBox)
            widget.set_zero_words(make_words(config))
        self._show_conditional_rows()

    def _show_conditional_rows(self) -> None:
        for name, f in self._fields.items():
            condition = f.metadata.get("only_if")
            if condition:
                other, wanted = condition
                editor: Editor | None = self._editors.get(other)
                current = editor.read() if editor else getattr(self._config, other)
                self._labels[name].setVisible(current == wanted)
                self._editors[name].widget.setVisible(current == wanted)

    def _set_problem(self, error: str) -> None:
        """Show what `error` says beside the field that it names first; '' when all is well."""
        self._guilty = guilty = self._guilty_field(error) if error else ""
        for name, problem in self._problems.items():
            problem.setVisible(name == guilty)
            widget = self._editors[name].widget
            if bool(widget.property("invalid")) != (name == guilty):
                widget.setProperty("invalid", name == guilty)
                widget.style().polish(widget)
        sentence = self._in_words(error)
        if guilty:
            self._problems[guilty].setText(self._with_links(sentence))
            self._sections[self.problem_group].set_folded(False)
        if sentence != self._problem:
            self._problem = sentence
            self.problem_changed.emit(sentence)

    def _guilty_field(self, sentence: str) -> str:
        """The field that `sentence` names first; the form's first field where it names none."""
        places = {name: re.search(rf"\b{name}\b", sentence) for name in self._fields}
        found = {name: place.start() for name, place in places.items() if place}
        return min(found, key=lambda name: found[name]) if found else next(iter(self._fields))

    def _in_words(self, error: str) -> str:
        """The sentence with the labels of fields instead of their names."""
        for name, f in self._fields.items():
            error = re.sub(rf"\b{name}\b", f.metadata.get("label", name), error)
        return error

    def _with_links(self, sentence: str) -> str:
        """The sentence as rich text, with advised numbers as links that apply them."""
        advice, sentence = _ADVICE.search(sentence), html.escape(sentence)
        if advice and isinstance(self._editors[self._guilty].widget, IntBox):
            links = " or ".join(f'<a href="{value}">{value}</a>' for value in advice.groups() if value)
            return sentence.replace(html.escape(advice.group()), f"use {links}.")
        return sentence

    def _take_advice(self, name: str, value: str) -> None:
        widget = self._editors[name].widget
        assert isinstance(widget, IntBox)
        widget.setValue(int(value))
