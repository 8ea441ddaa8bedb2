"""The recipes behind `terrarium task`: one entry per task, with all that a screen needs to offer and score it.

No torch import. Designs and steps were found on worlds 0 and 2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.slots import check_complete
from terrarium.models.settings.tune_spec import TuneSpec, usual_train
from terrarium.models.tasks.baselines import (
    Baseline,
    LastMentioned,
    LastSentences,
    LeadSentence,
    LexiconTagger,
    MajorityLabel,
    MostFrequentTag,
    NaiveBayes,
    SwappedWords,
    TranslationMemory,
    WordByWord,
)
from terrarium.models.tiny_world.tasks import code
from terrarium.models.tiny_world.tasks.corpora import WORLD_TASKS, world_task_data


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The goal of a score: `value` of `metric` (METRICS) or better, on the rows of `group` ("": all rows)."""

    metric: str
    value: float
    group: str = ""

    def is_met(self, score: float | None) -> bool:
        """Whether a score meets the goal."""
        if score is None:
            return False
        return score <= self.value if METRICS[self.metric].higher_is_better is False else score >= self.value

    @property
    def what(self) -> str:
        """What is measured: “Accuracy of “seen””."""
        return METRICS[self.metric].title + (f" of “{self.group}”" if self.group else "")

    @property
    def limit(self) -> str:
        """The limit in words: “at least 98.0 %”."""
        most = "most" if METRICS[self.metric].higher_is_better is False else "least"
        return f"at {most} {format_score(self.metric, self.value)}"

    def __str__(self) -> str:
        return f"{self.what} {self.limit}"


@dataclass(frozen=True, kw_only=True)
class TaskRecipe:
    """How a task is learned from scratch, and its goals.

    name: in WORLD_TASKS, which has its data. title, help: for screens; help is two sentences, what it does and what
    the test shows. bars: the goals, the headline's first. baselines: to compare with. minutes: in total, on two
    cores. caveat: what its score does not show.
    """

    name: str
    title: str
    help: str
    model: ModelConfig
    tokenizer: TokenizerSpec
    train: TrainConfig
    baselines: tuple[Callable[[], Baseline], ...]
    bars: tuple[Bar, ...]
    minutes: float
    caveat: str = ""

    @property
    def task(self) -> str:
        """The task in models.settings.tasks."""
        return WORLD_TASKS[self.name].task

    @property
    def headline(self) -> Bar:
        """The goal whose score represents the task."""
        return self.bars[0]

    def spec(self, name: str, seed: int, *, data: DataSpec | None = None, parent: str = "") -> RunSpec:
        """Return the spec of a run on the world with that seed, or on other `data`, optionally from a parent's
        weights.
        """
        train = dataclasses.replace(self.train, seed=seed)
        tune = None
        if parent:
            tune = TuneSpec(parent=parent)
            train = dataclasses.replace(train, **usual_train(tune.mode))
        data = data or world_task_data(self.name, seed)
        return RunSpec(name=name, model=self.model, tokenizer=self.tokenizer, data=data, train=train, tune=tune)


_DECODER = ModelConfig(
    position="rope",
    norm="layernorm",
    activation="relu2",
    bias="none",
    qk_norm=True,
    conv_width=5,
    zero_init_output=True,
    context_length=128,
    n_layer=2,
    n_head=4,
    d_model=128,
)
"""The design of the quick start: its convolutions relate words to their neighbours before attention has learned to."""
_ENCODER = dataclasses.replace(_DECODER, topology="encoder-only", head="none")
_ENCODER_DECODER = dataclasses.replace(_DECODER, topology="encoder-decoder")
_TRAIN = TrainConfig(
    batch_size=16,
    optimizer="muon",
    muon_lr=0.02,
    lr=3e-3,
    weight_decay=0.0,
    warmup_steps=30,
    schedule="wsd",
    context_loss_weight=0.0,
    precision="float32",
    sample_interval=0,
    keep_checkpoints=1,
)


def with_steps(train: TrainConfig, steps: int) -> TrainConfig:
    """Change the number of steps of a training, validated and saved four times."""
    quarter = max(1, steps // 4)
    warmup = min(train.warmup_steps, quarter)
    return dataclasses.replace(
        train, steps=steps, warmup_steps=warmup, eval_interval=quarter, checkpoint_interval=quarter
    )


def _train(steps: int, **settings: Any) -> TrainConfig:
    return with_steps(dataclasses.replace(_TRAIN, **settings), steps)


def _bpe(vocab_size: int) -> TokenizerSpec:
    return TokenizerSpec(kind="bpe", vocab_size=vocab_size)


_RECIPES = (
    TaskRecipe(
        name="mood",
        title="Moods",
        help="Says which of ten moods a story implies. It is tested on sentences that it has practised, in new "
        "stories, and on others, which it can only know from earlier training.",
        model=dataclasses.replace(_ENCODER, d_model=64),
        tokenizer=_bpe(1024),
        train=_train(200),
        baselines=(MajorityLabel, NaiveBayes),
        bars=(Bar(metric="accuracy", value=0.98, group="seen"),),
        minutes=1,
    ),
    TaskRecipe(
        name="names",
        title="Names",
        help="Marks people, places, things, colours and moods in a text. The same name can be a person or a place, and "
        "a fifth of the names is new in the test, so only the sentence tells which.",
        model=dataclasses.replace(_ENCODER, d_model=64, context_length=192),
        tokenizer=_bpe(400),
        train=_train(250),
        baselines=(LexiconTagger, MostFrequentTag),
        bars=(Bar(metric="entity_f1", value=0.93, group="unseen"),),
        minutes=2,
    ),
    TaskRecipe(
        name="qa",
        title="Questions",
        help="Marks the answer to a question in a text, or says that there is none. The pairs of facts in the test "
        "never occur in training, so it has to read the text.",
        model=dataclasses.replace(_ENCODER, context_length=160, n_segment=2),
        tokenizer=_bpe(1024),
        # At half of these rates some seeds never learn to find the person whom a question is about.
        train=_train(1400, eval_batches=8, muon_lr=0.04, lr=6e-3),
        baselines=(LastMentioned,),
        bars=(Bar(metric="exact_match", value=0.95), Bar(metric="no_answer_f1", value=0.90)),
        minutes=3,
    ),
    TaskRecipe(
        name="translation",
        title="Translation",
        help="Translates sentences of two clauses into French, German and Spanish. In the test, words come together "
        "that never did in training, also nouns with the adjectives that have to agree.",
        model=dataclasses.replace(_ENCODER_DECODER, context_length=64),
        tokenizer=_bpe(1024),
        train=_train(800, batch_size=32, eval_batches=2),
        baselines=(WordByWord, TranslationMemory),
        bars=(
            Bar(metric="chrf2", value=98),
            Bar(metric="exact_match", value=0.95),
            Bar(metric="case_errors", value=0.02, group="German"),
        ),
        minutes=5,
    ),
    TaskRecipe(
        name="summary",
        title="Summaries",
        help="Says in one line how a story ends, or what became of the thing that changed hands most. The story never "
        "says it in one sentence, so the model has to follow who has what.",
        model=dataclasses.replace(_DECODER, context_length=192, n_layer=3),
        tokenizer=_bpe(1024),
        train=_train(4000, eval_batches=4, context_loss_weight=0.2),
        baselines=(LeadSentence, LastSentences),
        bars=(Bar(metric="facts_right", value=0.90), Bar(metric="rouge_l", value=0.97)),
        minutes=18,
        caveat="In one world 91 of 100 were right. Most errors are about where a thing was put down: that takes who "
        "did it, and where that person was then.",
    ),
    TaskRecipe(
        name="code",
        title="Code",
        help="Writes a Python function for a docstring, and the function is run to see whether it is right. The test "
        "combines filters, keys and results as training never did.",
        caveat="Where only a word is new, swapping it into the nearest function is right three times in four: that "
        "group proves little.",
        model=_ENCODER_DECODER,
        tokenizer=_bpe(1024),
        train=_train(660, eval_batches=4),
        baselines=(SwappedWords,),
        bars=(Bar(metric="pass_at_1", value=0.90, group=code.UNSEEN_COMPOSITION),),
        minutes=4,
    ),
)
TASK_RECIPES: Mapping[str, TaskRecipe] = MappingProxyType({recipe.name: recipe for recipe in _RECIPES})
"""The recipes by their name in `terrarium task`."""
check_complete(TASK_RECIPES, WORLD_TASKS, "recipes of Tiny World's tasks")
