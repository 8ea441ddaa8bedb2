"""The deeds that a step of the guide can wait for: each is a pure function of what was so before, and is so now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from terrarium.app.guide.from_toml import build
from terrarium.app.guide.window_state import ReplyFact, RunFact, WindowState


class Check(Protocol):
    """A deed that is waited for."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        """Whether it was done, since `before`."""
        ...


@dataclass(frozen=True, kw_only=True)
class At:
    """The window shows a place."""

    place: str

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return self.place in now.places


@dataclass(frozen=True, kw_only=True)
class Replied:
    """The model has replied.

    contains: in the message that it answers, whatever the case. hotter_than: the temperature was above this. branch: it
    continues from a token that was chosen. answer: "right" or "wrong" of one that is known; "" for any.
    """

    contains: str = ""
    hotter_than: float = -1.0
    branch: bool = False
    answer: str = ""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return any(self._is_one(reply) for reply in new_replies(now, before))

    def _is_one(self, reply: ReplyFact) -> bool:
        judged = {"": True, "right": reply.is_right is True, "wrong": reply.is_right is False}[self.answer]
        return (
            judged
            and self.contains.lower() in reply.prompt.lower()
            and reply.temperature > self.hotter_than
            and (reply.is_branch or not self.branch)
        )


@dataclass(frozen=True, kw_only=True)
class TokenChosen:
    """Another token that the model gave is in focus: one that was clicked before decides no bet.

    below: its probability was lower than this.
    """

    below: float = 1.1

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        token = now.token
        if token is None or token.probability is None or token == before.token:
            return False
        return token.probability < self.below


@dataclass(frozen=True, kw_only=True)
class HeadChosen:
    """Another attention head is in focus."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return bool(now.head) and now.head != before.head


@dataclass(frozen=True, kw_only=True)
class Typed:
    """Another text stands in the tokenizer tab.

    text: all of it, whatever the case; "" for any. one_word: without spaces. at_least: that many tokens.
    """

    text: str = ""
    one_word: bool = False
    at_least: int = 1

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        typed = now.typed.strip()
        return (
            now.typed != before.typed
            and self.text.lower() in ("", typed.lower())
            and (len(typed.split()) == 1 or not self.one_word)
            and now.n_tokens >= self.at_least
        )


@dataclass(frozen=True, kw_only=True)
class TokenizerMade:
    """There is another tokenizer in the library."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return bool(set(now.tokenizers) - set(before.tokenizers))


@dataclass(frozen=True, kw_only=True)
class DatasetMade:
    """A dataset was made."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return len(now.datasets) > len(before.datasets)


@dataclass(frozen=True, kw_only=True)
class DesignIs:
    """The design in the builder has these values of its slots (models.settings.model_config)."""

    slots: Mapping[str, Any]

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return now.design is not None and all(getattr(now.design, slot) == value for slot, value in self.slots.items())


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A run has begun to train. kind: as of a RunFact, or “quickstart”; "" for any.

    A recipe has begun before its first run has: a demonstration measures its base for a minute.
    """

    kind: str = ""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        training, was = now.training, before.training
        if training is None or training.is_over or not (training.run_id or training.recipe):
            return False
        is_new = was is None or was.is_over or (training.run_id, training.recipe) != (was.run_id, was.recipe)
        is_one = self.kind in ("", training.recipe) or (self.kind == "quickstart" and training.is_quickstart)
        return is_new and is_one


@dataclass(frozen=True, kw_only=True)
class RunFinished:
    """A run has been trained to its end, that was not there or not done before.

    kind, topology, position, stage: as of a RunFact; "" for any. tuned: it started from another model's weights.
    """

    kind: str = ""
    topology: str = ""
    position: str = ""
    stage: str = ""
    tuned: bool = False

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        done = {run.id for run in before.runs if run.status == "finished"}
        found = any(run.status == "finished" and run.id not in done and self._is_one(run) for run in now.runs)
        return found and not now.is_training

    def _is_one(self, run: RunFact) -> bool:
        return (
            self.kind in ("", run.kind)
            and self.topology in ("", run.topology)
            and self.position in ("", run.position)
            and self.stage in ("", run.align_stage)
            and (run.is_tuned or not self.tuned)
        )


@dataclass(frozen=True, kw_only=True)
class TextLearned:
    """A quick start on the user's own text has been measured, which is its end, and its model writes more than noise.

    It need not be over: where the queue goes on, the next run takes its place at once.
    """

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        now_is, was = now.training, before.training
        if now_is is None or not now_is.is_text_learned:
            return False
        return was is None or not was.is_text_learned or was.run_id != now_is.run_id


@dataclass(frozen=True, kw_only=True)
class SwitchedOff:
    """A part of the model is switched off, and what becomes of the answer was measured. head: nothing but heads is."""

    head: bool = False

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        off = now.switched_off
        return off is not None and bool(off.parts) and (off.are_heads or not self.head)


@dataclass(frozen=True, kw_only=True)
class PairRead:
    """Both pronoun models have read two sentences.

    flips: the encoder points at another noun in the second. new: they are others than before.
    """

    flips: bool = False
    new: bool = False

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        pair = now.pair
        if pair is None or (self.new and before.pair is not None and pair.texts == before.pair.texts):
            return False
        return not self.flips or pair.encoder[0] != pair.encoder[1]


@dataclass(frozen=True, kw_only=True)
class WentBack:
    """The time machine shows an earlier step than the last one: of at most this, or within this share of the run."""

    at_most: int = 0
    share: float = 0.0

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        latest = max(self.at_most, self.share * now.machine_steps)
        went = 0 <= now.machine_step < now.machine_last
        return "training/run/machine" in now.places and went and now.machine_step <= latest


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A person has judged that many pairs of replies more."""

    n: int

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return now.n_judged - before.n_judged >= self.n


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Other programs can ask the model."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return now.is_serving


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model was exported."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return len(now.exported) > len(before.exported)


CHECKS: Mapping[str, Callable[..., Check]] = {
    "at": At,
    "replied": Replied,
    "token_chosen": TokenChosen,
    "head_chosen": HeadChosen,
    "typed": Typed,
    "tokenizer_made": TokenizerMade,
    "dataset_made": DatasetMade,
    "design_is": DesignIs,
    "run_started": RunStarted,
    "run_finished": RunFinished,
    "text_learned": TextLearned,
    "switched_off": SwitchedOff,
    "pair_read": PairRead,
    "went_back": WentBack,
    "judged": Judged,
    "serving": Serving,
    "exported": Exported,
}
"""The checks by the names that chapters use."""


def new_replies(now: WindowState, before: WindowState) -> list[ReplyFact]:
    """The replies that were written since `before`, in their order."""
    known = {reply.id for reply in before.replies}
    return [reply for reply in now.replies if reply.id not in known]


def parse_check(table: Mapping[str, Any]) -> Check:
    """A check out of TOML: `{is = "typed", text = "un"}`.

    Raises:
        ValueError: it is no check of these, or has arguments of another name or type.
    """
    check: Check = build(table, "is", CHECKS)
    return check
