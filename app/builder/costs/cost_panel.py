"""The cost panel: whether training fits in memory, how long it takes, and the costs by component."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QLayout, QPushButton, QSizePolicy, QWidget

from terrarium.app.builder.costs.design_costs import OPTIMIZER, DesignCosts, costs_of
from terrarium.app.builder.costs.dry_run import DryRunMeasured
from terrarium.app.builder.costs.fit_box import FitBox, note_of
from terrarium.app.builder.costs.stacked_bar import StackedBar
from terrarium.app.builder.work_size import DEFAULT_BATCH
from terrarium.app.kit.basics import column, group, label, plain_tip, row, set_role, show_words
from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel, NumberLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.blocks import MEASURING
from terrarium.app.session.device_memory import DeviceMemory, budget, check_fit
from terrarium.app.worker.background import LatestTask
from terrarium.models.design.fit import Proposal, proposals
from terrarium.models.number_words import format_compact, format_size
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS

_MAX_SHOWN = 4
_MIN_WIDTH = 200
"""The minimum width in pixels. Independent of the sentences, so that the width of the panel stays constant."""


class CostPanel(QWidget):
    """The costs of a design for a batch size and length. Costs follow each change immediately; the proposals to make
    the design fit in memory are debounced.

    Signals:
        dry_run_requested(), dry_run_cancel_requested(): measure the design shown; stop measuring.
        design_requested(config): the user chose a smaller design. batch_requested(n): a smaller batch.
    """

    dry_run_requested = Signal()
    dry_run_cancel_requested = Signal()
    design_requested = Signal(object)
    batch_requested = Signal(int)

    def __init__(self, config: ModelConfig, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config, self._batch, self._length = config, DEFAULT_BATCH, config.context_length
        self._device_memory: DeviceMemory | None = None
        self._result: DryRunMeasured | None = None
        self._running, self._phase = False, ""
        self._obstacle = MEASURING if config.has_custom_blocks else ""
        self._costs: DesignCosts | None = None
        self._offered: _FitRequest | None = None
        self.fit = FitBox(theme)
        self.proposals = _ProposalList(theme)
        self.total, self.active = NumberLabel(14), NumberLabel(14)
        self.flops, self.training_flops = NumberLabel(10), NumberLabel(10)
        self.memory_total, self.cache = NumberLabel(8), NumberLabel(8)
        self.parameters = named(StackedBar(theme, lambda n: f"{n:,.0f}"), "Parameters by component")
        self.work = named(StackedBar(theme, _operations), "Work per token by component")
        self.memory = named(StackedBar(theme, format_size), "Memory in training, by purpose")
        self.obstacle = label("", "muted", wrap=True)
        self._proposer = _Proposer(self)
        self._pause = QTimer(self, singleShot=True, interval=250)
        self._build()
        self.fit.start_requested.connect(self.dry_run_requested)
        self.fit.cancel_requested.connect(self.dry_run_cancel_requested)
        self.proposals.chosen.connect(self._on_chosen)
        self._proposer.found.connect(self._on_found)
        self._pause.timeout.connect(self._on_pause)
        self._show()

    def _build(self) -> None:
        exact = ("exact", "Trained parameters, exactly as in the built model")
        memory_tip = f"With {OPTIMIZERS[OPTIMIZER].title}, on one batch"
        work_tip = "FLOPs to process one token of a text of this length; training needs 3 times as many"
        self._active_line = _line("active per token", self.active, "Parameters used per token: of each mixture only "
                                  "the experts that are used")  # fmt: skip
        self.body = group(
            self.fit,
            self.proposals,
            SPACE,
            _heading("Parameters", *exact, self.total),
            self.parameters,
            self._active_line,
            SPACE,
            _heading("Work per token", "estimated", work_tip, self.flops),
            self.work,
            _line("in training", self.training_flops, work_tip),
            SPACE,
            _heading("Memory to train", "estimated", memory_tip, self.memory_total),
            self.memory,
            _line("KV cache", self.cache, "Keys and values while one text of this length is generated, in float32"),
        )
        self.setLayout(column(self.obstacle, self.body, None, margin=(0, 0, SPACE // 2, 0)))  # room for a scroll bar

    def set_design(self, config: ModelConfig, batch: int, length: int, obstacle: str = "") -> None:
        """Show the costs of training `config` on `batch` texts of `length` tokens.

        obstacle: why they are not known, a sentence that is shown instead; "" if they are.
        """
        if (config, batch, length, obstacle) == (self._config, self._batch, self._length, self._obstacle):
            return
        if not self._running:
            self._phase = ""  # the reason of the last failure concerned another design
        self._config, self._batch, self._length, self._obstacle = config, batch, length, obstacle
        self._show()

    def set_device_memory(self, device_memory: DeviceMemory | None) -> None:
        """Set the memory of the device; see Device.memory."""
        if device_memory != self._device_memory:
            self._device_memory = device_memory
            self._show()

    def set_dry_run(self, result: DryRunMeasured | None, running: bool, phase: str) -> None:
        """Show the last result, whether a dry run is active, and its phase or why it ended without a result."""
        self._result, self._running, self._phase = result, running, phase
        self._show_dry_run()

    def _show(self) -> None:
        show_words(self.obstacle, self._obstacle)
        self.body.setVisible(not self._obstacle)
        if self._obstacle:
            self._costs = None
            self._pause.start()
            return
        costs = self._costs = costs_of(self._config, self._batch, self._length, self._device_memory)
        self.total.setText(f"{costs.n_parameters:,}")
        self.active.setText(f"{costs.n_active:,}")
        self._active_line.setVisible(costs.n_active != costs.n_parameters)
        self.flops.setText(_operations(costs.flops))
        self.training_flops.setText(_operations(costs.training_flops))
        self.memory_total.setText(format_size(costs.memory_bytes))
        self.cache.setText(format_size(costs.cache_bytes) if costs.cache_bytes else "none")
        self.parameters.set_bars(costs.parameters)
        self.work.set_bars(costs.work)
        self.memory.set_bars(costs.memory)
        self.fit.show_estimate(
            costs.memory_bytes, check_fit(costs.memory_bytes, self._device_memory), self._device_memory
        )
        self._show_dry_run()
        self.proposals.setEnabled(False)  # the proposals belong to the previous design
        self._pause.start()

    def _show_dry_run(self) -> None:
        if self._costs is None:
            return
        needed, origin = self._costs.memory_bytes, self._origin()
        have = (self._device_memory.n_bytes if self._device_memory is not None else None) or 0
        peak = self._result.run.peak_bytes if self._result is not None and not origin else None
        level = check_fit(needed, self._device_memory).level
        self.fit.show_shares(needed / have if have else 0.0, level, (peak or 0) / have if have else 0.0)
        self.fit.show_measured(self._result, origin)
        problem = "" if self._running else self._phase
        note = problem or note_of(self._result, origin, needed, level)
        self.fit.show_run(note, bool(problem), self._running, self._phase)

    def _origin(self) -> str:
        """Describe what the last result was measured on; '' if on the design and device shown, or if missing."""
        if self._result is None:
            return ""
        config, run = self._result.config, self._result.run
        if config != self._config:
            return "of an earlier design"
        if (run.batch_size, run.length) != (self._batch, self._length):
            return f"of {run.batch_size} × {run.length:,} tokens"
        return f"on {run.device}" if self._device_memory is not None and run.device != self._device_memory.label else ""

    # -- Making it fit -------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._pause.start()

    @Slot()
    def _on_pause(self) -> None:
        if not self._is_too_large:
            self.proposals.hide()
            self._offered = None
            self._proposer.ask(None)
        elif self._request() == self._offered:
            self.proposals.setEnabled(True)
        elif self.isVisible():
            self._proposer.ask(self._request())

    @property
    def _is_too_large(self) -> bool:
        return self._costs is not None and (
            check_fit(self._costs.memory_bytes, self._device_memory).level in ("tight", "no")
        )

    def _request(self) -> _FitRequest:
        device_memory = self._device_memory
        assert device_memory is not None
        have = budget(device_memory)
        assert have is not None
        return _FitRequest(
            config=dataclasses.replace(self._config, context_length=self._length),
            batch_size=self._batch,
            optimizer=OPTIMIZER,
            budget_bytes=have,
            device=device_memory.kind,
            precision=device_memory.precision(self._config.d_model),
        )

    @Slot(object, object)
    def _on_found(self, request: _FitRequest, found: list[Proposal]) -> None:
        if self._is_too_large and request == self._request():
            self._offered = request
            self.proposals.set_proposals(found)

    @Slot(object)
    def _on_chosen(self, proposal: Proposal) -> None:
        if proposal.model:
            self.design_requested.emit(dataclasses.replace(self._config, **proposal.model))
        if "batch_size" in proposal.train:
            self.batch_requested.emit(proposal.train["batch_size"])


def _operations(n: float) -> str:
    return f"{format_compact(n)}FLOP"


def _heading(title: str, word: str, tip: str, total: QLabel) -> QLayout:
    name, kind = label(title, "subheading"), ElidedLabel(word)
    set_role(kind, "caption")
    for widget in (name, total):
        widget.setToolTip(plain_tip(tip))
    return row(row(name, *help_marks(title), spacing=SPACE // 2), kind, total, spacing=SPACE // 2)


def _line(name: str, number: QLabel, tip: str) -> QWidget:
    line = QWidget()
    words = label(name, "muted")
    for widget in (words, number):
        widget.setToolTip(plain_tip(tip))
    line.setLayout(row(words, *help_marks(name, line), None, number))
    return line


class _ProposalList(QWidget):
    """“Make it fit”: a heading and a button for each proposed change; hidden while there is nothing to propose.

    Signals:
        chosen(proposal): the user clicked this proposal.
    """

    chosen = Signal(object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.buttons: list[_ProposalButton] = []
        self._nothing = label("No single change makes it fit: choose a smaller design.", "muted", wrap=True)
        self._lines = column(label("Make it fit", "subheading"), self._nothing)
        self.setLayout(self._lines)
        self.hide()

    def set_proposals(self, proposals: Sequence[Proposal]) -> None:
        """Offer the first few proposals, or state that no single change suffices."""
        for old in self.buttons:
            self._lines.removeWidget(old)
            old.deleteLater()
        self.buttons = [
            _ProposalButton(proposal, lambda proposal=proposal: self.chosen.emit(proposal))  # type: ignore[misc]
            for proposal in proposals[:_MAX_SHOWN]
        ]
        for new in self.buttons:
            self._lines.addWidget(new)
        self._nothing.setVisible(not self.buttons)
        self.setEnabled(True)
        self.show()


class _ProposalButton(QPushButton):
    """A button with several lines of text, which QPushButton does not support."""

    def __init__(self, proposal: Proposal, on_click: Callable[[], object]) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        size = format_size(proposal.bytes)
        self.setAccessibleName(f"{proposal.sentence} Takes {size}.")
        self.setToolTip("Apply this change")
        sentence, amount = label(proposal.sentence, wrap=True), label(f"→ {size}", "mono-small")
        amount.setAlignment(Qt.AlignmentFlag.AlignRight)
        for each in (sentence, amount):
            each.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setLayout(column(sentence, amount, spacing=SPACE // 2, margin=(SPACE + 2, SPACE, SPACE + 2, SPACE)))
        self.clicked.connect(lambda: on_click())

    def sizeHint(self) -> QSize:
        layout = self.layout()
        assert layout is not None
        return layout.totalSizeHint()

    def minimumSizeHint(self) -> QSize:
        layout = self.layout()
        assert layout is not None
        return QSize(_MIN_WIDTH, layout.totalMinimumSize().height())


@dataclass(frozen=True, kw_only=True)
class _FitRequest:
    """A run that must fit into `budget_bytes`; the fields are arguments of models.design.fit.proposals."""

    config: ModelConfig
    batch_size: int
    optimizer: str
    budget_bytes: int
    device: str = "cpu"
    precision: str = "float32"

    def proposals(self) -> list[Proposal]:
        """Return the changes of the design or the batch size that make it fit, the least costly first.

        Changes of other training settings are left out, since the builder does not show these settings.
        """
        found = proposals(
            self.config,
            self.batch_size,
            self.optimizer,
            self.budget_bytes,
            device=self.device,
            precision=self.precision,
        )
        return [proposal for proposal in found if proposal.model or "batch_size" in proposal.train]


class _Proposer(QObject):
    """Searches in the background, for about 0.1 s; answers only the latest request, older ones are dropped.

    Signals:
        found(request, proposals): the answer, a list of Proposal.
    """

    found = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)

    def ask(self, request: _FitRequest | None) -> None:
        """Search for proposals; None cancels the search."""
        if request is None:
            self._task.cancel()
        else:
            self._task.ask(lambda: (request, request.proposals()))

    @Slot(object)
    def _on_done(self, result: tuple[_FitRequest, list[Proposal]]) -> None:
        self.found.emit(*result)
