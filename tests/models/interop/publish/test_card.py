"""Model cards: what a run's records say, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from terrarium.models.evaluation.record import write_evaluation
from terrarium.models.events import Evaluated, HeldOutAnswer, KindAccuracy
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.interop.publish.card import model_card
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.tune_spec import TuneSpec
from tests.runs_on_disk import make_run

CONFIG = PRESETS["terrarium-tiny"]
LINEAGE: dict[str, Any] = {
    "corpus": {"name": "Tiny World 0", "sha256": "fc4a9ddf6909" * 5},
    "tokenizer": {"name": "small", "sha256": "cd702cab5b12" * 5},
    "parent": None,
}


@pytest.fixture
def folder(library: Library) -> Path:
    return make_run(library, CONFIG, "Anna", losses=(3.0, 2.0, 2.5), lineage=LINEAGE, seed=7, batch_size=6)


def card_of(folder: Path, licence: str = "") -> str:
    return model_card(RunFolder.open(folder), CONFIG, licence=licence)


def test_it_says_how_the_run_was_made(folder: Path) -> None:
    card = card_of(folder)
    assert "# Anna\n" in card
    assert "A decoder-only transformer with" in card
    assert "Trained from scratch." in card
    assert "Data: Tiny World 0 (SHA-256 fc4a9ddf6909…)." in card
    assert "3 steps of 6 texts of up to 256 tokens" in card
    assert "seed 7" in card
    assert "Lowest validation loss 2.0000 nats per token, at step 2." in card
    assert 'from_pretrained("Anna", trust_remote_code=True)' in card
    assert "a small invented world, and knows nothing else" in card
    assert "Held-out" not in card
    assert "Samples" not in card


def test_its_front_matter_is_yaml_for_the_hub(folder: Path) -> None:
    facts = yaml.safe_load(card_of(folder, "cc0-1.0").split("---\n")[1])
    assert facts == {
        "license": "cc0-1.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["terrarium"],
    }
    assert "license" not in yaml.safe_load(card_of(folder).split("---\n")[1])


def test_held_out_answers_stand_beside_their_baselines(folder: Path) -> None:
    kinds = (
        KindAccuracy(kind="reading", n=24, accuracy=0.75, most_frequent=0.25, last_mentioned=0.5),
        KindAccuracy(kind="sums", n=12, accuracy=0.5, most_frequent=0.0),
    )
    answers = (HeldOutAnswer(kind="sums", question="What is 1 plus 2?", gold="3", reply="4", right=False),)
    write_evaluation(folder, Evaluated(accuracy=0.625, kinds=kinds, seconds=1.0, answers=answers))
    card = card_of(folder)
    assert (
        "| kind | questions | this model | always the most frequent answer | always what was mentioned last |" in card
    )
    assert "| reading | 24 | 75 % | 25 % | 50 % |".replace(" %", "\u00a0%") in card.replace(" %", "\u00a0%")
    assert "– |" in card
    assert "What is 1 plus 2? → “4” (wrong: 3)" in card
    [entry] = yaml.safe_load(card.split("---\n")[1])["model-index"]
    assert entry["results"][0]["metrics"][0]["value"] == 0.625
    assert entry["results"][0]["dataset"]["name"] == "Tiny World 0"


@pytest.mark.parametrize(
    ("tune", "words"),
    [
        ({"mode": "lora", "lora_r": 4, "lora_alpha": 16.0}, "LoRA of rank 4 (alpha 16), merged into the weights here."),
        ({"mode": "last", "n_last": 2}, "the last 2 layers, with the final norm and the head."),
        ({"mode": "head", "train_embeddings": True}, "the head alone; and the embedding table."),
        ({"mode": "all"}, "all weights."),
    ],
)
def test_a_fine_tuning_says_what_it_trained_and_how_long_its_texts_were(
    folder: Path, tune: dict[str, Any], words: str
) -> None:
    record = read_json(folder / "run.json")
    spec = dataclasses.replace(RunFolder.open(folder).spec, tune=TuneSpec(parent="Ben", max_length=88, **tune))
    atomic_write_json(folder / "run.json", record | {"spec": spec.to_dict()})
    card = card_of(folder)
    assert f"- Trained: {words}\n" in card
    assert "3 steps of 6 texts of up to 88 tokens" in card


def test_samples_are_unedited(folder: Path) -> None:
    rows = [
        {"step": step, "prompt": "Anna", "seed": 0, "text": f" has ```{step}```\n\nballs", "top": []}
        for step in range(1, 6)
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    card = card_of(folder)
    assert "At step 5, given\n\n```\nAnna\n```\n\nit wrote\n\n````\n has ```5```\n\nballs\n````\n" in card
    assert "```2```" not in card


def test_a_parent_is_named(library: Library) -> None:
    folder = make_run(
        library, CONFIG, "child", lineage={**LINEAGE, "parent": {"run": "a", "name": "Anna", "step": 900}}
    )
    assert "Started from the weights of “Anna” at step 900." in card_of(folder)


def test_it_is_loaded_by_the_name_that_it_has(folder: Path) -> None:
    card = model_card(RunFolder.open(folder), CONFIG, address="anna/small")
    for auto_class in ("AutoTokenizer", "AutoModelForCausalLM"):  # transformers asks in both where it is not said
        assert f'{auto_class}.from_pretrained("anna/small", trust_remote_code=True)' in card
