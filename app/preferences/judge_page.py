"""The page “Judge replies”: two replies to a prompt, judged blind with one key, and the results of the judgements."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QToolButton, QWidget

from terrarium.app.kit.basics import button, column, frame, group, label, row, scrolling
from terrarium.app.kit.forms.editors import FloatBox
from terrarium.app.kit.inputs import choice, named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.preferences.candidate_picker import CandidatePicker, runs_to_pick
from terrarium.app.preferences.pair_sampler import JUDGE, REPEAT_EVERY, PairRequest, PairSampler, PromptSource
from terrarium.app.preferences.pair_view import SIDES, PairView
from terrarium.app.preferences.results import Results
from terrarium.app.preferences.simulated import SimulatedAnnotator
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.session.undo import Step
from terrarium.app.worker.failures import Failure
from terrarium.models.preferences.store import PERSON, Pair, Reply
from terrarium.models.settings.tasks import PREFERENCE_TASKS
from terrarium.models.tiny_world.wishes import HAPPY, WISHES
from terrarium.models.tiny_world.world import seed_in

ROUND = 25
"""The number of choices in a row before a break is suggested."""
_LEAST_GAP = 5
"""The minimum number of pairs between a pair and its repetition."""
_MAX_SECONDS = 300.0
_WIDE, _SIDE = 900, 348
"""Pixels at the default text size: the page width from which the results are beside the pair, and their width there."""
_UNBOUNDED = 16_777_215  # QWIDGETSIZE_MAX
_SAME = "The same model"
_OWN = "My own prompt"
_ABOUT = (
    "Two replies, blind: the sides are random, and you see who wrote them after your choice. A reward model and DPO "
    "learn from these pairs; between two models, they give the win rate. Every choice is saved at once, in the "
    "library's folder “preferences”. They say what you prefer on these prompts: not what is right, nor what others "
    "would choose."
)
_IDLE = (
    "Which reply is better?",
    "Two replies to one prompt, one key for each choice. The sides are random, and you see who wrote them afterwards. "
    f"After a round of {ROUND}, you are reminded to rest.",
)


class JudgePage(QWidget):
    """A page of the chat tab.

    Args:
        system: returns the system prompt.
    """

    def __init__(
        self, session: Session, theme: ThemeProvider, system: Callable[[], str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._theme, self._system = session, theme, system
        self._steps: list[Step] = []
        self._n_chosen, self._shown_at = 0, 0.0
        self._rng = random.Random()
        self.sampler = PairSampler(session, self)
        self.departure = session.models.release_when_left(JUDGE, self, lambda: self.sampler.busy or self.simulated.busy)
        self.first = CandidatePicker(session.runs, "Which run writes the replies")
        self.second = CandidatePicker(session.runs, "What it is compared with: another run or checkpoint", _SAME)
        self.prompts = choice(
            "Prompts", "What the models reply to: a new prompt for each pair, or one of your own", width=14
        )
        self.own = named(GrowingField(), "Your prompt")
        self.own.setPlaceholderText("Your prompt (Enter: compare replies to it)")
        self.temperature = named(
            FloatBox(0.0, 5.0, 0.1),
            "Temperature",
            "1 draws from the model's own probabilities, which is what a model is aligned on",
        )
        self.temperature.setValue(1.0)
        self.start_button = button(
            "Start judging", theme, self.start, icon="play", role="primary", tip="Draw the first two replies"
        )
        self.pair_view = PairView(theme, self.start_button)
        self.setFocusProxy(self.pair_view)
        self.round = progress_bar(f"Choices of this round, of {ROUND}")
        self.count = ElidedLabel()
        self.count.setProperty("role", "caption")
        self.results = Results(session, theme)
        self.simulated = SimulatedAnnotator(session, theme, lambda: self.first.candidate, self._source)
        self._build()
        self._connect()
        self._offer_prompts()
        self._offer_runs()
        self._choose_first()
        self._show_count()
        self._show_idle()

    def _build(self) -> None:
        self.about = label(_ABOUT, "caption", wrap=True)
        self.about.hide()
        self.help_button = named(QToolButton(), "About: Judge replies")
        self.help_button.setToolTip(f"<p>{_ABOUT}</p>")
        self._theme.set_icon(self.help_button, "question", "muted")
        self.help_button.setCheckable(True)
        self.help_button.toggled.connect(self.about.setVisible)
        parts = list[QWidget]()
        for words, widget, width in (
            ("Replies of", self.first, 280),
            ("against", self.second, 280),
            ("to", self.prompts, 220),
            ("at temperature", self.temperature, 76),
        ):
            widget.setFixedWidth(width)
            parts.append(group(label(words, "muted"), widget, horizontal=True, spacing=SPACE // 2))
        progress = row(self.round, self.count, grows={self.round: 2, self.count: 3})
        card = frame("card", progress, self.pair_view, grows=self.pair_view)
        self.annotator_section = Section("Simulated annotator", self._theme, folded=True)
        self.annotator_section.set_body(self.simulated)
        annotator = frame("card", self.annotator_section, margin=SPACE + SPACE // 2)
        self._side = scrolling(group(self.results, annotator, None))
        self._whole = row(card, self._side, spacing=SPACE + SPACE // 2, grows=card)
        setup = flowing(*parts, self.help_button)
        self.setLayout(column(setup, self.about, self.own, self._whole, grows=self._whole))
        RelayoutOnResize(self, self._arrange)

    def _arrange(self) -> None:
        """Put the results beside the pair if the page is wide enough, else below it."""
        scale, directions = self._theme.text_scale, QBoxLayout.Direction
        is_wide = self.width() >= _WIDE * scale
        self._whole.setDirection(directions.LeftToRight if is_wide else directions.TopToBottom)
        self._side.setMinimumWidth(round(_SIDE * scale) if is_wide else 0)
        self._side.setMaximumWidth(round(_SIDE * scale) if is_wide else _UNBOUNDED)
        body = self._side.widget()
        self._side.setMinimumHeight(0 if is_wide or body is None else body.sizeHint().height())

    def _connect(self) -> None:
        session = self._session
        self.sampler.changed.connect(self._on_pairs)
        self.sampler.failed.connect(self._on_failed)
        self.pair_view.chosen.connect(self._on_chosen)
        self.pair_view.edited.connect(self._on_edited)
        self.pair_view.undo_requested.connect(self._on_undo)
        for signal in (self.first.changed, self.second.changed, self.temperature.valueChanged):
            signal.connect(self._on_setup)
        self.prompts.activated.connect(self._on_prompts)
        self.own.send_pressed.connect(self.start)
        self.results.dataset_made.connect(partial(session.go, ShowPlace("data")))
        session.runs.changed.connect(self._offer_runs)
        session.chat.model_changed.connect(self._choose_first)
        session.datasets.list_changed.connect(self._offer_prompts)
        session.preferences.changed.connect(self._show_count)

    @property
    def busy(self) -> bool:
        """Whether the page waits for a pair that is being drawn, for the annotator or for the results."""
        return (self.sampler.busy and self.pair_view.pair is None) or self.simulated.busy or self.results.busy

    def compare(self, first: Candidate, second: Candidate) -> None:
        """Choose the models whose replies are judged; equal ones stand for two replies of one model."""
        self.sampler.stop()
        self.pair_view.pair = None
        self.first.choose(first)
        self.second.choose(None if second == first else second)
        self._prefer_prompts()
        self._show_idle()

    # -- Setup ---------------------------------------------------------------------------------------------------------

    @Slot()
    def _offer_runs(self) -> None:
        runs = runs_to_pick(self._session.runs)
        self.first.offer(runs)
        self.second.offer(runs)
        if self.pair_view.pair is None:
            self._show_idle()

    @Slot()
    def _choose_first(self) -> None:
        """Choose the open model as the first one, unless a model is already chosen."""
        model = self._session.chat.model
        runs = [run_id for run_id, _ in runs_to_pick(self._session.runs)]
        if self.first.candidate is None and runs:
            chosen = model.run_id if model is not None and model.run_id in runs else runs[0]
            self.first.choose(Candidate(chosen))
            self._prefer_prompts()
            self._show_idle()

    @Slot()
    def _offer_prompts(self) -> None:
        chosen = self.prompts.currentData()
        self.prompts.clear()
        for name, wish in WISHES.items():
            words = f"{'Stories' if wish.is_story else 'Questions'}: {wish.title}"
            self.prompts.addItem("Tiny World's stories" if name == HAPPY else words, ("wish", name))
            self.prompts.setItemData(self.prompts.count() - 1, wish.help, Qt.ItemDataRole.ToolTipRole)
        for info in self._session.datasets.list():
            if info.corpus.task in ("chat", "prompts", *PREFERENCE_TASKS):
                self.prompts.addItem(f"Prompts of “{info.name}”", ("dataset", info.corpus.sha))
        self.prompts.addItem(_OWN, ("own", ""))
        at = next((i for i in range(self.prompts.count()) if self.prompts.itemData(i) == chosen), 0)
        self.prompts.setCurrentIndex(at)
        self._show_own()

    def _prefer_prompts(self) -> None:
        """Choose the user's own prompt if the first model was not trained on a Tiny World."""
        candidate = self.first.candidate
        if candidate is not None and self._world_seed(candidate.run_id) is None:
            self.prompts.setCurrentIndex(self.prompts.count() - 1)
            self._show_own()

    def _world_seed(self, run_id: str) -> int | None:
        """Return the seed of the Tiny World that a run or one of its ancestors was trained on; None for other texts."""
        seen: set[str] = set()
        while run_id and run_id not in seen:
            seen.add(run_id)
            spec = self._session.runs.spec(run_id)
            if spec is None:
                return None
            if spec.data.source == "tiny-world":
                return spec.data.seed
            if (seed := seed_in(spec.data.dataset)) is not None:
                return seed
            info = self._session.runs.look_up(run_id)
            run_id = info.parent[0] if info is not None and info.parent is not None else ""
        return None

    def _source(self) -> PromptSource:
        kind, name = self.prompts.currentData()
        if kind == "own":
            return PromptSource("own", self.own.toPlainText().strip())
        candidate = self.first.candidate
        seed = self._world_seed(candidate.run_id) if candidate is not None else None
        return PromptSource(kind, name, seed or 0)

    @Slot()
    def _on_prompts(self) -> None:
        self._show_own()
        self._on_setup()
        if self.own.isVisible():
            self.own.setFocus()

    def _show_own(self) -> None:
        self.own.setVisible(self.prompts.currentData()[0] == "own")

    @Slot()
    def _on_setup(self) -> None:
        """Restart if pairs were being drawn, since the setup has changed."""
        was_on = self.sampler.request is not None
        self.sampler.stop()
        if was_on:
            self.start()
        else:
            self._show_idle()

    def start(self) -> None:
        """Start drawing pairs, and show the first."""
        first, source = self.first.candidate, self._source()
        if first is None or (source.kind == "own" and not source.name):
            self._show_idle()
            return
        request = PairRequest(
            first=first,
            second=self.second.candidate or first,
            source=source,
            temperature=self.temperature.value(),
            system=self._system(),
            seed=self._rng.randrange(2**31),
        )
        self.pair_view.say("")
        self.pair_view.show_words("Writing replies", self._waiting_words(), can_start=False)
        self.sampler.start(request)
        self.pair_view.setFocus()

    # -- Pairs ---------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_pairs(self) -> None:
        if self.pair_view.pair is None and self.sampler.n_ready:
            self._show_next()

    def _show_next(self) -> None:
        pair = self._repeat() or self.sampler.take()
        if pair is None:
            if self.sampler.request is not None:
                self.pair_view.show_words("Writing replies", self._waiting_words(), can_start=False)
            else:
                self._show_idle()
            return
        self._show_pair(pair)

    def _show_pair(self, pair: Pair) -> None:
        self._shown_at = time.monotonic()
        self.pair_view.show_pair(pair)

    def _repeat(self) -> Pair | None:
        """Return an earlier pair with its sides swapped if a repetition is due, else None."""
        if (self._n_chosen + 1) % REPEAT_EVERY:
            return None
        pairs = [pair for pair in self._session.preferences.pairs if pair.by == PERSON]
        again = {pair.repeats for pair in pairs}
        known = [
            pair
            for pair in pairs[:-_LEAST_GAP]
            if not pair.repeats and pair.id not in again and pair.choice in ("a", "b", "tie") and not _is_edit(pair)
        ]
        return self._rng.choice(known).swapped() if known else None

    @Slot(str)
    def _on_chosen(self, choice: str) -> None:
        pair = self.pair_view.pair
        assert pair is not None
        choice = pair.at(choice) if choice in SIDES else choice
        self._add(pair, [dataclasses.replace(pair, choice=choice, seconds=self._seconds())])

    @Slot(str, str)
    def _on_edited(self, side: str, text: str) -> None:
        """Record that the reply at a side is better than the other one, and its edited version better than both."""
        pair = self.pair_view.pair
        assert pair is not None
        edit = Reply(content=text, edited=True)
        chosen = dataclasses.replace(pair, choice=pair.at(side), seconds=self._seconds())
        beaten = [Pair(prompt=pair.prompt, a=edit, b=reply, choice="a", about=pair.about) for reply in (pair.a, pair.b)]
        self._add(pair, [chosen, *beaten])

    def _seconds(self) -> float:
        return round(min(time.monotonic() - self._shown_at, _MAX_SECONDS), 2)

    def _add(self, shown: Pair, pairs: list[Pair]) -> None:
        """Save a choice, reveal who wrote the replies, and show the next pair."""

        def on_undone() -> None:
            self._n_chosen -= 1
            if self.pair_view.pair is not None and not self.pair_view.pair.repeats:
                self.sampler.put_back(self.pair_view.pair)
            self.pair_view.say("Undone: choose again.")
            self._show_pair(shown)
            self._show_count()

        def on_redone() -> None:
            self._n_chosen += 1
            if self.pair_view.pair is shown:
                self._show_next()
            self._show_count()

        step = self._session.preferences.add(pairs, "choice between two replies", on_undone, on_redone)
        if step is None:
            return
        self._steps.append(step)
        self._n_chosen += 1
        self.pair_view.stop_editing()
        self.pair_view.pair = None
        self._show_next()
        self.pair_view.say(revealed(pairs[0], is_edited=len(pairs) > 1))
        self._show_count()

    @Slot()
    def _on_undo(self) -> None:
        while self._steps:
            step = self._steps.pop()
            if not step.isObsolete() and not step.is_stale():
                self._session.undo.take_back("chat", step)
                return
        self.pair_view.say("There is no choice from this session to undo.")

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.pair_view.show_words("No replies to compare", failure.sentence, can_start=True)

    # -- Messages ------------------------------------------------------------------------------------------------------

    def _waiting_words(self) -> str:
        is_training = self._session.training.active
        return "Waiting for the current training step." if is_training else "The first pair comes in a moment."

    def _show_idle(self) -> None:
        if self.first.candidate is None:
            self.pair_view.show_words(
                "No model yet", "Train or import a chat model: its replies are compared here.", can_start=False
            )
        elif self.prompts.currentData()[0] == "own" and not self.own.toPlainText().strip():
            self.pair_view.show_words("Write a prompt", "Or choose prompts drawn for each pair.", can_start=False)
        else:
            self.pair_view.show_words(*_IDLE, can_start=True)

    @Slot()
    def _show_count(self) -> None:
        n = self._n_chosen % ROUND
        is_full = bool(self._n_chosen) and not n
        show_progress(self.round, ROUND if is_full else n, ROUND)
        total = sum(pair.by == PERSON and not pair.repeats for pair in self._session.preferences.pairs)
        rest = " A good moment for a rest: attention fades." if is_full else ""
        self.count.setText(f"{ROUND if is_full else n} of {ROUND} in this round, {total:,} in the set.{rest}")

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._session.preferences.refresh()
        if not self._session.datasets.is_read:
            self._session.datasets.refresh()
        if self.sampler.request is None and self.pair_view.pair is None:
            self._show_idle()
        self.pair_view.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.pair_view.stop_editing()


def _is_edit(pair: Pair) -> bool:
    return pair.a.edited or pair.b.edited


def revealed(pair: Pair, *, is_edited: bool = False) -> str:
    """Describe the last choice, and who wrote the two replies."""
    left, right = (pair.a, pair.b) if pair.at("left") == "a" else (pair.b, pair.a)
    said = {"tie": "about equal", "bad": "both bad", "skip": "skipped"}.get(pair.choice, pair.chosen_side)
    names = [_writer(reply) for reply in (left, right)]
    who = f"Left was {names[0]}, right {names[1]}."
    if left.contender == right.contender and left.seed is not None and right.seed is not None:
        who = f"Both were {left.contender} (seeds {left.seed:,} and {right.seed:,})."
    edited = ", improved" if is_edited else ""
    again = " It was shown before, with its sides swapped." if pair.repeats else ""
    return f"Last: {said}{edited}. {who}{again}"


def _writer(reply: Reply) -> str:
    seed = f" (seed {reply.seed:,})" if reply.seed is not None else ""
    return f"{reply.contender}{seed}"
