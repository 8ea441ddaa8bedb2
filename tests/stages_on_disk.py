"""The stages of an alignment as their trainings leave them, with small models of random weights and no training."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import build_model
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.run_spec import DataSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model

CONTEXT = 256


def put_stage(
    library: Library,
    name: str,
    parent: str = "",
    align: str = "",
    *,
    reward_model: str = "",
    created: str = "2026-01-01",
    tokenizer: Tokenizer | None = None,
    figures: dict[str, float] | None = None,
    **settings: Any,
) -> str:
    """A stage called `name`, its id, from the weights of another one, which it keeps; weights differ by the name.

    Args:
        align: its stage of AlignSpec, "" for a base (without a parent) or a fine-tuning. reward_model: the id of that
            which it learned from. figures: what its last validation found. settings: of ModelConfig.
    """
    if align == "reward":
        settings = {"head": "sequence", "n_label": 1, **settings}
    read_by = tokenizer or train_tokenizer([""], "byte", 0)
    put_model(library, read_by, "decoder-only", context_length=CONTEXT, name=name, **settings)
    folder = library.runs / name
    record, run = read_json(folder / "run.json"), RunFolder.open(folder)
    spec = dataclasses.replace(run.spec, data=DataSpec())
    [checkpoint] = (folder / "checkpoints").iterdir()
    _draw_weights(checkpoint, run, name)
    lineage: dict[str, Any] = {"corpus": {"name": "Tiny World 0, edition 1", "sha256": "0"}, "parent": None}
    if parent:
        there = library.runs / parent
        spec = dataclasses.replace(spec, tune=TuneSpec(parent=f"{parent}@40"))
        lineage["parent"] = {"kind": "weights", "run": parent, "name": parent, "step": 40}
        if there.is_dir():
            shutil.copytree(next((there / "checkpoints").iterdir()), folder / "base")
    if align:
        chosen = AlignSpec(**usual_align(align) | {"reward_model": reward_model})
        title = "Tiny World 0, wish happy" if chosen.task == "prompts" else "fair pairs"
        spec = dataclasses.replace(
            spec,
            align=chosen,
            train=TrainConfig(**usual_align_train(align) | {"optimizer": "adamw"}),
            data=DataSpec(source="dataset", dataset=title, task=chosen.task),
        )
        lineage["corpus"] = {"name": title, "sha256": "1"}
        lineage["parent_corpus"] = {"name": "Tiny World 0, edition 1", "sha256": "0"}
    if reward_model:
        lineage["reward_model"] = {"kind": "weights", "run": reward_model, "name": reward_model, "step": 40}
    record |= {"created": created, "spec": spec.to_dict(), "lineage": lineage}
    atomic_write_json(folder / "run.json", record)
    if figures is not None:
        row = {"step": 40, "tokens": 1, "elapsed_s": 2.0, "is_validation": True, "figures": figures}
        _append(folder / "alignment.jsonl", row)
    return name


def put_family(library: Library) -> None:
    """A base, its fine-tuning “sft”, and what was made from that: “rm” → “ppo”, “dpo”, “kto”; beside them “other”."""
    put_stage(library, "base", created="2026-01-01")
    put_stage(library, "sft", "base", created="2026-01-02")
    put_stage(library, "rm", "sft", "reward", created="2026-01-03", figures={"accuracy": 0.875})
    put_stage(library, "dpo", "sft", "dpo", created="2026-01-04", figures={"gold": 0.5, "kl": 2.0})
    put_stage(library, "ppo", "sft", "ppo", reward_model="rm", created="2026-01-05", figures={"gold": 0.75, "kl": 4.0})
    put_stage(library, "kto", "sft", "kto", created="2026-01-06")
    put_stage(library, "other", created="2026-01-07")


def _draw_weights(checkpoint: Path, run: RunFolder, name: str) -> None:
    """Weights of its own for each name, so that stages say different things."""
    with torch.random.fork_rng():
        torch.manual_seed(sum(name.encode()))
        weights = build_model(run.spec.model).state_dict()
    wider = {key: (value * 3 if value.is_floating_point() else value).contiguous() for key, value in weights.items()}
    safetensors.torch.save_file(wider, checkpoint / "model.safetensors")


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
