"""Runs for the doctor: healthy ones, and those with a named fault.

All were really trained, in a second or two each. One with each fault, and four healthy ones, are trained in each test;
what the others have logged stands in recorded.jsonl, a run in a line, as it was when they were trained. To train and
record them again: `python -m tests.models.diagnosis.doctor_suite`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.models.diagnosis import RunLog
from terrarium.models.diagnosis.log import Numbers
from terrarium.models.events import TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tiny_world.stories import stories
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.training.support import result_of


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A run. `found` is the diagnosis that a faulty one must get, `also` what else may be said of it."""

    name: str
    family: str = "gpt2"
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    text: str = "English"
    raised: float = 1.0
    """What the learning rate is multiplied with in the middle of the run, by hand."""
    vocab_size: int = 0
    """0: a token is a byte."""
    val_fraction: float = 0.1
    seed: int = 0
    is_trained: bool = False
    """Whether it is trained in each test: otherwise its log is read from a file."""
    found: str | None = None
    also: frozenset[str] = frozenset()


SIZE = {"context_length": 32, "n_layer": 1, "d_model": 32, "n_head": 2, "d_ff": 0, "n_kv_head": 0}
DEEP = {"n_layer": 2}
TRAIN = {
    "steps": 80,
    "batch_size": 8,
    "eval_interval": 20,
    "eval_batches": 4,
    "sample_interval": 0,
    "checkpoint_interval": 40,
    "layer_interval": 5,
}
ADAMW = {"optimizer": "adamw", "lr": 3e-3, "schedule": "cosine", "warmup_steps": 20, "min_lr_ratio": 0.1}
ROUGH = {**ADAMW, "schedule": "constant", "grad_clip": 0.0}
ENCODER = {"batch_size": 16, "eval_batches": 16}
"""Few of an encoder's tokens are guessed: more of them are read."""
FEW = {"text": "few", "val_fraction": 0.5}
SMALL_BATCHES = {"batch_size": 6}
EXPLOSION = frozenset({"divergence", "exploding"})
DISEASES_OF_FEW = frozenset({"little_data", "overfitting", "small_validation"})


def healthy() -> list[Recipe]:
    """Runs that learn as they should, with different seeds."""
    runs = [
        Recipe(name="terrarium as it comes", is_trained=True, family="terrarium", model=DEEP),
        Recipe(
            name="terrarium of pieces, in German, batches added up",
            family="terrarium",
            vocab_size=512,
            text="German",
            train={"batch_size": 4, "grad_accum_steps": 2, "eval_batches": 8},
        ),
        Recipe(
            name="gpt2, wider, dropout, adamw, cosine",
            model={"d_model": 48, "dropout": 0.1},
            train={**ADAMW, "steps": 100},
        ),
        Recipe(name="llama, muon, wsd", family="llama", model=DEEP, train={"schedule": "wsd"}),
        Recipe(name="llama, adamw, constant rate", family="llama", train={**ADAMW, "schedule": "constant"}),
        Recipe(name="mixture of experts", is_trained=True, family="moe", model={"d_ff": 32}, train=ADAMW),
        Recipe(
            name="bert, rotary positions, muon",
            is_trained=True,
            family="bert",
            model={**DEEP, "context_length": 48, "position": "rope"},
            train={**ENCODER, "steps": 60},
        ),
        Recipe(name="t5, muon", family="t5", model={"init_std": 0.177}, train={"eval_batches": 16}),
        Recipe(name="bart, adamw", family="bart", model={"context_length": 48}, train={**ADAMW, "steps": 100}),
        Recipe(name="2017 transformer", is_trained=True, family="transformer", train={**ADAMW, "eval_batches": 16}),
    ]
    return [dataclasses.replace(run, seed=i) for i, run in enumerate(runs)]


def faulty() -> list[Recipe]:
    """Runs with a fault that has a name: two at least for each diagnosis."""
    return [
        Recipe(
            name="weight decay that turns weights over",
            is_trained=True,
            train={**ROUGH, "lr": 1.0, "weight_decay": 10.0, "steps": 60},
            found="nan",
        ),
        Recipe(
            name="muon with weight decay that turns weights over",
            family="llama",
            train={"muon_lr": 1.0, "weight_decay": 10.0, "schedule": "constant", "steps": 60},
            found="nan",
        ),
        Recipe(name="adamw without a memory of sizes", train={**ROUGH, "lr": 0.01, "beta2": 0.0}, found="nan"),
        Recipe(name="rate 10", train={**ROUGH, "lr": 10.0, "steps": 80}, found="divergence", also=EXPLOSION),
        Recipe(
            name="transformer, rate 3",
            family="transformer",
            train={**ROUGH, "lr": 3.0, "steps": 60, "eval_batches": 16},
            found="divergence",
            also=EXPLOSION,
        ),
        Recipe(
            name="gpt2, its rate raised to 0.9 by hand",
            is_trained=True,
            train={**ROUGH, "steps": 120, "checkpoint_interval": 50},
            raised=300.0,
            found="divergence",
            also=EXPLOSION,
        ),
        Recipe(
            name="bart, a warm-up to rate 3, nothing clipped",
            family="bart",
            train={**ROUGH, "lr": 3.0, "warmup_steps": 250, "steps": 100},
            found="exploding",
            also=EXPLOSION,
        ),
        Recipe(
            name="gpt2, a warm-up to rate 3, nothing clipped",
            is_trained=True,
            train={**ROUGH, "lr": 3.0, "warmup_steps": 250, "steps": 100},
            found="exploding",
            also=EXPLOSION,
        ),
        Recipe(
            name="gpt2 of zeros", is_trained=True, model={"init_std": 0.0}, train={**ADAMW, "steps": 60}, found="dead"
        ),
        Recipe(name="llama of zeros", family="llama", model={"init_std": 0.0}, train={"steps": 60}, found="dead"),
        Recipe(name="gpt2, rate 0.3", is_trained=True, train={**ADAMW, "lr": 0.3, "steps": 150}, found="lr_high"),
        Recipe(name="llama, rate 0.3", family="llama", train={**ADAMW, "lr": 0.3, "steps": 150}, found="lr_high"),
        Recipe(name="gpt2, rate 0.00001", is_trained=True, train={**ADAMW, "lr": 1e-5, "steps": 60}, found="lr_low"),
        Recipe(name="gpt2, rate 0.0003", train={**ADAMW, "lr": 3e-4}, found="lr_low"),
        Recipe(
            name="terrarium, muon at a thousandth",
            family="terrarium",
            train={"muon_lr": 2e-5, "lr": 6e-6, "steps": 60},
            found="lr_low",
        ),
        Recipe(name="noise, muon", family="llama", text="noise", found="plateau"),
        Recipe(
            name="letters by frequency, adamw",
            is_trained=True,
            text="letters",
            train={**ADAMW, "schedule": "constant", "steps": 100},
            found="plateau",
        ),
        Recipe(
            name="terrarium on few stories",
            family="terrarium",
            model={"d_model": 64},
            train={**SMALL_BATCHES, "steps": 120},
            found="overfitting",
            also=DISEASES_OF_FEW,
            **FEW,
        ),
        Recipe(
            name="llama on few stories",
            is_trained=True,
            family="llama",
            model={"n_layer": 1, "d_model": 64},
            train={
                **SMALL_BATCHES,
                "steps": 120,
                "schedule": "constant",
                "precision": "float32",
            },  # the same on every machine
            found="overfitting",
            also=DISEASES_OF_FEW,
            **FEW,
        ),
        Recipe(
            name="a slow llama on few stories",
            family="llama",
            train={**ADAMW, **SMALL_BATCHES, "steps": 150},
            found="little_data",
            also=DISEASES_OF_FEW,
            **FEW,
        ),
        Recipe(
            name="terrarium on few stories, stopped in time",
            is_trained=True,
            family="terrarium",
            train={**SMALL_BATCHES, "steps": 80},
            found="little_data",
            also=DISEASES_OF_FEW,
            **FEW,
        ),
        Recipe(
            name="a validation of a hundred tokens",
            is_trained=True,
            train={**ADAMW, "batch_size": 4, "eval_batches": 1},
            val_fraction=0.0008,
            found="small_validation",
        ),
        Recipe(
            name="bert guessing few words",
            family="bert",
            train={"eval_batches": 1, "steps": 100},
            found="small_validation",
            also=frozenset({"plateau"}),
        ),
    ]


def text_of(name: str) -> str:
    """A text by its name: stories in a language, a few of them, or letters at random."""
    if name == "noise":
        return "".join(random.Random(0).choices("abcdefghijklmnop", k=200_000))
    if name == "letters":
        return "".join(random.Random(0).choices("abcdefgh", weights=range(1, 9), k=200_000))
    if name == "few":
        return "\n".join(stories("English", 4, seed=5))
    return "\n".join(stories(name, 400))


def spec_of(recipe: Recipe, home: Path) -> RunSpec:
    """The spec of a recipe, whose text is a file in `home`."""
    pieces = recipe.vocab_size > 0
    return RunSpec(
        name=f"{recipe.name}, seed {recipe.seed}",
        model=dataclasses.replace(PRESETS[f"{recipe.family}-tiny"], **{**SIZE, **recipe.model}),
        tokenizer=TokenizerSpec(kind="bpe", vocab_size=recipe.vocab_size) if pieces else TokenizerSpec(kind="byte"),
        data=DataSpec(source="files", files=(str(home / f"{recipe.text}.txt"),), val_fraction=recipe.val_fraction),
        train=TrainConfig(**{**TRAIN, **recipe.train, "seed": recipe.seed}),
    )


def train_recipe(recipe: Recipe, library: Library) -> RunFolder:
    """Train it to its end, whatever that is."""
    spec = spec_of(recipe, library.home)
    file = Path(spec.data.files[0])
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text_of(recipe.text), encoding="utf-8")
    return train_spec(spec, library, recipe.raised)


def train_spec(spec: RunSpec, library: Library, raised: float = 1.0) -> RunFolder:
    """Train it to its end; where the training gave up, the folder says so."""
    run = result_of(prepare_run(library, spec))
    trainer = Trainer(run, library, device="cpu")
    try:
        for event in trainer.events():
            if raised != 1 and isinstance(event, TrainMetrics) and event.step == spec.train.steps // 2:
                trainer.set_lr(raised)
    except ValueError:
        assert RunFolder.open(run.folder).status == "failed"
    return RunFolder.open(run.folder)


RECORDED = Path(__file__).with_name("recorded.jsonl")
_COLUMNS = ("step", "loss", "lr", "grad_norm", "val_step", "val_loss", "val_error", "layer_step", "update_ratio")


def write_recorded() -> None:
    """Train all that are not trained in tests, and record their logs."""
    rows = []
    with tempfile.TemporaryDirectory() as home:
        for recipe in (each for each in (*healthy(), *faulty()) if not each.is_trained):
            log = RunLog.read(train_recipe(recipe, Library(Path(home))))
            plain = {"name": recipe.name, "status": log.status, "layers": log.layers, "events": log.events}
            plain |= {"checkpoints": log.checkpoints, "measured": log.measured}
            columns = {name: _rounded(getattr(log, name)) for name in _COLUMNS}
            rows.append(json.dumps(plain | columns, separators=(",", ":")))
    RECORDED.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _rounded(values: Numbers) -> Any:
    """As lists, with null where a value is not finite."""
    if values.ndim > 1:
        return [_rounded(row) for row in values]
    return [json.loads(f"{value:.5g}") if np.isfinite(value) else None for value in values]


@functools.cache
def _recorded() -> Mapping[str, Mapping[str, Any]]:
    """What was logged, by the name of the recipe."""
    rows = map(json.loads, RECORDED.read_text(encoding="utf-8").splitlines())
    return {row["name"]: row for row in rows}


def recorded_log(recipe: Recipe) -> RunLog:
    """The log of a run that was trained when it was recorded."""
    row = _recorded()[recipe.name]
    columns = {name: np.array(row[name], dtype=np.float64) for name in _COLUMNS}
    columns["update_ratio"] = columns["update_ratio"].reshape(-1, len(row["layers"]))
    return RunLog(
        spec=spec_of(recipe, Path()),
        status=row["status"],
        layers=tuple(row["layers"]),
        events=tuple((step, event, detail) for step, event, detail in row["events"]),
        checkpoints=tuple(row["checkpoints"]),
        measured=row["measured"],
        **columns,
    )


if __name__ == "__main__":
    write_recorded()
