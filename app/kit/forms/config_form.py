"""A form generated from a settings dataclass: editors in groups, with problems shown below their field."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QEvent, Qt, QTimer, QVariantAnimation, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QPlainTextEdit, QScrollArea, QToolButton, QVBoxLayout, QWidget

from terrarium.app.kit.basics import prefers_reduced_motion
from terrarium.app.kit.forms.editors import FloatBox, IntBox, make_editor
from terrarium.app.kit.forms.slot_row import SlotRow
from terrarium.app.kit.layout.advanced_settings import HasDetail, MoreLink
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.setting_names.slot_words import with_labels
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.settings.slots import Problem, SettingError, draft, is_used

_FLASH_MS = 2200


class ConfigForm(QWidget):
    """Edits one frozen dataclass whose fields were made by `models.settings.slots.slot`.

    Only fields that have an effect with the current settings have a visible row. Illegal input stays in its editor.

    Args:
        config: the initial settings; its type determines the fields.
        hidden: names of fields that keep their value and get no editor. A field with a single choice never gets one.
        folded: groups that are initially folded.
        zero_text: for fields whose minimum means "automatic": the text shown for it, given the settings.
        notes: a permanent line below a field's editor.

    Signals:
        changed(object): a new, legal settings object, after the user's edit.
        problem_changed(str): why the form's content is illegal, in sentences; empty when it is legal again.
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
        zero_text: Mapping[str, Callable[[Any], str]] | None = None,
        notes: Mapping[str, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._config = config
        self._applied: dict[str, Any] = {}
        """Values given to `apply` for fields without an editor, until they are legal."""
        self._problems: dict[str, str] = {}
        self._zero_words = dict(zero_text or {})
        self._inactive: frozenset[str] = frozenset()
        self._fields = {
            f.name: f
            for f in dataclasses.fields(config)
            if f.name not in hidden and len(f.metadata.get("choices", (1, 2))) > 1
        }
        notes = notes or {}
        self.rows = {name: SlotRow(f, make_editor(f), theme, notes.get(name, "")) for name, f in self._fields.items()}
        self._groups: dict[str, SlotGroup] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for name in dict.fromkeys(map(_group_of, self._fields.values())):
            rows = [row for row in self.rows.values() if _group_of(row.field) == name]
            self._groups[name] = SlotGroup(name, rows, theme, folded=name in folded)
            layout.addWidget(self._groups[name])
        self.more = MoreLink("setting")
        """The link that shows hidden settings, see `keep_simple`."""
        self._simple: frozenset[str] | None = None
        self._usual: Callable[[], Any] = lambda: config
        self._revealed: set[str] = set()
        layout.addWidget(self.more)
        layout.addStretch(1)
        for row in self.rows.values():
            row.editor.changed.connect(lambda *_: self._follow_edits())
            row.advised.connect(lambda name, value: self.apply({name: value}))
        self._marked: list[SlotRow] = []
        self.fading = QVariantAnimation(self)
        self.fading.setDuration(_FLASH_MS)
        self.fading.setStartValue(1.0)
        self.fading.setKeyValueAt(0.4, 1.0)
        self.fading.setEndValue(0.0)
        self.fading.valueChanged.connect(self._on_fading)
        self._size_editors()
        self._show(config)

    # -- Contents ------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Any:
        """The last legal settings in the form."""
        return self._config

    @property
    def values(self) -> dict[str, Any]:
        """The values in the form, legal or not."""
        kept = {f.name: getattr(self._config, f.name) for f in dataclasses.fields(self._config)}
        return kept | self._applied | {name: row.editor.read() for name, row in self.rows.items()}

    @property
    def problem(self) -> str:
        """Why the form's content is illegal, in sentences; empty if it is legal."""
        return "\n".join(self._problems.values())

    @property
    def problem_slot(self) -> str:
        """The field that causes the first problem; '' if there is none."""
        return next(iter(self._problems), "")

    def editor(self, name: str) -> QWidget:
        """Return the widget that edits the field `name`."""
        return self.rows[name].editor.widget

    def row(self, name: str) -> SlotRow:
        """Return the row of the field `name`."""
        return self.rows[name]

    def group(self, name: str) -> SlotGroup:
        """Return the group `name`."""
        return self._groups[name]

    # -- Changes ------------------------------------------------------------------------------------------------------

    def set_config(self, config: Any) -> None:
        """Show `config` without emitting `changed`; `problem_changed` is emitted if this resolves a problem."""
        self._config = config
        self._applied = {}
        self._show(config)
        self._set_problems([])

    def set_inactive(self, names: Collection[str]) -> None:
        """Hide these fields, which have no effect because of other choices; they keep their values."""
        self._inactive = frozenset(names)
        self._refresh(self._config)

    def keep_simple(self, detail: HasDetail, kept: Collection[str], usual: Callable[[], Any] | None = None) -> None:
        """While the detail is simple, hide all fields except `kept` behind a link. Call it once.

        A hidden field keeps its value. A field with a problem is shown, and so is the field of `show_slot`.

        Args:
            usual: returns the settings to compare with, to count the hidden fields that were changed; default: the
                initial settings.
        """
        before, self.more = self.more, MoreLink("setting", detail)
        layout = self.layout()
        assert layout is not None
        layout.replaceWidget(before, self.more)
        before.deleteLater()
        self._simple = frozenset(kept)
        self._usual = usual or self._usual
        self.more.folded_changed.connect(self._on_folded)
        self._on_folded()

    @Slot()
    def _on_folded(self) -> None:
        self._revealed = set()
        self._refresh(self._config)

    def apply(self, changes: Mapping[str, Any]) -> None:
        """Change several fields together, as if the user had typed the values. Fields may be hidden ones."""
        for name, value in changes.items():
            if name in self.rows:
                self.rows[name].editor.write(value)
            else:
                self._applied[name] = value
        self._follow_edits()

    def show_proposed(self, values: Mapping[str, Any]) -> None:
        """Mark the fields that differ from proposed values, each with a link that applies the proposed value."""
        for name, row in self.rows.items():
            differs = name in values and getattr(self._config, name) != values[name]
            row.set_proposed(values[name] if differs else None)

    def commit(self) -> None:
        """Apply pending input; call it before using `config`."""
        for row in self.rows.values():
            if isinstance(row.editor.widget, IntBox | FloatBox):
                row.editor.widget.interpretText()

    # -- Display ------------------------------------------------------------------------------------------------------

    def show_group(self, group: str) -> None:
        """Unfold `group` and give its first editor the focus."""
        first = next(name for name, f in self._fields.items() if _group_of(f) == group)
        self.show_slot(first)

    def show_slot(self, name: str) -> None:
        """Bring the field `name` into view and give its editor the focus."""
        row = self.rows[name]
        if self._simple is not None and name not in self._simple | self._revealed:
            self._revealed.add(name)
            self._refresh(self._config)
        self._groups[_group_of(row.field)].reveal(name)
        row.editor.widget.setFocus(Qt.FocusReason.OtherFocusReason)
        self._scroll_to(name)

    def mark(self, names: Collection[str]) -> None:
        """Highlight these fields briefly, or until the next change if the system disables animations."""
        self.fading.stop()
        for row in self._marked:
            row.set_glow(0.0)
        self._marked = [row for name, row in self.rows.items() if name in names]
        if not self._marked:
            return
        self._on_fading(1.0)
        if not prefers_reduced_motion():
            self.fading.start()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._size_editors()

    def _scroll_to(self, name: str) -> None:
        """Scroll to a row once the layout has been updated."""
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None:
            QTimer.singleShot(0, self, lambda: parent.ensureWidgetVisible(self.rows[name], 0, 24))

    def _size_editors(self) -> None:
        width = self.fontMetrics().averageCharWidth() * 18 + 48
        for row in self.rows.values():
            if isinstance(row.editor.widget, QComboBox):
                width = max(width, row.editor.widget.sizeHint().width())
        for row in self.rows.values():
            if not isinstance(row.editor.widget, QPlainTextEdit | QCheckBox):
                row.editor.widget.setFixedWidth(width)

    def _on_fading(self, glow: float) -> None:
        for row in self._marked:
            row.set_glow(glow)

    # -- Following edits -----------------------------------------------------------------------------------------------

    def _follow_edits(self) -> None:
        if self._marked and self.fading.state() != QVariantAnimation.State.Running:
            self.mark(())
        values = self.values
        problems = self._find_problems(values)
        if problems:
            self._show_rows(draft(type(self._config), values), {problem.slot for problem in problems})
            self._set_problems(problems)
            return
        config = dataclasses.replace(self._config, **values)
        unchanged = config == self._config
        self._config = config
        self._applied = {}
        self._set_problems([])
        self._refresh(config)
        if not unchanged:
            self.changed.emit(config)

    def _find_problems(self, values: dict[str, Any]) -> list[Problem]:
        """Return the problems of the values, each assigned to a field that has an editor."""
        kind = type(self._config)
        if hasattr(kind, "problems"):
            found: list[Problem] = kind.problems(values)
        else:
            try:
                kind(**values)
            except SettingError as error:
                found = [error.problem]
            except ValueError as error:
                found = [Problem(self._guilty_field(str(error)), str(error))]
            else:
                found = []
        first = next(iter(self._fields))
        return [Problem(p.slot if p.slot in self._fields else first, p.sentence) for p in found]

    def _guilty_field(self, sentence: str) -> str:
        """Return the field that `sentence` names first; the form's first field if it names none."""
        matches = {name: re.search(rf"\b{name}\b", sentence) for name in self._fields}
        found = {name: match.start() for name, match in matches.items() if match}
        return min(found, key=lambda name: found[name]) if found else next(iter(self._fields))

    def _show(self, config: Any) -> None:
        for name, row in self.rows.items():
            row.editor.write(getattr(config, name))
        self._refresh(config)

    def _refresh(self, config: Any) -> None:
        """Update the texts for the minimum and the visible rows, which depend on other fields."""
        for name, make_words in self._zero_words.items():
            widget = self.rows[name].editor.widget
            assert isinstance(widget, IntBox)
            widget.set_zero_text(make_words(config))
        self._show_rows(config, set())

    def _show_rows(self, config: Any, always: set[str]) -> None:
        used = {name for name, f in self._fields.items() if is_used(config, f)}
        names = (used - self._inactive) | always
        if self._simple is not None:
            extras, usual = names - self._simple - self._revealed - always, self._usual()
            n_changed = sum(getattr(config, name) != getattr(usual, name) for name in extras)
            self.more.set_hidden(len(extras), n_changed)
            if self.more.is_folded:
                names -= extras
        changed = {name: getattr(config, name) != f.default for name, f in self._fields.items()}
        for group in self._groups.values():
            group.show_rows(names, changed)

    def _set_problems(self, problems: list[Problem]) -> None:
        before = self.problem
        self._problems = {}
        for problem in problems:
            self._problems.setdefault(problem.slot, with_labels(problem.sentence, self._fields.values()))
        advice = {problem.slot: problem.sentence for problem in reversed(problems)}
        for name, row in self.rows.items():
            row.set_problem(self._problems.get(name, ""), advice.get(name, ""))
        for name in self._problems:
            self._groups[_group_of(self._fields[name])].reveal(name)
        if self._problems and self.problem != before:
            self._scroll_to(self.problem_slot)
        if self.problem != before:
            self.problem_changed.emit(self.problem)


def _group_of(f: dataclasses.Field[Any]) -> str:
    return str(f.metadata.get("group", ""))


class SlotGroup(Section):
    """A foldable group of settings, with the advanced ones behind a second fold."""

    def __init__(self, title: str, rows: Sequence[SlotRow], theme: ThemeProvider, *, folded: bool = False) -> None:
        super().__init__(title, theme, folded=folded)
        self._provider = theme
        self._rows = {row.field.name: row for row in rows}
        self._shown = dict.fromkeys(self._rows, True)
        self._open, self._is_empty = False, False
        self.more = QToolButton()
        self.more.setProperty("role", "fold-small")
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setToolTip("Show or hide rarely changed settings")
        self.more.clicked.connect(lambda: self.set_open(not self._open))
        self._hidden_rows = QWidget()
        common, rare = QVBoxLayout(), QVBoxLayout(self._hidden_rows)
        for row in rows:
            (rare if row.field.metadata.get("advanced") else common).addWidget(row)
        body = QWidget()
        lines = QVBoxLayout(body)
        for layout in (common, rare, lines):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(0)
        lines.addLayout(common)
        lines.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        lines.addWidget(self._hidden_rows)
        self.set_body(body)
        self.show_rows(set(self._rows), {})

    @property
    def is_open(self) -> bool:
        """Whether the advanced rows are shown."""
        return self._open

    def show_rows(self, names: set[str], changed: dict[str, bool]) -> None:
        """Show the rows of `names`. changed: whether each field differs from its default, for the fold's label."""
        for name, row in self._rows.items():
            if self._shown[name] != (name in names):
                self._shown[name] = name in names
                row.setVisible(name in names)
        rare = [name for name in self._advanced() if name in names]
        n_changed = sum(changed.get(name, False) for name in rare)
        words = f"{len(rare)} more" + (f" ({n_changed} changed)" if n_changed else "")
        if self.more.text() != words:
            self.more.setText(words)
            self.more.setAccessibleName(f"{self.title}: {words}")
        self._update_layout(bool(rare))
        is_empty = not names & set(self._rows)
        if is_empty != self._is_empty:  # only on changes: without a parent yet, it would become a window
            self._is_empty = is_empty
            self.setVisible(not is_empty)

    def set_open(self, is_open: bool) -> None:
        """Show the advanced rows, or fold them away."""
        self._open = is_open
        self._update_layout(any(self._shown[name] for name in self._advanced()))

    def reveal(self, name: str) -> None:
        """Unfold everything that hides the row of the field `name`."""
        self.set_folded(False)
        if self._rows[name].field.metadata.get("advanced"):
            self.set_open(True)

    def _advanced(self) -> list[str]:
        return [name for name, row in self._rows.items() if row.field.metadata.get("advanced")]

    def _update_layout(self, has_rare: bool) -> None:
        self.more.setVisible(has_rare)
        self._hidden_rows.setVisible(has_rare and self._open)
        icon = "caret-down" if self._open else "caret-right"
        if self.more.property("iconName") != icon:
            self._provider.set_icon(self.more, icon, "muted")
