"""“Will it fit, and how long?”: the memory estimate and the device's memory, beside a dry run's measurements."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from terrarium.app.builder.costs.dry_run import DryRunMeasured
from terrarium.app.kit.basics import button, column, group, label, plain_tip, row, set_role, stacked
from terrarium.app.kit.inputs import grid
from terrarium.app.kit.labels import ElidedLabel, NumberLabel
from terrarium.app.kit.plots.fit_gauge import FitGauge
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.device_memory import DeviceMemory, Fit, format_memory_use
from terrarium.models.number_words import format_about, format_compact, format_percent, format_size

_STEPS = 1000
_NONE = "–"


class FitBox(QWidget):
    """The estimate and the measurement side by side, with a fixed height.

    Signals:
        start_requested(): measure the design shown. cancel_requested(): stop measuring.
    """

    start_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.verdict = label("?", "pill")
        self.amount = NumberLabel(20, "mono-small")
        self.gauge = FitGauge(theme)
        self.sentence = label("", "caption", wrap=True)
        self.note = label("", "caption", wrap=True)
        for text in (self.sentence, self.note):
            text.setMinimumHeight(2 * text.fontMetrics().lineSpacing() + 2)
            text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.estimated = {name: NumberLabel(8) for name in ("memory", "step", "speed")}
        self.measured = {name: NumberLabel(8) for name in ("memory", "step", "speed")}
        for widget in self.estimated.values():
            widget.setText(_NONE)
        self.origin = ElidedLabel()
        set_role(self.origin, "caption")
        self.start = button(
            "Try three steps",
            theme,
            self.start_requested.emit,
            icon="timer",
            tip="Build this design and train it for three steps on random ids, on the chosen device. Nothing is saved.",
        )
        self.phase = ElidedLabel()
        self.cancel = button("Cancel", theme, self.cancel_requested.emit, tip="Stop after the current step")
        self._switch = stacked(
            group(row(self.start, grows=self.start)), group(row(self.phase, self.cancel, grows=self.phase))
        )
        title, head = label("Will it fit, and how long?", "subheading"), row(self.verdict, None, self.amount)
        self.setLayout(column(title, head, self.gauge, self.sentence, self._table(), self.note, self._switch))

    def _table(self) -> QGridLayout:
        rows: list[list[QWidget | None]] = [[None, label("estimated", "caption"), label("measured", "caption")]]
        tips = {
            "memory": ("Memory", "The peak of a training step: weights, gradients, optimizer, activations"),
            "step": (
                "Step time",
                "One update of the weights. Measured only: the speed of a device cannot be estimated",
            ),
            "speed": ("Tokens/s", "Tokens trained per second"),
        }
        for key, (words, tip) in tips.items():
            cells = label(words, "muted"), self.estimated[key], self.measured[key]
            for widget in cells:
                widget.setToolTip(plain_tip(tip))
            rows.append([*cells])
        right = Qt.AlignmentFlag.AlignRight
        spacing = SPACE + SPACE // 2, SPACE // 2
        return grid(*rows, [self.origin], grows=0, align={1: right, 2: right}, spacing=spacing)

    def show_estimate(self, needed: int, fit: Fit, device_memory: DeviceMemory | None) -> None:
        """Show the estimated memory in bytes, and whether it fits."""
        if self.verdict.text() != fit.headline or self.verdict.property("tone") != fit.tone:
            self.verdict.setText(fit.headline)
            set_role(self.verdict, "pill", tone=fit.tone)
        self.amount.setText(format_memory_use(needed, device_memory))
        self.sentence.setText(fit.sentence)
        self.start.setEnabled(fit.level != "no")
        self.estimated["memory"].setText(format_size(needed))

    def show_shares(self, share: float, level: str, measured: float) -> None:
        """Show the estimate and the measured peak as fractions of the device's memory."""
        self.gauge.set_shares(share, level, measured)

    def show_measured(self, result: DryRunMeasured | None, origin: str) -> None:
        """Show the last result. origin: what it was measured on; '' for the current design, else it is greyed."""
        is_stale = bool(origin)
        for widget in self.measured.values():
            widget.setEnabled(not is_stale)
        if result is None:
            for widget in self.measured.values():
                widget.setText(_NONE)
            self.origin.setText("")
            return
        run = result.run
        self.measured["memory"].setText(_NONE if run.peak_bytes is None else format_size(run.peak_bytes))
        self.measured["step"].setText(_milliseconds(run.ms_per_step))
        self.measured["speed"].setText(format_compact(run.tokens_per_s))
        self.origin.setText(origin or f"on {_texts(result)}, {run.precision}")

    def show_run(self, note: str, is_problem: bool, running: bool, phase: str) -> None:
        """Show the note below the table, and either the start button or the progress of a dry run."""
        self.note.setText(note)
        role = "warning" if is_problem else "caption"
        if self.note.property("role") != role:
            set_role(self.note, role)
        self.phase.setText(phase if running else "")
        self._switch.setCurrentIndex(1 if running else 0)


def note_of(result: DryRunMeasured | None, origin: str, needed: int, level: str) -> str:
    """Return a comment on the measurement, or on how to get one. level: see app.session.device_memory.Fit."""
    if level == "no" and (result is None or origin):
        return "It must fit before it can be tried."
    if result is None:
        return "A dry run measures the time and the memory of real training steps on this device."
    if origin:
        return "Try again to measure the current design."
    run = result.run
    sentence = f"{_STEPS:,} such steps take {format_about(_STEPS * run.ms_per_step / 1000)}."
    if run.peak_bytes:
        off = needed / run.peak_bytes - 1
        words = "The estimate is exact" if abs(off) < 0.005 else f"The estimate is {format_percent(abs(off))} too "
        sentence += f" {words}{'' if abs(off) < 0.005 else 'high' if off > 0 else 'low'}."
    return sentence


def _texts(result: DryRunMeasured) -> str:
    run = result.run
    length = f"{run.length:,}"
    if result.config.topology == "encoder-decoder":  # sources and targets
        length = f"({length} + {length})"
    return f"{run.batch_size} × {length} tokens"


def _milliseconds(ms: float) -> str:
    if ms < 999.5:
        return f"{ms:.1f} ms" if ms < 99.95 else f"{ms:.0f} ms"
    return f"{ms / 1000:.2f} s" if ms < 99_950 else f"{ms / 1000:,.0f} s"
