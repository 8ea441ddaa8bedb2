"""Lets the simulated annotator judge pairs in place of a person; they are labelled as simulated."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled, show_only
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.inputs import named, progress_bar, show_progress
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.preferences.pair_sampler import PromptSource, loaded_chat_model
from terrarium.app.session.candidates import Candidate, candidate_path
from terrarium.app.session.session import Session
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.alignment.annotator import Annotator
from terrarium.models.events import Event
from terrarium.models.number_words import format_count
from terrarium.models.preferences.store import Reply
from terrarium.models.tiny_world.wishes import HAPPY

_ABOUT = (
    "The judge of Tiny World chooses in your place: of two stories, the right, happy and short one. Give it errors "
    "and a bias, and see what a model learns from it. Its pairs are marked, and never counted as yours."
)
_MAX_PAIRS = 5000


class SimulatedAnnotator(QWidget):
    """The settings of the annotator, and a button that lets it judge pairs of replies of a model.

    Args:
        model: returns the model that replies, or None. source: returns where prompts come from.
    """

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        model: Callable[[], Candidate | None],
        source: Callable[[], PromptSource],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._model, self._source = session, model, source
        self._n_asked = 0
        self.form = ConfigForm(Annotator(), theme)
        self.n_pairs = named(IntBox(1, _MAX_PAIRS, 50), "Pairs")
        self.n_pairs.setValue(100)
        self.start_button = button(
            "Let it judge", theme, self.start, icon="robot", tip="Draw pairs of replies, and add them with its choices"
        )
        self.stop_button = button("Stop", theme, self.stop, icon="stop", tip="Keep what it has judged so far")
        self.progress = progress_bar("Progress of the annotator")
        self.status = label("", "caption", wrap=True)
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._show_state)
        self._job.failed.connect(lambda failure: self.status.setText(failure.sentence))
        session.models.freed.connect(self.stop)
        self.setLayout(
            column(
                label(_ABOUT, "caption", wrap=True),
                self.form,
                row(label("Pairs"), self.n_pairs, None, self.start_button, self.stop_button),
                self.progress,
                self.status,
            )
        )
        self._show_state()

    @property
    def busy(self) -> bool:
        """Whether the annotator is judging."""
        return self._job.busy

    def start(self) -> None:
        """Start judging replies to prompts of the chosen wish; to stories if the prompts come from elsewhere."""
        candidate, source, session = self._model(), self._source(), self._session
        if candidate is None:
            self.status.setText("Choose a model first.")
            return
        try:
            folder = session.runs.find(candidate.run_id).folder
        except ValueError as error:
            self.status.setText(str(error))
            return
        wish = source.name if source.kind == "wish" else HAPPY
        annotator, device, n = self.form.config, session.device.name, self.n_pairs.value()
        seed, world_seed = random.randrange(2**31), source.seed

        def make() -> Iterator[Event]:
            from terrarium.models.alignment.simulated_pairs import simulated_pairs
            from terrarium.models.runs.run_folder import RunFolder
            from terrarium.models.tiny_world.wishes import WISHES
            from terrarium.models.tiny_world.world import World

            run = RunFolder.open(folder)
            path = candidate_path(run, candidate)
            loaded = yield from loaded_chat_model(session, run, path, device)
            rng, world = random.Random(seed), World(world_seed)
            rows = [WISHES[wish].draw(world, rng, False) for _ in range(n)]
            made = Reply(content="", run=run.id, model=run.name, step=loaded.step)
            yield from simulated_pairs(loaded.model, loaded.tokenizer, rows, annotator, made, seed=seed)

        self._n_asked = n
        show_progress(self.progress, 0, n)
        self.status.setText("Waiting for the current training step…" if session.training.active else "Writing replies…")
        self._job.submit(Job("Simulated annotator", make, BACKGROUND))
        self._show_state()

    @Slot()
    def stop(self) -> None:
        """Stop after the current token; the pairs judged so far remain."""
        self._job.drop()
        self._show_state()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Any, ...]) -> None:
        from terrarium.models.alignment.simulated_pairs import PairsJudged

        judged = [event for event in events if isinstance(event, PairsJudged)]
        pairs = [pair for event in judged for pair in event.pairs]
        if pairs and not self._session.preferences.add_simulated(pairs):
            self.stop()
        elif judged:
            n = judged[-1].n_prompts
            show_progress(self.progress, n, self._n_asked)
            self.status.setText(f"Replies to {n:,} of {format_count(self._n_asked, 'prompt')} judged")

    @Slot()
    def _show_state(self) -> None:
        busy = self._job.busy
        show_only({self.start_button: not busy, self.stop_button: busy, self.progress: busy})
        for widget in (self.form, self.n_pairs):
            set_enabled(widget, "Pairs are being judged: wait, or stop it." if busy else "")
