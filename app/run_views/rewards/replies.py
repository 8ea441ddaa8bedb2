"""A browser of a run's rollouts: the replies of a step by prompt, and one reply token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtWidgets import QSizePolicy, QSlider, QWidget

from terrarium.app.kit.basics import EmptyState, button, column, frame, group, label, row, separator, set_ends, splitter
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.rewards.reply_list import Line, ReplyList, about_reply, signed
from terrarium.app.run_views.rewards.reply_tokens import DivergingScale, ReplyTokens, as_odds
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.run_views.token_names import TokenNames
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.alignment.rollout_log import KeptGroup, KeptReply, KeptStep, RolloutLog
from terrarium.models.events import Event
from terrarium.models.number_words import format_count
from terrarium.models.tiny_world.wishes import explain

if TYPE_CHECKING:
    from terrarium.models.chat.own_template import Message

_NOTHING = "The replies of the first step appear here as soon as it is done."
_COLOURS = {
    "log_ratio": "Against the parent",
    "advantage": "Advantage",
    "values": "Value",
    "rewards": "Reward model",
}
_ABOUT = {
    "log_ratio": "How much likelier the model makes each token than its parent would: log π/ref, in nats.",
    "advantage": "How much more the reply earned than the others to its prompt. All its tokens are weighed alike.",
    "token_advantages": "How much more the reply earned from this token on than the critic had foreseen, in standard "
    "deviations of the step.",
    "values": "What the critic, at each token, expected the reply to earn from there on.",
    "rewards": "What the reward model says of the reply as if it ended after that token, in standard deviations of its "
    "scores of the parent's replies: where it changes its mind.",
}


class RepliesView(QWidget):
    """The replies of a run, step by step. The view follows the newest step while that step is shown."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._notices = session.notices
        self._run: ShownRun | None = None
        self._log: RolloutLog | None = None
        self._steps: tuple[int, ...] = ()
        self._step = -1
        self.kept: KeptStep | None = None
        self._names = TokenNames(self)
        self._names.changed.connect(self._on_names)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_read)
        self._task.failed.connect(self._on_failed)
        self._rewards: dict[tuple[int, ...], tuple[float, ...]] = {}  # of the step's replies, by token ids
        self._reader, self._device = LatestJob(session.worker, self), session.device
        self._reading: tuple[int, ...] = ()
        self._reader.events_received.connect(self._on_rewards)
        self._reader.failed.connect(self._on_failed)
        session.closing.connect(self._reader.cancel)
        self.slider = named(QSlider(Qt.Orientation.Horizontal), "Step", "The step whose replies are shown")
        self.slider.setPageStep(5)
        self.back = button("", theme, lambda: self._move(-1), icon="skip-back", role="quiet", tip="Earlier step")
        self.forward = button("", theme, lambda: self._move(1), icon="skip-forward", role="quiet", tip="Later step")
        self.where = label("", "subheading")
        self.about_step = ElidedLabel()
        self.about_step.setProperty("role", "caption")
        self.list = ReplyList(theme, self.text_of)
        self.prompt = label("", "muted", wrap=True, selectable=True)
        self.facts, self.verdict = label("", "small", wrap=True), label("", "small", wrap=True)
        self.colours = Segments("Colour the tokens by", _COLOURS)
        self.scale = DivergingScale(theme)
        self.about_colours = label("", "caption", wrap=True)
        self.tokens = ReplyTokens(theme)
        self.token = label("", "caption", wrap=True)
        self._empty = EmptyState("No replies yet", _NOTHING)
        self._pages = Pages({"empty": lambda: self._empty, "replies": self._make_page})
        self.setLayout(column(self._pages))
        self.slider.valueChanged.connect(lambda i: self.go_to(i))
        self.list.chosen.connect(self._show_reply)
        self.colours.changed.connect(lambda _: self._show_reply(self.list.line))
        self.tokens.hovered.connect(lambda _: self._show_token())
        self.tokens.picked.connect(lambda _: self._show_token())

    def _make_page(self) -> QWidget:
        self.slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        bar = row(
            self.back,
            self.slider,
            self.forward,
            self.where,
            self.about_step,
            grows={self.slider: 1, self.about_step: 2},
        )
        detail = frame(
            "card",
            self.prompt,
            self.facts,
            self.verdict,
            separator(),
            row(self.colours, None, self.scale),
            self.about_colours,
            self.tokens,
            self.token,
            margin=SPACE + SPACE // 2,
            grows=self.tokens,
        )
        body = splitter(frame("card", self.list, margin=SPACE + SPACE // 2, grows=self.list), detail, sizes=[560, 440])
        return group(bar, body, grows=body)

    # -- Content ----------------------------------------------------------------------------------------

    def show_run(self, run: ShownRun) -> None:
        """Show a run at its newest step."""
        self._task.cancel()
        self._reader.drop()
        self._run = run
        self._rewards, self._reading = {}, ()
        self._log = RolloutLog(run.folder) if run.folder is not None else None
        self._names.read(run.folder)
        self._steps, self._step, self.kept = (), -1, None
        self.list.show_step(None)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Read which steps are new; if the newest step was shown, show the newest again."""
        if self._log is None:
            self._show_empty()
            return
        was_last = not self._steps or self._step == self._steps[-1]
        if self._log.find_new():
            self._steps = self._log.steps
            with QSignalBlocker(self.slider):
                self.slider.setRange(0, max(0, len(self._steps) - 1))
            if self._steps:
                self.go_to(len(self._steps) - 1 if was_last or self._step not in self._steps else self._index)
        self._show_empty()

    def _show_empty(self) -> None:
        why = self._run.history.empty_reason if self._run is not None else ""
        spec = self._run.spec if self._run is not None else None
        words = _NOTHING
        if self._run is not None and spec is not None and len(self._run.history.train):
            reason = spec.align.kind.words.writes_none if spec.align is not None else ""
            words = reason or "This run kept none: it is older than this view."
        self._empty.set_words("No replies yet", why or words)
        self._pages.show_page("replies" if self._steps else "empty")

    @property
    def busy(self) -> bool:
        """Whether a step, the tokenizer or rewards of tokens are still being read."""
        return self._task.busy or self._names.busy or self._reader.busy

    @property
    def step(self) -> int:
        """The step that is shown; -1 if there is none."""
        return self._step

    @property
    def _index(self) -> int:
        return self._steps.index(self._step) if self._step in self._steps else 0

    def go_to(self, index: int) -> None:
        """Show the recorded step at an index, clamped to the valid range."""
        log, steps = self._log, self._steps
        if log is None or not steps:
            return
        index = min(max(index, 0), len(steps) - 1)
        self._step = step = steps[index]
        with QSignalBlocker(self.slider):
            self.slider.setValue(index)
        set_ends(self.back, self.forward, index, len(steps))
        self.where.setText(f"Step {step:,}")
        if self.kept is None or self.kept.step != step:
            self._task.ask(lambda: log.read(step))

    def go_to_step(self, step: int) -> None:
        """Show the recorded step nearest to `step`."""
        if self._steps:
            self.go_to(min(range(len(self._steps)), key=lambda i: abs(self._steps[i] - step)))

    def _move(self, by: int) -> None:
        self.go_to(self._index + by)

    @Slot(object)
    def _on_read(self, kept: KeptStep) -> None:
        if kept.step != self._step:
            return
        self.kept, self._rewards = kept, {}
        marks = [reply.gold for group in kept.groups for reply in group.replies]
        words = f"{format_count(len(marks), 'reply', 'replies')} to {format_count(len(kept.groups), 'prompt')}"
        if len(kept.groups) < kept.n_prompts:
            words += f" (of {kept.n_prompts:,}; those to the others are not kept)"
        if any(mark is not None for mark in marks):
            words += f", {marks.count(True):,} as meant"
        self.about_step.setText(words)
        self.list.show_step(kept)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._notices.refuse(failure.sentence)

    @Slot()
    def _on_names(self) -> None:
        self.list.viewport().update()
        self._show_reply(self.list.line)

    # -- One reply --------------------------------------------------------------------------------------

    def text_of(self, reply: KeptReply) -> str:
        """Decode a reply, without its end token."""
        ids = reply.ids[:-1] if reply.ended else reply.ids
        return b"".join(piece.bytes for piece in self._names.pieces(ids)).decode("utf-8", "replace").strip()

    @Slot(object)
    def _show_reply(self, line: Line | None) -> None:
        reply = line.reply if line is not None else None
        if line is None or reply is None:
            self.prompt.setText("")
            self.facts.setText("")
            self.verdict.setText("")
            self.tokens.show_reply((), (), 1.0, ())
            return
        self.prompt.setText(f"“{line.group.prompt}”")
        self.facts.setText(about_reply(reply))
        self.verdict.setText(explain(line.group.row, self.text_of(reply)))
        has_critic, by = bool(reply.values), self.colours.value
        self.colours.buttons.button(2).setVisible(has_critic)
        self.colours.buttons.button(3).setVisible(self._has_reward_model)
        if (by == "values" and not has_critic) or (by == "rewards" and not self._has_reward_model):
            by = "log_ratio"
        self.colours.choose(by)
        if by == "advantage" and reply.token_advantages:
            by = "token_advantages"
        rewards = self._rewards.get(reply.ids, ())
        if by == "rewards":
            values = rewards or (0.0,) * len(reply.ids)
            limit = max(map(abs, values), default=0.0) or 1.0
            if not rewards:
                self._read_rewards(line.group, reply)
        else:
            values, limit = _values(reply, by), self._limit(by)
        weighed, foreseen = _values(reply, "token_advantages"), _values(reply, "values")
        tips = [
            f"{signed(ratio)} nats: {as_odds(ratio)}   advantage {signed(weight)}"
            + (f"   value {signed(value)}" if has_critic else "")
            + (f"   reward model {signed(rewards[i])}" if rewards else "")
            for i, (ratio, weight, value) in enumerate(zip(reply.log_ratio, weighed, foreseen, strict=True))
        ]
        self.scale.show_limit(limit)
        self.about_colours.setText("The reward model is reading…" if by == "rewards" and not rewards else _ABOUT[by])
        self.tokens.show_reply(self._names.pieces(reply.ids), values, limit, tips)
        self._show_token()

    @property
    def _has_reward_model(self) -> bool:
        """Whether the run's replies are scored by a reward model, not by a programmed judge."""
        spec = self._run.spec if self._run is not None else None
        return spec is not None and spec.align is not None and bool(spec.align.reward_model)

    def _read_rewards(self, group: KeptGroup, reply: KeptReply) -> None:
        """Compute the reward model's score after each token of a reply, on the worker."""
        folder = self._run.folder if self._run is not None else None
        if folder is None or (self._reading == reply.ids and self._reader.busy):
            return
        self._reading = reply.ids
        make = partial(_read_rewards, folder, group.row["messages"], reply.ids, self._device.name)
        self._reader.submit(Job("Read the reward", make, BACKGROUND))

    @Slot(object, object)
    def _on_rewards(self, job: Job, events: tuple[Event, ...]) -> None:
        from terrarium.models.training.stages.reward_reading import RewardRead

        for event in events:
            if isinstance(event, RewardRead) and not job.cancelled:
                self._rewards[self._reading] = event.scores
                self._show_reply(self.list.line)

    def _limit(self, by: str) -> float:
        """Return the value with the strongest colour: one for all replies of the step, so that they can be compared.

        It is the largest absolute advantage of the replies, or the 99th percentile of the absolute values of tokens.
        """
        replies = [reply for group in (self.kept.groups if self.kept is not None else ()) for reply in group.replies]
        if by == "advantage":
            return max((abs(reply.advantage) for reply in replies), default=0.0) or 1.0
        every = np.abs(np.array([value for reply in replies for value in _values(reply, by)]))
        every = every[np.isfinite(every)]
        return max(float(np.quantile(every, 0.99)) if len(every) else 0.0, 0.1)

    def _show_token(self) -> None:
        at = self.tokens.current
        self.token.setText(self.tokens.describe(at) if at >= 0 else "Point at a token for its numbers.")


def _read_rewards(folder: Path, messages: Sequence[Message], ids: Sequence[int], device: str) -> Iterator[Event]:
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.training.stages.reward_reading import read_rewards

    yield from read_rewards(RunFolder.open(folder), messages, ids, device)


def _values(reply: KeptReply, by: str) -> tuple[float, ...]:
    """Return a value for each token; without values per token, the reply's advantage (or 0 for the critic's values)."""
    own: tuple[float, ...] = () if by == "advantage" else getattr(reply, by)
    return own or (reply.advantage if by != "values" else 0.0,) * len(reply.ids)
