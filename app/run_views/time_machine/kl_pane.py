"""The KL of a fine-tuned run to its parent by token position in the reply, at every checkpoint that still exists."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtWidgets import QLineEdit, QSizePolicy, QSlider, QSplitter, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, frame, label, plain_tip, row, set_enabled
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.plot_spec import Band, PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.run_views.rewards.reply_tokens import DivergingScale, ReplyTokens, as_odds
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.run_views.token_names import TokenNames
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.alignment.position_kl import OWN, PARENTS, SHALLOW, PositionKl, about_depth
from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count, format_signed

_WHOSE = {OWN: "Its own replies", PARENTS: "The parent's replies"}
_ABOUT_WHOSE = (
    "Its own: replies that each checkpoint draws, so their mean is its KL. The parent's: the same replies at every "
    "checkpoint, drawn once from the model that it started from: where would it have gone another way?"
)
_ASK = "Read its replies to this prompt at every checkpoint that is kept"
_LEGEND = "strong: this checkpoint, pale: the others"
_LEAST_CHART, _LEAST_TOKENS = 96, 56
"""Minimum heights in pixels: a readable curve, and two lines of tokens, in a window of 1280 × 720."""
_NO_CHECKPOINT = "There is no checkpoint yet: it can be measured as soon as the first one is saved."


def is_offered(run: ShownRun) -> bool:
    """Return whether the KL can be measured: the run has a folder, started from weights, and generates text."""
    spec = run.spec
    return spec is not None and spec.tune is not None and spec.model.head == "language" and run.folder is not None


class KlPane(QWidget):
    """The KL of one run: a curve over positions for each checkpoint, and below it a reply token by token."""

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme, self._library, self._device = theme, session.library, session.device
        self._runs = session.runs
        self._run: ShownRun | None = None
        self.measured: list[PositionKl] = []
        self._reply = 0
        self._names = TokenNames(self)
        self._names.changed.connect(self._show_reply)
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        session.closing.connect(self._job.cancel)
        self.prompt = QLineEdit()
        self.prompt.setPlaceholderText("Held-out prompts of its data, or write one")
        self.prompt.setAccessibleName("Prompt")
        self.prompt.setToolTip(
            plain_tip("What is asked at every checkpoint. Empty: the first validation prompts of its data")
        )
        self.whose = Segments("Replies", _WHOSE, _ABOUT_WHOSE)
        self.measure = button("Measure", theme, self._on_measure, icon="gauge", role="primary", tip=_ASK)
        self.cancel = button("Cancel", theme, self._job.cancel, icon="stop", tip="Stop measuring")
        self.state = ElidedLabel()
        self.state.setProperty("role", "caption")
        self.words, self.problem = label("", "subheading", wrap=True), label("", "error", wrap=True)
        heading = QWidget()
        heading.setLayout(
            row(label("KL at each position", "subheading"), HelpMark("KL divergence"), spacing=SPACE // 2)
        )
        self.plot = PlotView(theme, heading, unit="nats", margins=(6, 6, 6), least=_LEAST_CHART)
        self.plot.set_name("KL to the parent by position")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Checkpoint")
        self.slider.setToolTip("The checkpoint that is drawn strongly, and whose reply is shown")
        self.where = label("", "subheading")
        self.back = button("", theme, lambda: self._turn(-1), icon="skip-back", role="quiet", tip="Reply before")
        self.forward = button("", theme, lambda: self._turn(1), icon="skip-forward", role="quiet", tip="Next reply")
        self.asked = ElidedLabel()
        self.asked.setProperty("role", "muted")
        self.tokens, self.scale = ReplyTokens(theme), DivergingScale(theme, signed=False, unit="nats")
        self.tokens.setMinimumHeight(_LEAST_TOKENS)
        self.token = label("", "caption", wrap=True)
        self._build()
        self.prompt.returnPressed.connect(self._on_measure)
        self.whose.changed.connect(lambda _: self._on_measure() if self.measured else self._show())
        self.slider.valueChanged.connect(lambda _: self._show())
        self.tokens.hovered.connect(lambda _: self._show_token())
        self.tokens.picked.connect(lambda _: self._show_token())

    def _build(self) -> None:
        above, below = (frame("card", margin=SPACE + SPACE // 2) for _ in range(2))
        lines, reply = above.layout(), below.layout()
        assert isinstance(lines, QVBoxLayout)
        assert isinstance(reply, QVBoxLayout)
        self.slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        bar = row(self.prompt, self.whose, self.measure, self.cancel, spacing=SPACE)
        bar.setStretch(0, 1)
        self.plot.head.insertWidget(2, self.state, 1)
        lines.addLayout(bar)
        lines.addWidget(self.problem)
        lines.addWidget(self.words)
        lines.addWidget(self.plot, 1)
        steps = row(self.where, self.slider)
        steps.setStretch(1, 1)
        lines.addLayout(steps)
        turning = row(self.back, self.forward, self.asked, self.scale)
        turning.setStretch(2, 1)
        reply.addLayout(turning)
        reply.addWidget(self.tokens, 1)
        reply.addWidget(self.token)
        body = QSplitter(Qt.Orientation.Vertical)
        body.setChildrenCollapsible(False)
        body.addWidget(above)
        body.addWidget(below)
        body.setSizes([420, 190])
        body.setStretchFactor(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(body)

    # -- Content ----------------------------------------------------------------------------------------

    def show_run(self, run: ShownRun) -> None:
        """Switch to a run, without measurements."""
        self._job.drop()
        self._run, self.measured, self._reply = run, [], 0
        self._names.read(run.folder)
        self.prompt.clear()
        self.problem.setText("")
        self._show()

    @Slot()
    def refresh(self) -> None:
        """Update the buttons: the run may have saved its first checkpoint."""
        self._show_state()

    @property
    def busy(self) -> bool:
        """Whether the KL is being measured, or the tokenizer is still being read."""
        return self._job.busy or self._names.busy

    @property
    def shown(self) -> PositionKl | None:
        """The measurement of the selected checkpoint, or None."""
        return self.measured[self.slider.value()] if self.slider.value() < len(self.measured) else None

    def _show(self) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(0, len(self.measured) - 1))
        shown = self.shown
        others = [self._series_of(each) for each in self.measured if each is not shown]
        series = [*others, self._series_of(shown)] if shown is not None else others
        self.plot.show_spec(
            PlotSpec(
                series=series,
                bands=[Band(low=1, high=SHALLOW, is_vertical=True, alpha=0.7)] if series else (),
                x_title="Position in the reply (tokens)",
                y_title="KL to the parent (nats)",
                x_range=(1.0, max([2.0, *(float(len(each.x)) for each in series)])),
                at=series[-1].x if series else None,
                words=self._describe,
                whole_words=_LEGEND if len(series) > 1 else "",
                message="" if series else "A line for each checkpoint: the mean KL at each position.",
            )
        )
        self.words.setText(about_depth(shown) if shown is not None else "")
        self.words.setVisible(shown is not None)
        self.where.setText(f"Step {shown.step:,}" if shown is not None else "")
        self.slider.setEnabled(len(self.measured) > 1)
        self._show_state()
        self._show_reply()

    def _show_state(self) -> None:
        busy, shown = self._job.busy, self.shown
        has_any = bool(self._run is not None and self._run.id and self._runs.checkpoint_steps(self._run.id))
        set_enabled(self.measure, "" if has_any else _NO_CHECKPOINT)
        self.measure.setVisible(not busy)
        self.cancel.setVisible(busy)
        self.problem.setVisible(bool(self.problem.text()))
        if not busy:
            of = "" if shown is None else f"{format_count(len(shown.replies), 'reply', 'replies')}, "
            total = "" if shown is None else f"{shown.per_reply:.2f} nats per reply"
            self.state.setText(f"{of}{total}" if has_any or shown is not None else _NO_CHECKPOINT)

    @Slot()
    def _show_reply(self) -> None:
        shown = self.shown
        if shown is None or not shown.replies:
            self.asked.setText("")
            self.tokens.show_reply((), (), 1.0, ())
            self.token.setText("")
            self.scale.setVisible(False)
            return
        self._reply %= len(shown.replies)
        reply = shown.replies[self._reply]
        every = np.array([value for each in self.measured for one in each.replies for value in one.kl])
        limit = max(float(np.quantile(every, 0.99)), 0.1)
        self.scale.setVisible(True)
        self.scale.show_limit(limit)
        self.asked.setText(f"Reply {self._reply + 1} of {len(shown.replies)} to “{reply.prompt}”")
        tips = [
            f"KL {kl:.3f} nats   {format_signed(ratio)}: {as_odds(ratio)}"
            for kl, ratio in zip(reply.kl, reply.log_ratio, strict=True)
        ]
        self.tokens.show_reply(self._names.pieces(reply.ids), reply.kl, limit, tips)
        self._show_token()

    def _show_token(self) -> None:
        at = self.tokens.current
        self.token.setText(self.tokens.describe(at) if at >= 0 else "Point at a token for its KL.")

    def _turn(self, by: int) -> None:
        self._reply += by
        self._show_reply()

    def _series_of(self, each: PositionKl) -> Series:
        kl, _ = each.by_position
        is_shown = each is self.shown
        return Series(
            x=np.arange(1.0, len(kl) + 1),
            y=np.array(kl),
            name=f"Step {each.step:,}",
            role="accent" if is_shown else "info",
            width=2.2 if is_shown else 1.2,
            alpha=1.0 if is_shown else 0.35,
            in_legend=False,
        )

    def _describe(self, i: int) -> str:
        shown = self.shown
        assert shown is not None
        kl, n = shown.by_position
        return f"token {i + 1}: {kl[i]:.3f} nats, of {format_count(n[i], 'reply', 'replies')}"

    # -- Measuring --------------------------------------------------------------------------------------

    @Slot()
    def _on_measure(self) -> None:
        if self._run is None or self._run.folder is None or not self.measure.isEnabled():
            return
        self.measured = []
        self.problem.setText("")
        make = partial(
            _measure, self._library, self._run.folder, self._device.name, self.prompt.text(), self.whose.value
        )
        self._job.submit(Job("Measure KL by position", make, BACKGROUND))
        self.state.setText("Waiting for the worker")
        self._show()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.state.setText(event.name)
            elif isinstance(event, PositionKl):
                self.measured.append(event)
                with QSignalBlocker(self.slider):  # select the latest measurement
                    self.slider.setRange(0, len(self.measured) - 1)
                    self.slider.setValue(len(self.measured) - 1)
                self._show()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        self.problem.setText("" if failure is None else failure.sentence)
        self._show()


def _measure(library: Library, folder: Path, device: str, prompt: str, whose: str) -> Iterator[Event]:
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.training.stages.position_kl import measure_position_kl

    yield from measure_position_kl(RunFolder.open(folder), library, device, prompt=prompt, whose=whose)
