"""A model that is played by a test of the chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.models.events import ReplyFinished, TokenMade
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.settings.sampling_config import SamplingConfig

Said = Sequence[Mapping[str, str]] | str

TALKER = ChatModel(
    which="r1",
    run_id="r1",
    name="Quick start",
    step=40,
    mode="talk",
    source="tiny-world",
    world_seed=7,
    context_length=128,
    n_parameters=922_752,
    device="CPU",
)


class Actor:
    """Stands in for the model behind a session: keeps what it was asked, and says what the test wants."""

    def __init__(self, session: Session, monkeypatch: pytest.MonkeyPatch, model: ChatModel = TALKER) -> None:
        self.session = session
        self.asked: list[tuple[Said, SamplingConfig]] = []
        self.begun: tuple[int, ...] = ()
        self.stopped = 0
        monkeypatch.setattr(session.chat, "send", self._send)
        monkeypatch.setattr(session.chat, "stop", self._stop)
        self.play(model)

    def play(self, model: ChatModel) -> None:
        """Stand in for this model from now on."""
        self.session.chat.model = model
        self.session.chat.model_changed.emit()
        self.be("ready")

    def be(self, state: str) -> None:
        """Let the session's chat be in this state."""
        self.session.chat.state = state
        self.session.chat.changed.emit()

    def _send(self, messages: Said, sampling: SamplingConfig, begun: Sequence[int] = (), *_: object) -> bool:
        self.asked.append((messages, sampling))
        self.begun = tuple(begun)
        self.be("waiting")
        return True

    def _stop(self) -> None:
        self.stopped += 1
        self.be("ready")
        self.session.chat.reply_ended.emit()

    def begin(self, *pieces: str, begun: str = "") -> None:
        """Say so much of the reply, a token each, after `begun`; the first token has id 10."""
        self.be("replying")
        self.session.chat.events_received.emit(
            (ReplyStarted(step=41, n_prompt=12, prompt_ids=(1, 2, 3), prefix=begun),)
        )
        self.say(*pieces)

    def say(self, *pieces: str) -> None:
        """Go on with the reply."""
        made = [
            TokenMade(id=10 + i, text=piece, probability=0.5, entropy=1.0, rank=1, draw=0.25)
            for i, piece in enumerate(pieces)
        ]
        self.session.chat.events_received.emit(tuple(made))

    def end(self, reason: str = "stop") -> None:
        """The reply is over."""
        finished = ReplyFinished(reason=reason, n_prompt=12, n_tokens=3, prefill_s=0.01, tokens_per_s=321.4)
        self.session.chat.events_received.emit((finished,))
        self.be("ready")
        self.session.chat.reply_ended.emit()

    def reply(self, *pieces: str, begun: str = "", reason: str = "stop") -> None:
        """A whole reply."""
        self.begin(*pieces, begun=begun)
        self.end(reason)
