"""One diagnosis: what is wrong, by which evidence, and the button that starts the remedy."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.kit.basics import button, label, row
from app.kit.theme import SPACE, ThemeProvider
from app.training.doctor.symptom_chart import SymptomChart
from app.training.shown_run import ShownRun
from models.training.doctor import Diagnosis

GRAVE = frozenset({"nan", "divergence", "exploding", "dead"})
"""What leaves no useful model; the rest could only be better."""
_CURVES = {
    **dict.fromkeys(("nan", "exploding", "dead"), ("Gradient norm", "train", "grad_norm")),
    **dict.fromkeys(("overfitting", "little_data", "small_validation"), ("Validation loss", "val", "loss")),
}
_LOSS = ("Training loss", "train", "loss")


class DiagnosisCard(QFrame):
    """Shows a diagnosis of one kind, whose words and numbers may change while the run goes on.

    Signals:
        remedy_asked(remedy): the user wants it.
    """

    remedy_asked = Signal(object)

    def __init__(self, kind: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.kind = kind
        self.diagnosis: Diagnosis | None = None
        grave = kind in GRAVE
        self._title = label("", "subheading")
        self._since = label("", "pill")
        self._since.setProperty("tone", "danger" if grave else "warning")
        self._sentence = label("", wrap=True, selectable=True)
        self._numbers = QHBoxLayout()
        self._numbers.setSpacing(3 * SPACE)
        self._figures: list[tuple[QLabel, QLabel]] = []
        self._chart = SymptomChart(theme, "danger" if grave else "warning")
        self.remedy = button("", theme, self._on_remedy, icon="first-aid-kit")
        self.remedy.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._build()

    def _build(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(SPACE)
        words.addLayout(row(self._title, self._since, None))
        words.addWidget(self._sentence)
        words.addLayout(self._numbers)
        words.addWidget(self.remedy)
        across = QHBoxLayout(self)
        across.setContentsMargins(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        across.setSpacing(2 * SPACE)
        across.addLayout(words, 1)
        across.addWidget(self._chart, 0, Qt.AlignmentFlag.AlignTop)

    def show_diagnosis(self, diagnosis: Diagnosis, run: ShownRun) -> None:
        """Show what is said of `run` now."""
        self.diagnosis = diagnosis
        self._title.setText(diagnosis.title)
        self._since.setText(f"since step {diagnosis.step:,}" if diagnosis.step > 1 else "since the start")
        self._sentence.setText(diagnosis.sentence)
        self._show_evidence({name: value for name, value in diagnosis.evidence.items() if math.isfinite(value)})
        self.remedy.setVisible(diagnosis.remedy is not None)
        if diagnosis.remedy is not None:
            self.remedy.setText(diagnosis.remedy.words)
            self.remedy.setAccessibleName(diagnosis.remedy.words)
            is_fork = diagnosis.remedy.fork_step is not None
            self.remedy.setToolTip(
                "Goes on from that checkpoint with these settings"
                if is_fork
                else "The same run again with these settings"
            )
        name, table, column = _CURVES.get(self.kind, _LOSS)
        rows = run.history.train if table == "train" else run.history.val
        self._chart.set_curve(name, rows["step"], rows[column], diagnosis.step)

    def _show_evidence(self, evidence: dict[str, float]) -> None:
        if [caption.text() for _, caption in self._figures] != list(evidence):
            self._make_figures(list(evidence))
        for (number, _), value in zip(self._figures, evidence.values(), strict=True):
            number.setText(f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.3g}")

    def _make_figures(self, names: list[str]) -> None:
        while (item := self._numbers.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self._figures = []
        for name in names:
            number, caption = label("", "number"), label(name, "caption")
            cell = QWidget()
            lines = QVBoxLayout(cell)
            lines.setContentsMargins(0, 0, 0, 0)
            lines.setSpacing(0)
            lines.addWidget(number)
            lines.addWidget(caption)
            self._figures.append((number, caption))
            self._numbers.addWidget(cell)
        self._numbers.addStretch(1)

    @Slot()
    def _on_remedy(self) -> None:
        assert self.diagnosis is not None
        self.remedy_asked.emit(self.diagnosis.remedy)
