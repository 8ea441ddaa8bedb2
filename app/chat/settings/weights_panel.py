"""The number format of the open model's matrices: choose it, and measure its speed and perplexity."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QLabel, QWidget

from terrarium.app.chat.settings.second_model_panel import NO_MODEL
from terrarium.app.kit.basics import (
    button,
    column,
    group,
    label,
    plain_tip,
    row,
    set_enabled,
    set_role,
    show_if,
    show_words,
)
from terrarium.app.kit.inputs import grid
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import LIVE, ChatModel
from terrarium.app.session.device import Device
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.inference.weight_kinds import KINDS, WeightsFigures, WeightsMeasured
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_percent, format_size

_ABOUT = (
    "A model reads all its weights for each token that it writes. In fewer bytes they can be read faster, but "
    "rounding costs a little quality. Measuring shows how much of each."
)
_MINUS = "\N{MINUS SIGN}"
_COLUMNS = ("", "memory", "writes/s", "reads/s", "perplexity", "change")
_TIPS = (
    "How the matrices are kept; embeddings and norms stay in float32",
    "What the model takes in memory",
    "Tokens per second, written one by one",
    "Tokens per second, read at once as of a prompt",
    "How many tokens it hesitates between, on average, on held-out text: lower is better",
    "Change of the perplexity against float32",
)


class WeightsPanel(QWidget):
    """A choice, a button and a table for the open model."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.control = WeightsMeasurement(session.worker, session.library, session.device, self)
        self._model: ChatModel | None = None
        self.kind = Segments("Weights", {kind: kind for kind in KINDS}, "The model is opened again with these weights")
        self.about = label(_ABOUT, "muted", wrap=True)
        self.measure = button(
            "Measure", theme, self._on_measure, icon="gauge", tip="Speed and perplexity of each, on this computer"
        )
        self.cancel = button("Cancel", theme, self.control.cancel, role="quiet", tip="Stop measuring")
        self.doing = label("", "caption")
        self.problem = label("", "error", wrap=True)
        self.verdict = label("", wrap=True)
        self.source = label("", "caption", wrap=True)
        self.cells: list[list[QLabel]] = []
        self._table = self._make_table()
        contents = row(self.kind, None), self.about, self._table, self.verdict, self.source, self.problem
        self.setLayout(column(*contents, row(self.measure, self.cancel, self.doing, None)))
        self.kind.changed.connect(self._on_kind)
        self.control.changed.connect(self._show)
        session.chat.model_changed.connect(self._on_model)
        session.chat.changed.connect(self._show)
        self._on_model()

    def _make_table(self) -> QWidget:
        titles = [label(title, "caption") for title in _COLUMNS]
        self.cells = [[label("") for _ in _COLUMNS] for _ in KINDS]
        for cells in (titles, *self.cells):
            for i, (cell, tip) in enumerate(zip(cells, _TIPS, strict=True)):
                cell.setToolTip(plain_tip(tip))
                cell.setAlignment(Qt.AlignmentFlag.AlignRight if i else Qt.AlignmentFlag.AlignLeft)
        return group(grid(titles, *self.cells, grows=0, spacing=(SPACE + SPACE // 2, SPACE // 2)))

    @Slot()
    def _on_model(self) -> None:
        """Update after another model was opened; keep the measurements if only the weight format changed."""
        before, self._model = self._model, self._session.chat.model
        if _checkpoint(before) != _checkpoint(self._model):
            self.control.forget()
        self._show()

    @Slot(str)
    def _on_kind(self, kind: str) -> None:
        model = self._session.chat.model
        if model is None or not self._session.chat.open(model.which, model.step, weights=kind):
            self._show()

    def _on_measure(self) -> None:
        model = self._session.chat.model
        if model is not None and model.which != LIVE:
            self.control.measure(model)

    @Slot()
    def _show(self) -> None:
        model, control = self._session.chat.model, self.control
        stored = model is not None and model.which != LIVE
        why_not = "" if model is not None else NO_MODEL
        if model is not None and not stored:
            why_not = "This model is still learning: open a checkpoint."
        is_free = self._session.chat.state == "ready" and not control.busy
        set_enabled(self.kind, why_not or ("" if is_free else "The model is in use: wait."))
        self.kind.choose(model.weights if model is not None else KINDS[0])
        self.measure.setVisible(not control.busy)
        continues = model is not None and model.mode in ("talk", "text")
        set_enabled(self.measure, why_not or ("" if continues else "Only models that continue a text can be measured."))
        self.measure.setText("Measure again" if control.measured is not None else "Measure")
        self.cancel.setVisible(control.busy)
        self.doing.setText(
            f"{control.doing}… {format_percent(control.share)}" if control.busy and control.doing else ""
        )
        self.about.setText(_about(model))
        self.about.setVisible(control.measured is None)
        show_words(self.problem, control.problem)
        show_if(control.measured is not None, self._table, self.verdict, self.source)
        if control.measured is not None:
            self._show_table(control.measured, model.weights if model is not None else "")

    def _show_table(self, measured: WeightsMeasured, current: str) -> None:
        for cells, figures in zip(self.cells, measured.rows, strict=True):
            words = (
                figures.kind,
                format_size(1e6 * figures.megabytes),
                _rate(figures.tokens_per_s),
                _rate(figures.read_per_s),
                f"{figures.perplexity:.3f}",
                "" if figures is measured.rows[0] else _signed(figures.change),
            )
            for cell, text in zip(cells, words, strict=True):
                cell.setText(text)
                set_role(cell, "subheading" if figures.kind == current else "")
        self.verdict.setText(" ".join(_verdict(figures, measured.rows[0]) for figures in measured.rows[1:]))
        self.source.setText(
            f"Tokens written and read per second, measured alternately. Perplexity of {measured.n_predicted:,} tokens "
            f"of {measured.text}."
        )


def _checkpoint(model: ChatModel | None) -> tuple[str, int] | None:
    return None if model is None else (model.which, model.step)


def _about(model: ChatModel | None) -> str:
    if model is not None and model.which == LIVE:
        return "A model in training keeps float32 weights that change with every step: open a checkpoint to choose."
    if model is not None and model.mode not in ("talk", "text"):
        return f"{_ABOUT} Only models that continue a text can be measured here."
    return _ABOUT


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 99.5 else f"{per_second:.1f}"


def _signed(change: float) -> str:
    return f"{'+' if change >= 0 else _MINUS}{format_percent(abs(change), 2)}"


def _verdict(figures: WeightsFigures, exact: WeightsFigures) -> str:
    """Compare a format with float32 in a sentence."""
    if figures.problem:
        return figures.problem
    writes, reads = figures.tokens_per_s / exact.tokens_per_s, figures.read_per_s / exact.read_per_s
    how = "faster" if min(writes, reads) > 1 else "slower" if max(writes, reads) < 1 else "not faster overall"
    return f"{figures.kind} is {how} here: it writes {writes:.2f} times and reads {reads:.2f} times as fast as float32."


class WeightsMeasurement(QObject):
    """Measures speed, memory and perplexity of a model in each weight format, on the worker thread.

    One measurement at a time: `doing` and `share` are its progress, `measured` its result, `problem` its failure.

    Signals:
        changed(): one of these, or `busy`, is new.
    """

    changed = Signal()

    def __init__(self, worker: Worker, library: Library, device: Device, parent: QObject) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._library, self._device = library, device
        self.doing, self.share = "", 0.0
        self.measured: WeightsMeasured | None = None
        self.problem = ""

    @property
    def busy(self) -> bool:
        """Whether a measurement is running or queued."""
        return self._job.busy

    def measure(self, model: ChatModel) -> None:
        """Load another copy of the model's checkpoint and measure it; the open model remains unchanged."""
        assert model.which != LIVE
        library, device_name = self._library, self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.device import choose_device
            from terrarium.models.inference.held_out import held_out
            from terrarium.models.inference.measure_weights import measure_weights
            from terrarium.models.interop.loading import load_model_events
            from terrarium.models.runs.run_folder import RunFolder

            run = RunFolder.open(library.runs / model.run_id)
            device = choose_device(device_name).device
            loaded, tokenizer = yield from load_model_events(run.checkpoint_path(model.step), device)
            if tokenizer is None:
                raise ValueError(f"{run.name} has no tokenizer, so there is no text to measure it on.")
            yield from measure_weights(loaded, held_out(run.folder, tokenizer, library))

        self.forget()
        self._job.submit(Job("Measure weights", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Stop the measurement."""
        self._job.cancel()

    def forget(self) -> None:
        """Drop the results, because another model is open."""
        self._job.drop()
        self.doing, self.share, self.measured, self.problem = "", 0.0, None, ""
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.doing, self.share = event.name, 0.0
            elif isinstance(event, Progress) and event.total:
                self.share = event.done / event.total
            elif isinstance(event, WeightsMeasured):
                self.measured = event
        self.changed.emit()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        self.problem = failure.sentence if failure is not None else ""
        self.changed.emit()
