"""The chat session: the open model, loaded from a run or shared with the training loop, and its replies."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.chat_model import LIVE, ChatModel, describe_model
from terrarium.app.session.device import Device
from terrarium.app.session.models_in_memory import LoadedModel, ModelsInMemory
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.runs import Runs
from terrarium.app.session.second_models import (
    DRAFT_MODEL,
    REWARD_MODEL,
    BestOf,
    Drafting,
    loaded_draft,
    loaded_reward_model,
)
from terrarium.app.session.training import Training
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.events import Event, Finished, Progress, RunStarted
from terrarium.models.inference.reply import ReplyRequest, ReplyStarted, reply_events
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.chat.template_config import ChatTemplateConfig
    from terrarium.models.runs.run_folder import RunFolder

    _Asked: TypeAlias = tuple[Any, Tokenizer, int, ChatTemplateConfig, ReplyRequest, Any]
    """The first arguments of `reply_events`: model, tokenizer, training step, template, request, summaries."""

CHAT, OPEN = "Chat", "open"
"""The user and the key under which ModelsInMemory keeps the open model."""
_LAST = "open model"
_LOST = "The model of this chat was deleted: choose another model to continue. The conversation is kept."


@dataclass(frozen=True, kw_only=True)
class ModelOpened(Event):
    """A model has been opened. loaded: the model itself; None for the live model in training."""

    model: ChatModel
    tokenizer: Tokenizer
    loaded: LoadedModel | None


def _ends_run(event: Event, run_id: str) -> bool:
    """Return whether this run has ended training, or another run starts."""
    match event:
        case RunStarted():
            return event.run_id != run_id
        case Finished():
            return event.run_id == run_id
    return False


class ChatSession(QObject):
    """Opens a model and generates its replies, one at a time; problems are reported as notices.

    If the model in training is open, the last checkpoint of its run replaces it when training ends.

    Signals:
        changed(): `model` or `state` has changed.
        model_changed(): a model was opened or closed; not emitted when the live model has only trained further.
        events_received(events): ReplyStarted, then TokenMade …, then ReplyFinished.
        reply_requested(): a reply has been queued; other jobs of the worker should yield to it.
        reply_ended(): the reply is over: complete, stopped, or failed.

    state: none, loading, ready, waiting (a reply is queued behind a training step), replying.
    """

    changed = Signal()
    model_changed = Signal()
    events_received = Signal(object)
    reply_requested = Signal()
    reply_ended = Signal()

    def __init__(
        self,
        worker: Worker,
        library: Library,
        runs: Runs,
        training: Training,
        models: ModelsInMemory,
        device: Device,
        remembered: Remembered,
        notices: Notices,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.started.connect(self._on_started)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(notices.fail)
        self._library, self._runs, self._training, self._models = library, runs, training, models
        self._device, self._remembered, self._notices = device, remembered, notices
        self._requested: dict[str, Any] = {}  # the checkpoint being opened, as stored in the settings
        self._summaries: Any = None  # the caches are of models.inference, which is imported on the worker thread
        self._prefix_cache: Any = None
        self._draft_cache: Any = None
        self.model: ChatModel | None = None
        self.tokenizer: Tokenizer | None = None
        """The open model's tokenizer, which any thread may use; None while no model is open."""
        self.state = "none"
        self.opening = ""
        """The name of the model being opened, or opened last."""
        self.loaded_share = 0.0
        """The share of the model's files read so far while it is being opened (0 to 1)."""
        self.reply_failed = False
        """Whether the last reply ended with an error."""
        self.is_requested = False
        """Whether the model being opened was requested by name, so that the view for its kind must be shown."""
        self._lost = ""  # the run of the model that was open, if that run was deleted
        runs.deleted.connect(self._on_runs_deleted)
        runs.changed.connect(self._on_runs_changed)
        models.freed.connect(self._on_freed)

    def open(self, which: str, step: int | None = None, weights: str = KINDS[0]) -> bool:
        """Open a run's checkpoint of `step` (None: its latest) with its matrices in the format `weights`
        (weight_kinds.KINDS), or the model in training (LIVE); whether it started."""
        if which == LIVE:
            self._open_live()
            return True
        return self._notices.attempt(lambda: self._open_run(which, step, weights))

    def request(self, which: str, step: int | None = None) -> bool:
        """Like `open`, for a model requested by name: the chat tab then shows the view for its kind."""
        self.is_requested = True
        self.is_requested = self.open(which, step)
        return self.is_requested

    def take_request(self) -> bool:
        """Return whether the open model is ready and was requested by name, and clear the request."""
        if not self.is_requested or self.state != "ready" or self.model is None:
            return False
        self.is_requested = False
        return True

    def open_last(self) -> None:
        """Open the model that was open when the program ended; a notice says if it is gone."""
        last = self._remembered.get(_LAST, {})
        if not last:
            return
        run_id, step, weights = last.get("run"), last.get("step"), last.get("weights")
        try:
            self._open_run(
                str(run_id), step if isinstance(step, int) else None, weights if weights in KINDS else KINDS[0]
            )
        except ValueError:
            self._remembered.set(_LAST, {})
            name = f"“{last.get('name', run_id)}”"
            self._notices.say(f"{name}, the model that was open last, is gone: choose another one above the chat.")

    def _open_run(self, run_id: str, step: int | None, weights: str) -> None:
        from terrarium.models.runs.run_folder import RunFolder

        folder, device = self._runs.find(run_id).folder, self._device.name
        run = RunFolder.open(folder)
        self._requested = {"run": run_id, "name": run.name, "step": step, "weights": weights}

        def make() -> Iterator[Event]:
            from terrarium.models.device import choose_device
            from terrarium.models.interop.loading import load_model_events
            from terrarium.models.library.run_record import checkpoint_step

            choice = choose_device(device)
            # Looked up when the job runs, as there may be a newer checkpoint by then.
            checkpoint = run.latest_checkpoint() if step is None else run.checkpoint_path(step)
            model, tokenizer = yield from load_model_events(checkpoint or folder, choice.device, weights=weights)
            if tokenizer is None:
                raise ValueError(f"{run.name} has no tokenizer, so text cannot be turned into tokens for it.")
            at = checkpoint_step(checkpoint) if checkpoint is not None else 0
            about = self._describe(run.id, run, model, tokenizer, at, choice.label)
            loaded = LoadedModel(run.name, model, tokenizer, at)
            yield ModelOpened(model=dataclasses.replace(about, weights=weights), tokenizer=tokenizer, loaded=loaded)

        self._open(run.name, make)

    def _open_live(self) -> None:
        def make() -> Iterator[Event]:
            trainer = self._training.live_trainer()
            if trainer is None:
                raise ValueError("No run is training now: choose a saved run instead.")
            device = str(next(trainer.model.parameters()).device.type).upper()
            about = self._describe(LIVE, trainer.run, trainer.model, trainer.tokenizer, trainer.step, device)
            yield ModelOpened(model=about, tokenizer=trainer.tokenizer, loaded=None)

        self._open("the model in training", make)

    def open_model(self) -> tuple[Any, Tokenizer, int]:
        """On the worker thread: return the open model, its tokenizer, and its training step.

        Raises:
            ValueError: if the model has been closed.
        """
        loaded = self._models.get(CHAT, OPEN)
        if loaded is not None:
            return loaded.model, loaded.tokenizer, loaded.step
        model = self.model
        trainer = self._training.live_trainer(model.run_id) if model is not None and model.which == LIVE else None
        if trainer is None:
            raise ValueError("The model is no longer open: choose one above the chat.")
        return trainer.model, trainer.tokenizer, trainer.step

    def set_model(self, opened: ModelOpened) -> None:
        """Make this the open model."""
        if opened.loaded is None:
            self._models.release(CHAT)
        else:
            self._models.put(CHAT, OPEN, opened.loaded)
        self.model, self.tokenizer = opened.model, opened.tokenizer
        is_live = opened.loaded is None
        live = {"run": opened.model.run_id, "name": opened.model.name, "step": None, "weights": KINDS[0]}
        self._remembered.set(_LAST, live if is_live else self._requested)
        self.model_changed.emit()

    def _forget_model(self) -> None:
        self._models.release(CHAT)
        self._models.release(REWARD_MODEL)
        self.release_draft()
        self.model = self.tokenizer = self._summaries = self._prefix_cache = None
        self._remembered.set(_LAST, {})

    def close_model(self) -> None:
        """Close the model, for instance because its run was deleted."""
        self._drop_job()
        self._forget_model()
        self.state, self.is_requested = "none", False
        self.changed.emit()
        self.model_changed.emit()

    def send(
        self,
        messages: Sequence[Mapping[str, str]] | str,
        sampling: SamplingConfig,
        prefix_ids: Sequence[int] = (),
        prompting: PromptSettings | None = None,
        best_of: BestOf | None = None,
        drafting: Drafting | None = None,
    ) -> bool:
        """Request a reply to messages [{"role", "content"}], or the continuation of a text; return whether it started.

        prefix_ids: tokens that the reply begins with. prompting: how messages become a prompt. best_of: best-of-n
        sampling, without a prefix. drafting: speculative decoding of a single reply; ignored with best_of.
        """
        if self.model is None:
            return self._notices.refuse("No model is open: choose a run to chat with.")
        if self._job.busy:
            what = "Wait until the model has loaded." if self.state == "loading" else "Stop the other reply first."
            return self._notices.refuse(f"Cannot reply now. {what}")
        template_config = self.model.template_config
        request = ReplyRequest(
            messages=messages,
            sampling=sampling,
            prefix_ids=tuple(prefix_ids),
            prompting=prompting or PromptSettings(),
        )

        def make() -> Iterator[Event]:
            asked = (*self.open_model(), template_config, request, self._summaries)
            if best_of is not None:
                return self._best_reply(asked, best_of)
            if drafting is not None:
                return self._drafted_reply(asked, drafting)
            return reply_events(*asked, self._prefix_cache)

        self.state, self.reply_failed = "waiting", False
        self._job.submit(Job("Reply", make, INTERACTIVE))
        self.reply_requested.emit()
        self.changed.emit()
        return True

    def _best_reply(self, asked: _Asked, best_of: BestOf) -> Iterator[Event]:
        from terrarium.models.alignment.best_replies import best_reply_events

        info, device = self._runs.find(best_of.run_id), self._device.name
        judge = yield from loaded_reward_model(self._library, self._models, info, *asked[:2], device)
        yield from best_reply_events(*asked, judge, best_of.n)

    def _drafted_reply(self, asked: _Asked, drafting: Drafting) -> Iterator[Event]:
        from terrarium.models.inference.prefill import PrefixCache
        from terrarium.models.inference.speculative import Draft

        info, device = self._runs.find(drafting.run_id), self._device.name
        loaded = yield from loaded_draft(self._library, self._models, info, *asked[:2], device)
        self._draft_cache = self._draft_cache or PrefixCache()
        draft = Draft(model=loaded.model, n_tokens=drafting.n_tokens, prefix_cache=self._draft_cache)
        yield from reply_events(*asked, self._prefix_cache, draft)

    def release_draft(self) -> None:
        """Release the draft model; replies are then generated without speculative decoding."""
        self._models.release(DRAFT_MODEL)
        self._draft_cache = None

    def release_reward_model(self) -> None:
        """Release the reward model; replies are then no longer the best of several."""
        self._models.release(REWARD_MODEL)

    def stop(self) -> None:
        """Stop the reply immediately: keep the text so far, and drop the token being computed."""
        if self.state in ("waiting", "replying"):
            self._job.drop()
            self.state = "ready"
            self.changed.emit()
            self.reply_ended.emit()

    def cancel_opening(self) -> None:
        """Cancel opening a model; no model is open then."""
        if self.state == "loading":
            self.close_model()

    def _drop_job(self) -> None:
        """Drop the current job; emits `reply_ended` if it was a reply."""
        was_reply = self.state in ("waiting", "replying")
        self._job.drop()
        if was_reply:
            self.reply_ended.emit()

    def _open(self, name: str, make: Callable[[], Iterator[Event]]) -> None:
        self._drop_job()
        self.state, self.opening, self.loaded_share = "loading", name, 0.0
        self._job.submit(Job("Open model", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def _on_started(self) -> None:
        if self.state == "waiting":
            self.state = "replying"
            self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ModelOpened):
                self.set_model(event)
            elif isinstance(event, Progress) and event.total and self.state == "loading":
                self.loaded_share = event.done / event.total
                self.changed.emit()
            elif isinstance(event, ReplyStarted) and self.model is not None and self.model.step != event.step:
                self.model = dataclasses.replace(self.model, step=event.step)
                self.changed.emit()
        # ModelOpened is not forwarded: only ModelsInMemory may hold a reference to a model.
        self.events_received.emit(tuple(event for event in events if not isinstance(event, ModelOpened)))

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        was_reply = self.state in ("waiting", "replying")
        if failure is not None and self.state == "loading":
            self.is_requested = False
            self._forget_model()
            self.model_changed.emit()
        self.state = "ready" if self.model is not None else "none"
        self.changed.emit()
        if was_reply:
            self.reply_failed = failure is not None
            self.reply_ended.emit()

    @Slot(object)
    def on_training_events(self, events: tuple[Event, ...]) -> None:
        """Replace the live model when its run ends: a recipe may train several runs one after the other."""
        model = self.model
        if model is not None and any(_ends_run(event, model.run_id) for event in events):
            self._leave_live()

    @Slot()
    def on_training_ended(self) -> None:
        """Replace the live model when training ends."""
        self._leave_live()

    def _leave_live(self) -> None:
        """Replace a live model with the last checkpoint of its run, or close it if there is no checkpoint.

        Does nothing while another model is being opened, since that one replaces it.
        """
        from terrarium.models.runs.run_folder import RunFolder

        model = self.model
        if model is None or model.which != LIVE or self.state == "loading":
            return
        with contextlib.suppress(ValueError):  # the run is gone, or was never saved
            if RunFolder.open(self._runs.find(model.run_id).folder).latest_checkpoint() is not None:
                self.open(model.run_id)
                return
        self.close_model()

    @Slot(object)
    def _on_runs_deleted(self, run_ids: tuple[str, ...]) -> None:
        model = self.model
        if model is not None and model.run_id in run_ids:
            self.close_model()
            self._lost = model.run_id
            self._notices.say(_LOST)

    @Slot()
    def _on_runs_changed(self) -> None:
        """Reopen the model whose run was deleted and has been restored."""
        lost = self._lost
        if lost and self._runs.has(lost):
            self._lost = ""
            self._notices.outdated.emit(_LOST)
            if self.model is None and self.state == "none":
                self.open(lost)

    @Slot()
    def _on_freed(self) -> None:
        model = self.model
        if model is not None:
            self.close_model()
            self._notices.say(f"“{model.name}” is no longer in memory: open it above the chat to continue.")

    def _describe(self, which: str, run: RunFolder, model: Any, tokenizer: Any, step: int, device: str) -> ChatModel:
        """On the worker thread: clear the caches and describe the model."""
        from terrarium.models.inference.prefill import PrefixCache
        from terrarium.models.inference.summarising import SummaryCache

        self._summaries, self._prefix_cache = SummaryCache(), PrefixCache()  # valid for one model only
        return describe_model(self._library, which, run, model, tokenizer, step, device)
