"""Small alignments to train in tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.events import AlignMetrics, Event, TrainMetrics
from terrarium.models.files.jsonl import read_rows
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.training.support import make_spec, result_of, train

CONFIG = ModelConfig(n_layer=1, n_head=2, d_model=16, context_length=128)
WISH = "Tiny World 0, wish mentions"
_DRAWN = {"n_prompts": 3, "n_replies": 4, "max_tokens": 12, "end_penalty": 0.0}
_PPO = {"n_prompts": 6, "n_replies": 2, "max_tokens": 12, "end_penalty": 0.0, "beta": 0.0}


def spec_of(
    library: Library,
    parent: RunFolder,
    align: Mapping[str, Any] | None = None,
    data: str = WISH,
    **settings: Any,
) -> RunSpec:
    """A short alignment of `parent`: GRPO, unless `align` names another stage."""
    common = {
        "optimizer": "adamw",
        "lr": 0.02,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup_steps": 0,
        "steps": 6,
        "eval_interval": 0,
        "sample_interval": 0,
        "layer_interval": 0,
        "checkpoint_interval": 3,
    }
    stage = (align or {}).get("stage", "grpo")
    usual = usual_align(stage) | {"grpo": _DRAWN, "ppo": _PPO}.get(stage, {"max_tokens": 12})
    spec = AlignSpec(**usual | dict(align or {}))
    return dataclasses.replace(
        make_spec(library.home, CONFIG, **common | settings),
        name="aligned",
        data=DataSpec(source="dataset", dataset=data, task=spec.task),
        tune=TuneSpec(parent=str(parent.folder), measure_forgetting=False),
        align=spec,
    )


def run_of(
    library: Library, parent: RunFolder, align: Mapping[str, Any] | None = None, data: str = WISH, **settings: Any
) -> RunFolder:
    return result_of(prepare_run(library, spec_of(library, parent, align, data, **settings)))


def share_of_a(reply: str) -> float:
    """A reward that the smallest model learns to earn."""
    return reply.count("a") / max(1, len(reply))


def figures(events: list[Event], *, validation: bool = False) -> list[dict[str, float]]:
    return [
        dict(event.figures) for event in events if isinstance(event, AlignMetrics) and event.is_validation == validation
    ]


def rows_of(run: RunFolder) -> list[dict[str, Any]]:
    """The rows of alignment.jsonl without what depends on the clock."""
    kept = []
    for row in read_rows(run.folder / "alignment.jsonl"):
        timed = {name for name in row["figures"] if "seconds" in name or name.endswith("_per_s")}
        kept.append({"step": row["step"], **{k: v for k, v in row["figures"].items() if k not in timed}})
    return kept


def train_in_two(run: RunFolder, library: Library) -> None:
    """Train, but for a stop at step 4 that keeps nothing, and a resume from the last checkpoint."""
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 4:
            trainer.request_stop(keep=False)
    train(run, library)


def pair(i: int, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    """A row of the task preference, with a prompt of its own for each `i`."""
    return {"messages": [{"role": "user", "content": f"Say {i}"}], "chosen": chosen, "rejected": rejected, **more}


def make_rated(library: Library, name: str = "rated", n_good: int = 20, n_bad: int = 20, **more: Any) -> Corpus:
    """Replies of many letters a that were called good, and others of many letters b that were called bad."""
    rows = [
        {
            "messages": [{"role": "user", "content": f"Say {i}"}],
            "completion": ("a" if i < n_good else "b") * (3 + i % 4) + str(i),
            "label": i < n_good,
            **more,
        }
        for i in range(n_good + n_bad)
    ]
    held_out = [{**row, "messages": [{"role": "user", "content": f"Tell {i}"}]} for i, row in enumerate(rows[::3])]
    return build_examples_corpus(library, rows, held_out, name, None, task="unpaired")


def make_pairs(library: Library, name: str = "pairs", n: int = 40, **more: Any) -> Corpus:
    """Pairs in which a reply of many letters a is preferred to one of many letters b."""
    rows = [pair(i, "a" * (3 + i % 4) + str(i), "b" * (3 + i % 3) + str(i), **more) for i in range(n + 12)]
    return build_examples_corpus(library, rows[:n], rows[n:], name, None, task="preference")
