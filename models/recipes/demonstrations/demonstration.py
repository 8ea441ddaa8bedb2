"""What the demonstrations of alignment share: stages that are runs of their own, and what is measured of each.

A demonstration that was cut short goes on where it was: its runs are found again by their settings and data, and pairs
that were judged are kept in sets of the library.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
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
from terrarium.models.recipes.demonstrations.stages import StageControl, checkpoint_of, stage_spec, train_stage
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world.wishes import HAPPY, build_wish_corpus, is_gold_story, marks_of
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS, World

N_PAIRS, N_HELD_OUT = 1000, 400
"""Pairs that a reward model learns from, and held-out ones that it is measured on, which are free of errors."""
N_REPLIES = 4
"""Replies to each of 128 held-out prompts by which a stage is measured."""
NOISE = 0.1
"""The share of choices of the simulated annotator that are wrong."""
RM_LR = 2e-3
"""Learning rate of a reward model with that many pairs: at the usual one it puts a percent more of them in the wrong
order."""
_AT_ONCE = 64
"""Prompts whose pairs are kept together; and rows that are read at once."""


def check_can_reply(library: Library, model: str) -> ModelConfig:
    """The design of a model that can chat; ValueError where there is no such model, or it cannot reply."""
    config = parent_config(library, model)
    if config.topology != "decoder-only" or config.head != "language":
        raise ValueError(f"{model!r} cannot reply, so there is nothing to align: choose a model that chats.")
    return config


def load_chat_model(library: Library, model: str, device: str) -> tuple[Decoder, Tokenizer]:
    """A model that can reply, and its tokenizer; ValueError where it has none."""
    loaded, tokenizer = load_model(library.find_run(model), choose_device(device).device)
    assert isinstance(loaded, Decoder)
    if tokenizer is None:
        raise ValueError(f"{model!r} has no tokenizer, so it cannot be asked: choose another model.")
    return loaded, tokenizer


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where the stages of a demonstration are trained and measured.

    base: a run, or a path. accuracy: the share of held-out questions that it answers, None where that is not known.
    n_each: questions of each kind that a stage is asked. control: of its trainings.
    """

    library: Library
    base: str
    accuracy: float | None = None
    seed: int = 0
    world_seed: int = 0
    device: str = "auto"
    n_each: int = N_EACH
    control: StageControl = field(default_factory=StageControl, repr=False, compare=False)

    def __post_init__(self) -> None:
        config = check_can_reply(self.library, self.base)
        if config.context_length <= MAX_REPLY_TOKENS:
            raise ValueError(
                f"{self.base!r} has a context of {config.context_length} tokens, but stories have up to "
                f"{MAX_REPLY_TOKENS}, beside what is asked: choose a model with a longer one."
            )

    @cached_property
    def _device(self) -> torch.device:
        return choose_device(self.device).device

    @cached_property
    def base_model(self) -> tuple[Decoder, Tokenizer]:
        """The base with its tokenizer."""
        return load_chat_model(self.library, self.base, self.device)

    @cached_property
    def base_name(self) -> str:
        """What the base is called."""
        return name_of(self.library, self.base)

    @cached_property
    def kept(self) -> Kept:
        """Where what is measured of the base is kept."""
        return kept_beside(self.library, self.base, seed=self.seed, n_each=self.n_each)

    @property
    def note(self) -> str:
        """What is to be said of a base that is too weak for the goals, "" of a strong one."""
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
        """Pairs of stories by the base, one for each row at most, that the simulated annotator judges; kept as a set of
        that title. Yields Progress (prompts).

        The stories of a seed are drawn once, and judged by each annotator: they are kept as a set of their own.
        """
        stories = yield from self._drawn_pairs(rows)
        kept = self._set(title)
        known = {pair.id for pair in kept.read().pairs}
        kept.add(judged(pair, annotator) for pair in stories if pair.id not in known)
        wanted = {pair.id for pair in stories}
        return tuple(pair for pair in kept.read().pairs if pair.id in wanted)

    def _set(self, title: str) -> PreferenceSet:
        """The set of that title, with the base's id for its name where no folder can have the name."""
        try:
            return PreferenceSet(self.library, title)
        except ValueError:
            return PreferenceSet(self.library, title.replace(self.base_name, self.base))

    def _drawn_pairs(self, rows: Sequence[Example]) -> Generator[Event, None, list[Pair]]:
        """A pair for each of these rows at most, in their order: those that are missing in the set are added to it."""
        kept = self._set(f"Stories of {self.base_name}, seed {self.seed}")
        known = {_prompt_of(pair.prompt): pair for pair in kept.read().pairs if pair.a.run == self.base}
        model, tokenizer = self.base_model
        made = Reply(content="", run=self.base, model=self.base)
        for first in range(0, len(rows), _AT_ONCE):
            some = [row for row in rows[first : first + _AT_ONCE] if _prompt_of(row["messages"]) not in known]
            if len(some) < min(_AT_ONCE, len(rows) - first) / 2:
                continue  # drawn already; two stories that were the same are no pair
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
        """A dataset of `n_pairs` pairs, and how many of them people have judged: those of the set `own`, which come
        first; the annotator judges the others, of which ties are left out. It is validated on N_HELD_OUT pairs that the
        annotator judges without errors.

        Raises:
            ValueError: where the set `own` has no pair with a better reply.
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
        """The first `n` pairs of which the annotator likes one story better, as rows of a dataset; fewer, where `asked`
        has too few prompts. A tie says nothing of what it likes."""
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
        """A stage from the base with the usual settings, but for those in `align`, which names it, and in `train`."""
        stage = str(align["stage"])
        aligned = AlignSpec(**usual_align(stage) | {"max_tokens": MAX_REPLY_TOKENS} | dict(align))
        data = DataSpec(source="dataset", dataset=corpus.label, task=aligned.task)
        values = usual_align_train(stage) | {"seed": self.seed} | dict(train or {})
        spec = stage_spec(self.library, title, self.base, data, values, aligned)
        return (yield from train_stage(self.library, spec, self.device, corpus, self.control))

    # Measuring

    def stories(
        self, model: Decoder, judge: RewardModel | None = None
    ) -> Generator[Event, None, tuple[StageResult, list[tuple[int, ...]]]]:
        """Write stories to held-out prompts and measure them; and the ids of each, with what was asked."""
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
        """Those of the wish for a happy end that leave room for a story; 128 at most."""
        wish = yield from build_wish_corpus(self.library, HAPPY, self.world_seed)
        model, tokenizer = self.base_model
        longest = longest_prompt(model.config.context_length, MAX_REPLY_TOKENS)
        return Prompts(wish, split, tokenizer, longest, at_most=128)

    def kinds(self, model: Decoder, tokenizer: Tokenizer) -> Generator[Event, None, dict[str, float]]:
        """The share of right answers to held-out questions of each kind."""
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
        """A stage that writes, or (None) the base: its stories, what else it knows, and its curve."""
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
        """The reward model of a run, in standard deviations of its scores of `texts`; and how often it is right."""
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
    """What was measured at the validations of an alignment (step, and of _SHOWN what there is), and its seconds."""
    rows = list(read_rows(run.folder / "alignment.jsonl"))
    curve = [
        {"step": row["step"], **{_SHOWN[name]: value for name, value in row["figures"].items() if name in _SHOWN}}
        for row in rows
        if row["is_validation"]
    ]
    return curve, max((float(row["elapsed_s"]) for row in rows), default=0.0)


def name_of(library: Library, model: str) -> str:
    """What a run is called; a path as it is."""
    folder = library.find_run(model)
    return RunFolder.open(folder).name if (folder / "run.json").is_file() else model


def kept_beside(library: Library, base: str, **about: Any) -> Kept:
    """Where what is measured of a base is kept: as long as it is at this checkpoint, and is asked `about` the same."""
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
    """Questions of each kind that are asked at once."""
    return min(20, n_each)


def _n_happy(row: Example) -> int:
    return sum(marks_of(row, row[side]).mood == HAPPY for side in ("chosen", "rejected"))


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _prompt_of(messages: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(str(message["content"]) for message in messages)


def _seed_of(seed: int, prompt: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {prompt}".encode(), digest_size=4).digest(), "big") >> 1
