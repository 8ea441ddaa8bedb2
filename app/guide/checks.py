"""Completion checks of guide steps: pure functions of the window state before and now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from terrarium.app.guide.from_toml import build
from terrarium.app.guide.window_state import ReplyFact, RunFact, WindowState


class Check(Protocol):
    """A completion check of a guide step."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        """Whether the step was completed since `before`."""
        ...


@dataclass(frozen=True, kw_only=True)
class At:
    """The window shows a certain place."""

    place: str

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return self.place in now.places


@dataclass(frozen=True, kw_only=True)
class Replied:
    """The model has replied.

    contains: a substring of the prompt, ignoring case. hotter_than: the temperature must be above this. branch: the
    reply must continue from a token that the user chose. answer: "right" or "wrong" where the right answer is known, or
    "" for any reply.
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
    """Another generated token is in focus; a token that was in focus before does not decide a prediction.

    below: its probability must be lower than this.
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
    """The text in the tokenizer tab has changed.

    text: the whole text, ignoring case, or "" for any. one_word: without spaces. at_least: minimum tokens.
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
    """The library contains a new tokenizer."""

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return bool(set(now.tokenizers) - set(before.tokenizers))


@dataclass(frozen=True, kw_only=True)
class DatasetMade:
    """A dataset was created."""

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
    """A run has started to train. kind: as in RunFact, or “quickstart”; "" for any.

    A recipe counts as started before its first run: a demonstration first evaluates its base model for a minute.
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
    """A run has finished training since then, and no run is training now.

    kind, topology, position, stage: as in RunFact; "" for any. tuned: it started from another model's weights.
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
    """A quick start on the user's own text was evaluated, its last stage, and its model writes more than noise.

    The quick start need not be over: if the queue continues, the next run replaces it immediately.
    """

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        now_is, was = now.training, before.training
        if now_is is None or not now_is.is_text_learned:
            return False
        return was is None or not was.is_text_learned or was.run_id != now_is.run_id


@dataclass(frozen=True, kw_only=True)
class SwitchedOff:
    """A part of the model is ablated, and the effect on the answer was measured. head: only heads are ablated."""

    head: bool = False

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        off = now.switched_off
        return off is not None and bool(off.parts) and (off.are_heads or not self.head)


@dataclass(frozen=True, kw_only=True)
class PairRead:
    """Both pronoun models have read two sentences.

    flips: the encoder resolves “it” to another noun in the second sentence. new: the sentences have changed.
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
    """The time machine shows a step before the last, no later than `at_most` or this share of the run."""

    at_most: int = 0
    share: float = 0.0

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        latest = max(self.at_most, self.share * now.machine_steps)
        went = 0 <= now.machine_step < now.machine_last
        return "training/run/machine" in now.places and went and now.machine_step <= latest


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The user has judged `n` more pairs of replies."""

    n: int

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        return now.n_judged - before.n_judged >= self.n


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The model is being served to other programs."""

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
    """Return the replies written since `before`, in order."""
    known = {reply.id for reply in before.replies}
    return [reply for reply in now.replies if reply.id not in known]


def parse_check(table: Mapping[str, Any]) -> Check:
    """Parse a check from a TOML table such as `{is = "typed", text = "un"}`.

    Raises:
        ValueError: the check is unknown, or an argument has the wrong name or type.
    """
    check: Check = build(table, "is", CHECKS)
    return check
