"""The problems of the rows: each finding with its count, examples, and a check box that fixes it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QLabel, QPushButton, QWidget

from terrarium.app.data.importing.draft import ImportDraft
from terrarium.app.kit.basics import button, clear, column, headed, label, row, separator, set_enabled, show_words
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.importing.checks import Checks, Finding
from terrarium.models.importing.plan import FIXES
from terrarium.models.number_words import capitalized, format_count, format_percent

IMPORTING = "The data is being imported: wait, or stop it."

_MAX_LABELS = 8


class ChecksCard(QFrame):
    """The findings of a draft's checks.

    Signals:
        fixed(name, bool): a check box was toggled.
    """

    fixed = Signal(str, bool)

    def __init__(self, draft: ImportDraft, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._draft, self._theme = draft, theme
        self._shown: Checks | None = None
        self.findings: dict[str, FindingRow] = {}
        self.state = label("", "caption", wrap=True)
        self.labels = label("", "caption", wrap=True)
        self.again = button("Check again", theme, draft.check_again, role="link", tip="Read all rows and check them")
        self._rows = column(spacing=SPACE // 2)
        self.setLayout(
            column(
                headed("3  Checks", self.again, role="heading", explained=self),
                self.state,
                self._rows,
                self.labels,
                margin=2 * SPACE,
            )
        )

    def refresh(self) -> None:
        """Show the checks of the draft, or why there are none."""
        draft = self._draft
        checks = draft.checks
        self.again.setVisible(bool(draft.problem) and not draft.doing)
        if checks is None:
            waiting = draft.obstacle or draft.problem or "Reading all rows and counting their problems…"
            self.state.setText(waiting)
        elif not checks.findings:
            self.state.setText("No problems found in the rows.")
        else:
            self.state.setText("Ticked problems are fixed in the import. The files themselves are not changed.")
        if checks is not None and checks is not self._shown:
            self._show(checks)
        for finding in self.findings.values():
            set_enabled(finding.tick, IMPORTING if draft.doing == "importing" else "")
        show_words(self.labels, "" if checks is None and not draft.doing else self.labels.text())

    def _show(self, checks: Checks) -> None:
        self._shown = checks
        names = [finding.name for finding in checks.findings]
        if names != list(self.findings):
            clear(self._rows)
            self.findings = {}
            for finding in checks.findings:
                self.findings[finding.name] = line = FindingRow(self._theme)
                line.fixed.connect(lambda on, name=finding.name: self.fixed.emit(name, on))
                if self._rows.count():
                    self._rows.addWidget(separator())
                self._rows.addWidget(line)
            put_after(self.again, *(stop for line in self.findings.values() for stop in line.stops))
        for finding in checks.findings:
            self.findings[finding.name].show_finding(finding)
        total = max(1, sum(checks.labels.values()))
        most = list(checks.labels.items())[:_MAX_LABELS]
        words = [f"{name} {format_percent(n / total)}" for name, n in most]
        more = len(checks.labels) - len(most)
        self.labels.setText(
            f"{len(checks.labels):,} labels: {', '.join(words)}{f' and {more:,} more' if more > 0 else ''}."
            if words
            else ""
        )


class FindingRow(QWidget):
    """A finding: its sentence, a check box, and its examples, which are folded at first.

    Signals:
        fixed(bool): the check box was toggled.
    """

    fixed = Signal(bool)

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self.sentence = label("", wrap=True)
        self.tick = QCheckBox()
        self.tick.clicked.connect(self.fixed)
        self.examples_button: QPushButton = button("Examples", theme, self._fold, icon="caret-right", role="link")
        self.examples: QLabel = label("", "mono-small", wrap=True, selectable=True)
        self.examples.setContentsMargins(2 * SPACE, 0, 0, 0)
        self.examples.hide()
        top = row(self.sentence, self.examples_button, grows=self.sentence)
        top.setAlignment(self.examples_button, Qt.AlignmentFlag.AlignTop)
        self.setLayout(column(top, self.tick, self.examples, spacing=SPACE // 2))

    @property
    def stops(self) -> tuple[QWidget, ...]:
        """Its tab stops, in order."""
        return self.examples_button, self.tick

    def show_finding(self, finding: Finding) -> None:
        """Show another finding of the same name."""
        self.sentence.setText(finding.sentence)
        is_damage = finding.name == "damaged"
        words = f"leave out {format_count(finding.n, 'row')}" if is_damage else FIXES.get(finding.name, "")
        named(self.tick, f"{words}: {finding.sentence}").setText(capitalized(words))
        self.tick.setVisible(finding.can_fix)
        self.tick.setChecked(finding.is_fixed)
        self.examples.setText("\n".join(finding.examples))
        if is_damage and not self.tick.isChecked() and self.examples.isHidden():
            self._fold()  # show damaged rows before the user leaves them out
        self.examples_button.setVisible(bool(finding.examples))
        self.examples_button.setAccessibleName(f"Examples of: {finding.sentence}")

    def _fold(self) -> None:
        self.examples.setVisible(self.examples.isHidden())
        self._theme.set_icon(
            self.examples_button, "caret-right" if self.examples.isHidden() else "caret-down", "accent"
        )
