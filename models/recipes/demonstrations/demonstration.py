"""Shared parts of the alignment demonstrations: stages that are separate runs, and the measurements of each.

An interrupted demonstration resumes: its runs are found again by their settings and data, and judged pairs are saved
in sets of the library.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from tokenizers import Tokenizer

from terrarium.models.alignment.annotator import Annotator
from terrarium.models.alignment.log_probs import read_replies
from terrarium.models.alignment.pair_scores import pair_scores
from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.alignment.rollouts import Prompts, draw_replies, longest_prompt, reply_batch, reply_text
from terrarium.models.alignment.simulated_pairs import PairsJudged, judged, simulated_pairs
from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.corpora.corpus import Corpus, Example
from terrarium.models.device import choose_device
from terrarium.models.evaluation.held_out_questions import answer_in_rounds
from terrarium.models.events import Event, Phase, Progress, reporting
from terrarium.models.files.jsonl import read_rows
from terrarium.models.inference.many_replies import DrawnReply
from terrarium.models.interop.loading import load_model
from terrarium.models.interop.parents import parent_config
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_percent
from terrarium.models.preferences.dataset import collected_rows, preference_corpus
from terrarium.models.preferences.store import SIMULATED, Pair, PreferenceSet, Reply
from terrarium.models.recipes.demonstrations.bases import STRONG, format_accuracy, is_strong
from terrarium.models.recipes.demonstrations.demonstrations_table import N_EACH
from terrarium.models.recipes.demonstrations.kept import Kept, as_it_is
from terrarium.models.recipes.demonstrations.results import StageResult
from terrarium.models.recipes.demonstrations.stages import Stages, checkpoint_of, stage_spec
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world.wishes import HAPPY, build_wish_corpus, is_gold_story, marks_of
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS, World

N_PAIRS, N_HELD_OUT = 1000, 400
"""The pairs that a reward model learns from, and the error-free held-out pairs that it is measured on."""
N_REPLIES = 4
"""Replies to each of 128 held-out prompts, to measure a stage."""
NOISE = 0.1
"""The share of the simulated annotator's choices that are wrong."""
RM_LR = 2e-3
"""Learning rate of a reward model with that many pairs: at the default, a percent more are in the wrong order."""
_AT_ONCE = 64
"""Prompts whose pairs are saved together, and rows in a batch."""


def check_can_reply(library: Library, model: str) -> ModelConfig:
    """Return the design of a chat model; ValueError if there is no such model, or it cannot reply."""
    config = parent_config(library, model)
    if config.topology != "decoder-only" or config.head != "language":
        raise ValueError(f"{model!r} cannot reply, so there is nothing to align: choose a model that chats.")
    return config


def load_chat_model(library: Library, model: str, device: str) -> tuple[Decoder, Tokenizer]:
    """Load a model that can reply, and its tokenizer; ValueError if it has none."""
    loaded, tokenizer = load_model(library.find_run(model), choose_device(device).device)
    assert isinstance(loaded, Decoder)
    if tokenizer is None:
        raise ValueError(f"{model!r} has no tokenizer, so it cannot be asked: choose another model.")
    return loaded, tokenizer


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Trains and measures the stages of a demonstration.

    stages: trains them. base: a run, or a path. accuracy: its held-out accuracy, None if unknown. n_each: questions of
    each kind that a stage is asked.
    """

    stages: Stages
    base: str
    accuracy: float | None = None
    seed: int = 0
    world_seed: int = 0
    n_each: int = N_EACH

    def __post_init__(self) -> None:
        config = check_can_reply(self.library, self.base)
        if config.context_length <= MAX_REPLY_TOKENS:
            raise ValueError(
                f"{self.base!r} has a context of {config.context_length} tokens, but stories have up to "
                f"{MAX_REPLY_TOKENS}, beside what is asked: choose a model with a longer one."
            )

    @property
    def library(self) -> Library:
        """The library of all runs."""
        return self.stages.library

    @cached_property
    def _device(self) -> torch.device:
        return choose_device(self.stages.device).device

    @cached_property
    def base_model(self) -> tuple[Decoder, Tokenizer]:
        """The base with its tokenizer."""
        return load_chat_model(self.library, self.base, self.stages.device)

    @cached_property
    def base_name(self) -> str:
        """The name of the base."""
        return name_of(self.library, self.base)

    @cached_property
    def kept(self) -> Kept:
        """The cache of the base's measurements."""
        return kept_beside(self.library, self.base, seed=self.seed, n_each=self.n_each)

    @property
    def note(self) -> str:
        """A warning if the base is too weak for the goals, else ""."""
        if self.accuracy is None or is_strong(self.accuracy):
            return ""
        return (
            f"{self.base_name} answers {format_accuracy(self.accuracy)} of the held-out questions. Below "
            f"{format_percent(STRONG)} the goals mean little: grow another base by a quick start."
        )

    # Pairs

    def pairs(
        self, title: str, rows: Sequence[Example], annotator: Annotator
    ) -> Generator[Event, None, tuple[Pair, ...]]:
        """Return pairs of stories by the base, at most one per row, judged by the simulated annotator; saved as a set
        with that title. Yields Progress (prompts).

        The stories of a seed are drawn once, and judged by each annotator: they are saved as a separate set.
        """
        stories = yield from self._drawn_pairs(rows)
        kept = self._set(title)
        known = {pair.id for pair in kept.read().pairs}
        kept.add(judged(pair, annotator) for pair in stories if pair.id not in known)
        wanted = {pair.id for pair in stories}
        return tuple(pair for pair in kept.read().pairs if pair.id in wanted)

    def _set(self, title: str) -> PreferenceSet:
        """Open the set with that title, with the base's id if its name is not allowed for a folder."""
        try:
            return PreferenceSet(self.library, title)
        except ValueError:
            return PreferenceSet(self.library, title.replace(self.base_name, self.base))

    def _drawn_pairs(self, rows: Sequence[Example]) -> Generator[Event, None, list[Pair]]:
        """Return at most one pair for each row, in their order; missing pairs are drawn and added to the set."""
        kept = self._set(f"Stories of {self.base_name}, seed {self.seed}")
        known = {_prompt_of(pair.prompt): pair for pair in kept.read().pairs if pair.a.run == self.base}
        model, tokenizer = self.base_model
        made = Reply(content="", run=self.base, model=self.base)
        for first in range(0, len(rows), _AT_ONCE):
            some = [row for row in rows[first : first + _AT_ONCE] if _prompt_of(row["messages"]) not in known]
            if len(some) < min(_AT_ONCE, len(rows) - first) / 2:
                continue  # drawn already; two equal stories are no pair
            found: list[Pair] = []
            seed = _seed_of(self.seed, _prompt_of(some[0]["messages"]))
            fair = Annotator(noise=0.0)
            judging = simulated_pairs(
                model, tokenizer, some, fair, made, max_tokens=MAX_REPLY_TOKENS, seed=seed, at_once=_AT_ONCE // 2
            )
            for event in judging:
                if isinstance(event, PairsJudged):
                    found += event.pairs
                yield Progress(done=first, total=len(rows))
            kept.add(found)
            known |= {_prompt_of(pair.prompt): pair for pair in found}
        return [known[prompt] for row in rows if (prompt := _prompt_of(row["messages"])) in known]

    def pair_corpus(
        self, title: str, annotator: Annotator, n_pairs: int, own: str = ""
    ) -> Generator[Event, None, tuple[Corpus, int]]:
        """Return a dataset of `n_pairs` pairs, and how many of them were judged by people.

        Pairs of the set `own` come first; the annotator judges the others, without ties. It is validated on
        N_HELD_OUT pairs that the annotator judges without errors.

        Raises:
            ValueError: if the set `own` has no pair with a better reply.
        """
        wish = yield from build_wish_corpus(self.library, HAPPY, self.world_seed)
        yield Phase(name="Writing stories, and judging pairs")
        own_rows = self._own_pairs(own)
        prompts = {_prompt_of(row["messages"]) for row in own_rows}
        asked = [row for row in wish.rows("train") if _prompt_of(row["messages"]) not in prompts]
        simulated = yield from self._untied(title, asked, annotator, n_pairs - len(own_rows))
        rows = [*own_rows, *simulated][:n_pairs]
        held_out = [row for split in ("val", "test") for row in wish.rows(split)]
        held_out = [row for row in held_out if _prompt_of(row["messages"]) not in prompts]
        yield Phase(name="Writing held-out stories, and judging pairs")
        exact = dataclasses.replace(annotator, noise=0.0)
        known = {_prompt_of(row["messages"]): row for row in held_out}
        validation = [
            known[_prompt_of(row["messages"])] | row
            for row in (yield from self._untied(f"{title}, held out", held_out, exact, N_HELD_OUT))
        ]
        n_own = min(len(own_rows), n_pairs)
        label = f"{title}, {n_own} + {len(rows) - n_own} pairs"
        return preference_corpus(self.library, rows, validation, label), n_own

    def _untied(
        self, title: str, asked: Sequence[Example], annotator: Annotator, n: int
    ) -> Generator[Event, None, list[Example]]:
        """Return the first `n` pairs without a tie, as rows of a dataset; fewer if `asked` has too few prompts."""
        n_asked, found = 0, list[Example]()
        while len(found) < n and n_asked < len(asked):
            n_asked += math.ceil((n - len(found)) / _AT_ONCE) * _AT_ONCE
            pairs = yield from self.pairs(title, asked[:n_asked], annotator)
            found = [row for row in collected_rows(pairs).rows if row.get("choice") != "tie"]
        return found[:n]

    def _own_pairs(self, name: str) -> list[Example]:
        if not name:
            return []
        rows = collected_rows(PreferenceSet(self.library, name).read().pairs).rows
        own = [row for row in rows if row["source"] != SIMULATED]
        if not own:
            raise ValueError(
                f"“{name}” has no pair of which somebody has chosen the better reply: compare some in Chat, or leave "
                "it out."
            )
        return own

    # Training

    def train(
        self, title: str, corpus: Corpus, align: Mapping[str, Any], train: Mapping[str, Any] | None = None
    ) -> Generator[Event, None, RunFolder]:
        """Train a stage from the base with default settings, except those in `align`, which names it,
        and in `train`.
        """
        stage = str(align["stage"])
        aligned = AlignSpec(**usual_align(stage) | {"max_tokens": MAX_REPLY_TOKENS} | dict(align))
        data = DataSpec(source="dataset", dataset=corpus.label, task=aligned.task)
        values = usual_align_train(stage) | {"seed": self.seed} | dict(train or {})
        spec = stage_spec(self.library, title, self.base, data, values, aligned)
        return (yield from self.stages.train(spec, corpus))

    # Measuring

    def stories(
        self, model: Decoder, judge: RewardModel | None = None
    ) -> Generator[Event, None, tuple[StageResult, list[tuple[int, ...]]]]:
        """Draw stories to held-out prompts and measure them. Also returns the ids of each with its prompt."""
        base, tokenizer = self.base_model
        prompts = yield from self.prompts("val")
        drawn = yield from draw_replies(
            model,
            tokenizer,
            [prompt.ids for prompt in prompts.rows],
            N_REPLIES,
            seed=self.seed,
            max_tokens=MAX_REPLY_TOKENS,
        )
        asked = [(prompt, reply) for prompt, own in zip(prompts.rows, drawn, strict=True) for reply in own]
        marks = [(prompt.row, reply_text(tokenizer, reply)) for prompt, reply in asked]
        found = [marks_of(row, text) for row, text in marks]
        n = len(asked)
        texts = [(*prompt.ids, *reply.ids) for prompt, reply in asked]
        kl = yield from _kl(model, base, [(prompt.ids, reply) for prompt, reply in asked])
        scores = (yield from reporting(judge.scores(texts), Progress(done=0, total=n))) if judge is not None else []
        stage = StageResult(
            gold=sum(map(is_gold_story, found)) / n,
            happy=sum(one.is_right and one.mood == HAPPY for one in found) / n,
            right=sum(one.is_right for one in found) / n,
            ended=sum(reply.ended for _, reply in asked) / n,
            proxy=sum(scores) / n if scores else None,
            kl=kl,
            n=n,
        )
        return stage, texts

    def prompts(self, split: str) -> Generator[Event, None, Prompts]:
        """Return the prompts of the wish for a happy end with room for a story, at most 128."""
        wish = yield from build_wish_corpus(self.library, HAPPY, self.world_seed)
        model, tokenizer = self.base_model
        longest = longest_prompt(model.config.context_length, MAX_REPLY_TOKENS)
        return Prompts(wish, split, tokenizer, longest, at_most=128)

    def kinds(self, model: Decoder, tokenizer: Tokenizer) -> Generator[Event, None, dict[str, float]]:
        """Return the accuracy on held-out questions of each kind."""
        per_round = _per_round(self.n_each)
        shares: dict[str, float] = {}
        n_each = self.n_each - self.n_each % per_round
        rounds = answer_in_rounds(model, tokenizer, World(self.world_seed), n_each, per_round)
        for i, found in enumerate(rounds, start=1):
            shares = found
            yield Progress(done=i * per_round, total=n_each)
        return shares

    def measured(
        self, run: RunFolder | None, judge: RewardModel | None = None, step: int | None = None
    ) -> Generator[Event, None, tuple[StageResult, list[tuple[int, ...]]]]:
        """Measure a generating stage, or the base (None): its stories, its accuracy on questions, and its curve."""
        yield Phase(name=f"Measuring {self.base_name if run is None else run.name}")
        n_each = self.n_each - self.n_each % _per_round(self.n_each)
        if run is None:
            model, tokenizer = self.base_model
            stage, texts = yield from self.kept.once("stories", lambda: self.stories(model), _story_data, _stories_of)
            kinds = yield from self.kept.once("kinds", lambda: self.kinds(model, tokenizer), as_it_is, as_it_is)
            return dataclasses.replace(stage, kinds=kinds, n_each=n_each), texts
        path = run.folder if step is None else run.checkpoint_path(step)
        loaded, _ = load_model(path, self._device)
        assert isinstance(loaded, Decoder)
        stage, texts = yield from self.stories(loaded, judge)
        kinds = yield from self.kinds(loaded, self.base_model[1])
        curve, seconds = curve_of(run)
        return dataclasses.replace(
            stage, kinds=kinds, n_each=n_each, curve=curve, seconds=seconds, run=run.id, step=step
        ), texts

    def reward_model(
        self, run: RunFolder, texts: Sequence[Sequence[int]], corpus: Corpus
    ) -> Generator[Event, None, tuple[RewardModel, StageResult]]:
        """Return a run's reward model, in standard deviations of its scores of `texts`, and its accuracy."""
        yield Phase(name=f"Measuring {run.name}")
        loaded, tokenizer = load_model(run.folder, self._device)
        assert tokenizer is not None
        raw = RewardModel(model=loaded)
        judge = raw.standardised((yield from reporting(raw.scores(texts), Progress(done=0, total=len(texts)))))
        rows = corpus.rows("val")
        scored = yield from pair_scores(loaded, tokenizer, rows)
        right = [(row, score.margin > 0) for row, score in zip(rows, scored.scores, strict=True) if score is not None]
        one_happy = [is_right for row, is_right in right if _n_happy(row) == 1]
        curve, seconds = curve_of(run)
        stage = StageResult(
            accuracy=_share([is_right for _, is_right in right]),
            accuracy_happy=_share(one_happy),
            n=len(right),
            curve=curve,
            seconds=seconds,
            run=run.id,
        )
        return judge, stage


_SHOWN = {
    "reward": "proxy",
    "gold": "gold",
    "kl": "kl",
    "accuracy": "accuracy",
    "loss": "loss",
    "held_out/replies": "n",
    "held_out/pairs": "n",
}


def curve_of(run: RunFolder) -> tuple[list[dict[str, float]], float]:
    """Return the measurements at an alignment's validations (step, and those of _SHOWN that exist), and its seconds."""
    rows = list(read_rows(run.folder / "alignment.jsonl"))
    curve = [
        {"step": row["step"], **{_SHOWN[name]: value for name, value in row["figures"].items() if name in _SHOWN}}
        for row in rows
        if row["is_validation"]
    ]
    return curve, max((float(row["elapsed_s"]) for row in rows), default=0.0)


def name_of(library: Library, model: str) -> str:
    """Return the name of a run; a path is returned unchanged."""
    folder = library.find_run(model)
    return RunFolder.open(folder).name if (folder / "run.json").is_file() else model


def kept_beside(library: Library, base: str, **about: Any) -> Kept:
    """Return the cache of a base's measurements, valid for its current checkpoint and the settings `about`."""
    folder = library.find_run(base)
    is_run = folder.parent == library.runs and (folder / "run.json").is_file()
    return Kept(folder=folder if is_run else None, about={"base": checkpoint_of(library, base), **about})


def _story_data(found: tuple[StageResult, list[tuple[int, ...]]]) -> dict[str, Any]:
    return {"stage": found[0].to_dict(), "texts": found[1]}


def _stories_of(data: Mapping[str, Any]) -> tuple[StageResult, list[tuple[int, ...]]]:
    return StageResult.from_dict(data["stage"]), [tuple(map(int, text)) for text in data["texts"]]


def _kl(
    model: AnyModel, base: AnyModel, asked: Sequence[tuple[Sequence[int], DrawnReply]]
) -> Generator[Event, None, float]:
    total = 0.0
    for first in range(0, len(asked), _AT_ONCE):
        yield Progress(done=first, total=len(asked))
        some = asked[first : first + _AT_ONCE]
        batch = reply_batch([prompt for prompt, _ in some], [reply.ids for _, reply in some])
        total += float(read_replies(model, base, batch).kl.sum())
    return total / len(asked)


def _per_round(n_each: int) -> int:
    """Return the questions of each kind that are asked together."""
    return min(20, n_each)


def _n_happy(row: Example) -> int:
    return sum(marks_of(row, row[side]).mood == HAPPY for side in ("chosen", "rejected"))


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _prompt_of(messages: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(str(message["content"]) for message in messages)


def _seed_of(seed: int, prompt: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {prompt}".encode(), digest_size=4).digest(), "big") >> 1
