"""The model one talks to, and whatever else is asked of it: the session's layer for the chat."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.chat.settings.weights import WeightsControl
from app.chat.side_by_side.comparison import SideBySide
from app.glass.examiner import Examiner
from app.session.chat import ChatControl
from app.session.chat_model import LIVE, ChatModel
from app.session.trials import Trials
from models.inference.weight_kinds import KINDS
from models.library.library import Library

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.chat.prompting import Prompting
    from models.data.tiny_world.starters import Starter
    from models.settings.sampling_config import SamplingConfig


class Chatting(Trials):
    """Everything of Trials, and a model to talk to.

    Signals (and those of Trials):
        chat_changed(): `chat_model` / `chat_state` are new.
        chat_model_changed(): another model is open, or none.
        chat_events(events): ReplyStarted, TokenMade …, ReplyFinished.
        reply_ended(): the reply is complete, stopped or failed.
    """

    chat_changed = Signal()
    chat_model_changed = Signal()
    chat_events = Signal(object)
    reply_ended = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._chat = chat = ChatControl(self.worker, self._training.live_trainer, library, self)
        self._random = random.Random()
        chat.changed.connect(self.chat_changed)
        chat.model_changed.connect(self.chat_model_changed)
        chat.changed.connect(self.status_changed)
        chat.events_came.connect(self.chat_events)
        chat.reply_ended.connect(self.reply_ended)
        chat.failed.connect(self.notices.fail)

    @property
    def chat_model(self) -> ChatModel | None:
        """The model one talks to, None while there is none."""
        return self._chat.model

    @property
    def chat_tokenizer(self) -> Tokenizer | None:
        """The tokenizer of the model one talks to, None while there is none."""
        return self._chat.tokenizer

    @property
    def chat_state(self) -> str:
        """none, loading, ready, waiting (for a training step), replying."""
        return self._chat.state

    def open_chat_model(self, which: str, step: int | None = None, weights: str = KINDS[0]) -> bool:
        """Talk to a run's checkpoint of `step` (None: its latest), its matrices kept in `weights` (weight_kinds.KINDS),
        or to the model being trained ("live"); whether it began."""
        if which == LIVE:
            return self.notices.attempt(self._chat.open_live)
        return self.notices.attempt(
            lambda: self._chat.open_run(self.find_run(which).folder, self.device.name, step, weights)
        )

    def weights(self, parent: QObject) -> WeightsControl:
        """What measures the open model's kinds of weights, for the panel that shows them."""
        return WeightsControl(self.worker, self.library, lambda: self.device.name, parent)

    def cancel_chat_model(self) -> None:
        """Leave off opening a model."""
        self._chat.cancel_opening()

    def send_chat(
        self,
        messages: Sequence[Mapping[str, str]] | str,
        sampling: SamplingConfig,
        begun: Sequence[int] = (),
        prompting: Prompting | None = None,
    ) -> bool:
        """Ask for a reply to messages [{"role", "content"}], or for a text to be gone on with; whether it began.

        begun: tokens with which the reply begins already. prompting: how the messages become a prompt.
        """
        if self._chat.model is None:
            return self.notices.refuse("No model is open: choose a run to chat with.")
        return self.notices.attempt(lambda: self._chat.send(messages, sampling, begun, prompting))

    @property
    def opening(self) -> str:
        """What the model is called that is being opened, or was last."""
        return self._chat.opening

    @property
    def loaded_share(self) -> float:
        """How much of the model that is being opened has been read."""
        return self._chat.loaded_share

    @property
    def reply_failed(self) -> bool:
        """Whether the last reply ended since something went wrong."""
        return self._chat.reply_failed

    def stop_chat(self) -> None:
        """End the reply; what there is of it stands."""
        self._chat.stop()

    def examiner(self, parent: QObject) -> Examiner:
        """What asks the open model questions, for one of the glass box's panels."""
        examiner = Examiner(self.worker, self._chat.open_model, parent)
        self._chat.reply_asked.connect(examiner.give_way)
        return examiner

    def side_by_side(self, parent: QObject) -> SideBySide:
        """What has several models reply to one prompt, for the page that shows them."""
        return SideBySide(
            self.worker, self.library, lambda id: self.find_run(id).folder, lambda: self.device.name, parent
        )

    @property
    def starter_kinds(self) -> tuple[str, ...]:
        """The kinds of Tiny World questions that the open model can do, all where that is not known; else none."""
        if self._chat.model is None or self._chat.model.source != "tiny-world":
            return ()
        from models.data.tiny_world.starters import STARTER_KINDS

        return self._chat.model.can_do or STARTER_KINDS

    def draw_starter(self, kind: str) -> Starter:
        """A new held-out question or request of `kind` about the open model's world."""
        from models.data.tiny_world.starters import draw_starter

        assert self._chat.model is not None
        return draw_starter(self._chat.model.world_seed, kind, self._random)

    @property
    def world_words(self) -> str:
        """One line on what the open model's world is; '' for models of other texts."""
        from models.data.tiny_world.world import World

        model = self._chat.model
        return World(model.world_seed).summary if model is not None and model.source == "tiny-world" else ""

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Move runs to the trash, and close the chat with one of them."""
        super().delete_runs(run_ids)
        model = self._chat.model
        if model is not None and model.run_id in run_ids and not (self.library.runs / model.run_id).exists():
            self._chat.close_model()
            self.notices.say(
                f"“{model.name}” is what the chat was held with: choose another model there to go on. "
                "What was said is kept."
            )

    @Slot()
    def _on_training_ended(self) -> None:
        model = self._chat.model
        state = self._training.state
        if model is not None and model.which == LIVE and state is not None:
            if state.saved_step is not None:
                self.open_chat_model(model.run_id)
            else:
                self._chat.close_model()
        super()._on_training_ended()
