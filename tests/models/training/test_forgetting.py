"""What a model forgets in fine-tuning: measured before and after, kept in the run's folder, and said in a sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from terrarium.app.cli import main as run_command
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.evaluation import held_out_questions
from terrarium.models.evaluation.record import read_forgetting
from terrarium.models.events import Event, KnowledgeMeasured, Notice
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tiny_world import corpus as tiny_world
from terrarium.models.tiny_world.questions import KINDS
from terrarium.models.training import forgetting
from terrarium.models.training.batches import warn_new_turn_tokens
from terrarium.models.training.estimates.batch_finder import find_batch
from terrarium.models.training.estimates.findings import DataPreview
from terrarium.models.training.estimates.forecast import forecast
from terrarium.models.training.estimates.lr_finder import find_lr
from terrarium.models.training.estimates.preview import preview_data
from terrarium.models.training.estimates.trial import prepared_run
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.training.support import make_run, numbers, result_of, train

CHATS = [
    {"messages": [{"role": "user", "content": f"Say {i}."}, {"role": "assistant", "content": f"{i}! " * 3}]}
    for i in range(9)
]
QUIET: dict[str, Any] = {"eval_interval": 0, "sample_interval": 0, "checkpoint_interval": 100, "prompts": ()}


@pytest.fixture
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Tiny World of few rows, of which few and short answers are asked for."""
    monkeypatch.setattr(tiny_world, "N_TRAIN", 40)
    monkeypatch.setattr(tiny_world, "N_VAL", 6)
    monkeypatch.setattr(forgetting, "N_PER_KIND", 4)
    monkeypatch.setattr(forgetting, "N_PER_ROUND", 2)
    monkeypatch.setattr(held_out_questions, "MAX_REPLY_TOKENS", 2)


def tuned_spec(library: Library, parent: RunFolder, train: dict[str, Any] | None = None, **tune: Any) -> RunSpec:
    build_examples_corpus(library, CHATS, CHATS[:2], "talks", None, task="chat")
    settings: dict[str, Any] = {"steps": 4, "batch_size": 2, "optimizer": "adamw", "lr": 0.01}
    return RunSpec(
        name="tuned",
        model=parent.spec.model,
        tokenizer=TokenizerSpec(),
        data=DataSpec(source="dataset", dataset="talks", task="chat"),
        train=TrainConfig(**(settings | QUIET | (train or {}))),
        tune=TuneSpec(parent=parent.id, **tune),
    )


def tuned(library: Library, parent: RunFolder, train: dict[str, Any] | None = None, **tune: Any) -> RunFolder:
    return result_of(prepare_run(library, tuned_spec(library, parent, train, **tune)))


def measured(events: list[Event]) -> list[KnowledgeMeasured]:
    return [event for event in events if isinstance(event, KnowledgeMeasured)]


def test_kinds_of_a_parent_from_tiny_world(library: Library, tiny_config: ModelConfig, small_world: None) -> None:
    spec = RunSpec(
        name="world",
        model=dataclasses.replace(tiny_config, context_length=128),
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(source="tiny-world"),
        train=TrainConfig(steps=1, batch_size=1, **QUIET),
    )
    parent = result_of(prepare_run(library, spec))
    train(parent, library)
    run = tuned(library, parent, old_share=0.5)
    before, after = measured(train(run, library))
    assert (before.step, after.step) == (0, 4)
    assert [figure.kind for figure in before.figures] == list(KINDS)
    assert {figure.n for event in (before, after) for figure in event.figures} == {4}
    kept = read_forgetting(run.folder)
    assert kept is not None
    assert (kept.before, kept.after) == (before, after)
    assert kept.sentence().startswith("What it had learned from Tiny World 0, edition 2: knowledge 0 → 0 %, requests 0")
    assert measured(train(run, library)) == []  # of a finished run, nothing is measured again


def test_loss_of_a_parent_of_another_text_and_a_run_that_was_interrupted(
    library: Library, tiny_config: ModelConfig
) -> None:
    parent = make_run(library, tiny_config, steps=30, lr=0.02)
    train(parent, library)
    run, whole = (tuned(library, parent, {"checkpoint_interval": 2}) for _ in range(2))
    events = train(whole, library)
    trainer, first = Trainer(RunFolder.open(run.folder), library, device="cpu"), []
    for event in trainer.events():
        first.append(event)
        if trainer.step == 2:
            trainer.request_stop(status="paused")
    assert [event.step for event in measured(first)] == [0]
    last = measured(train(run, library))
    assert [event.step for event in last] == [4]
    assert last[0].figures == measured(events)[1].figures
    assert numbers(run) == numbers(whole)
    kept = read_forgetting(run.folder)
    assert kept is not None
    ((was, now),) = kept.changes
    assert was.kind == now.kind == "loss"
    assert now.value > was.value  # replies to conversations drive the text out
    assert kept.sentence() == f"What it had learned from text.txt: loss {was.value:.3f} → {now.value:.3f} nats/token."
    sentences = [event.sentence for event in events if isinstance(event, Notice)]
    assert any(
        "'text.txt', which has no conversations, so the tokens that begin and end a turn are new" in s
        for s in sentences
    )


def test_it_can_be_turned_off_and_changes_no_training(library: Library, tiny_config: ModelConfig) -> None:
    parent = make_run(library, tiny_config, steps=1)
    train(parent, library)
    runs = [tuned(library, parent, measure_forgetting=wanted) for wanted in (True, False)]
    found = [measured(train(run, library)) for run in runs]
    assert [len(events) for events in found] == [2, 0]
    assert read_forgetting(runs[1].folder) is None
    assert numbers(runs[0]) == numbers(runs[1])


def test_lora_without_the_token_rows_is_advised_against(library: Library, tiny_config: ModelConfig) -> None:
    parent = make_run(library, tiny_config, steps=1)
    train(parent, library)
    said = {}
    for rows in (False, True):
        events = train(tuned(library, parent, mode="lora", train_embeddings=rows), library)
        said[rows] = " ".join(event.sentence for event in events if isinstance(event, Notice))
    assert "Train all weights, or the token rows too." in said[False]
    assert "token rows" not in said[True]


def test_old_rows_of_a_parent_whose_text_is_gone(library: Library, tiny_config: ModelConfig) -> None:
    parent = make_run(library, tiny_config, steps=1)
    train(parent, library)
    (library.corpora / parent.made_from("corpus")[:12] / "about.json").unlink()
    with pytest.raises(ValueError, match=r"What 'small' was trained on is not in this library, so no old rows"):
        tuned(library, parent, old_share=0.2)
    assert len(list(library.runs.iterdir())) == 1
    assert measured(train(tuned(library, parent), library)) == []


def test_old_rows_are_in_what_is_tried_out_before(library: Library, tiny_config: ModelConfig) -> None:
    parent = make_run(library, tiny_config, steps=1)
    train(parent, library)
    shown, read = {}, {}
    for share in (0.0, 0.5):
        spec = tuned_spec(library, parent, old_share=share)
        (preview,) = [e for e in forecast(library, spec, "cpu", measured=False) if isinstance(e, DataPreview)]
        shown[share] = {b"".join(p.bytes for p in each.target.pieces[:3]) for each in preview.examples}
        read[share] = preview.epochs
        run = RunFolder.open(tuned(library, parent, old_share=share).folder)
        assert result_of(preview_data(prepared_run(library, run))) == preview
        assert list(find_lr(library, spec, "cpu", n_steps=2))
        assert result_of(find_batch(library, spec, "cpu", below=2)).largest == 1
    assert shown[0.0] == {b"<|user|> S"}
    assert shown[0.5] - shown[0.0]
    assert read[0.5] < read[0.0]


@pytest.mark.parametrize("damage", ["{", json.dumps({"before": {"step": 0}, "after": None}), "[]"])
def test_a_damaged_record_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / "forgetting.json").write_text(damage, encoding="utf-8")
    with pytest.raises(ValueError, match=r"forgetting\.json"):
        read_forgetting(tmp_path)


def test_the_command_says_what_was_forgotten(
    library: Library, tiny_config: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = make_run(library, tiny_config, steps=1)
    train(parent, library)
    build_examples_corpus(library, CHATS, CHATS[:2], "talks", None, task="chat")
    given = ["data.source=dataset", "data.dataset=talks", "train.eval_interval=0", "train.batch_size=2"]
    options = ["--from", parent.id, "--steps", "2", *(word for change in given for word in ("--set", change))]
    assert run_command(["train", *options]) == 0
    out, err = capsys.readouterr()
    found = read_forgetting(Path(out.strip()))
    assert found is not None
    assert found.sentence() in err
    assert "What it had learned from text.txt: loss " in err
    assert run_command(["train", *options, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["forgetting"]
    assert [shown[when]["figures"][0]["kind"] for when in ("before", "after")] == ["loss", "loss"]


@pytest.mark.parametrize(("task", "is_new"), [("language", True), ("text-to-text", False), ("chat", False)])
def test_turns_are_new_to_a_model_only_where_it_learned_none(library: Library, task: str, is_new: bool) -> None:
    pair = {"source": "red", "target": "rouge"}
    said = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello!"}]}
    row = {"language": {"text": "Some text."}, "text-to-text": pair, "chat": said}[task]
    old = build_examples_corpus(library, [row] * 4, [row], "old", None, task=task)
    new = build_examples_corpus(library, [pair] * 4, [pair], "new", None, task="text-to-text")
    sentence = warn_new_turn_tokens(new, old, ChatTemplateConfig(), TuneSpec(parent="old"))
    assert bool(sentence) == is_new
