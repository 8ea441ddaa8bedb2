"""Fine-tuning by commands: train --from, export --format peft, import --base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.model_config import ModelConfig
from tests.models.training.support import TEXT, make_run, train

LITTLE = ["--steps", "2", "--set", "train.batch_size=2", "--set", "train.eval_interval=0", "--device", "cpu", "--json"]


@pytest.fixture
def parent(library: Library, tiny_config: ModelConfig) -> RunFolder:
    run = make_run(library, tiny_config, steps=2, sample_interval=0, eval_interval=0)
    train(run, library)
    return run


def test_a_run_from_weights_and_its_adapter(
    library: Library, parent: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.txt").write_text(TEXT, encoding="utf-8")
    words = ["train", "--from", f"{parent.name}@2", "--mode", "lora", "--data", str(tmp_path / "more.txt")]
    assert main([*words, "--set", "tune.lora_r=2", *LITTLE]) == 0
    run = RunFolder.open(Path(json.loads(capsys.readouterr().out.splitlines()[-1])["run"]))
    assert run.name == "small@2-more"
    assert run.spec.tune is not None
    assert (run.spec.tune.mode, run.spec.tune.lora_r) == ("lora", 2)
    assert (run.spec.train.optimizer, run.spec.train.lr) == ("adamw", 5e-3)
    assert main(["export", run.id, "--format", "peft", "--out", str(tmp_path / "adapter")]) == 0
    assert main(["import", str(tmp_path / "adapter"), "--base", parent.id, "--name", "back", "--json"]) == 0
    back = RunFolder.open(library.find_run("back"))
    ours, again = (load_model(one.folder)[0].state_dict() for one in (run, back))
    assert all(weight.equal(again[name]) for name, weight in ours.items())


def test_a_model_of_conversations_has_nothing_to_score(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello!"}]}
    build_examples_corpus(library, [said] * 4, [said], "talks", None, task="chat")
    words = ["train", "--preset", "gpt2-tiny", "--dataset", "talks", "--tokenizer", "byte", "--name", "talker"]
    assert main([*words, "--set", "model.n_layer=1", "--set", "model.d_model=16", *LITTLE]) == 0
    assert main(["evaluate", "talker", "--device", "cpu"]) == 1
    assert "talks is for chat, which has no answers to be scored" in capsys.readouterr().err


def test_a_task_is_told_by_its_metric_and_not_by_bits_per_byte(
    library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": "anna smiles", "label": "glad"}, {"text": "ben cries", "label": "sad"}]
    build_examples_corpus(library, rows * 4, rows, "moods", None, task="classification")
    words = ["train", "--preset", "bert-tiny", "--dataset", "moods", "--tokenizer", "byte", "--set", "model.n_layer=1"]
    words += ["--set", "model.d_model=16", "--set", "model.vocab_size=261", "--device", "cpu", "--steps", "1"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["metric"] == "macro_f1"
    assert told.keys().isdisjoint({"bits_per_byte", "perplexity"})
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "nats per row" in said
    assert "Macro F1" in said
    assert "bits/byte" not in said


def test_a_settings_file_with_a_parent(library: Library, parent: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(TEXT, encoding="utf-8")
    spec = tmp_path / "tuned.toml"
    spec.write_text(f'[tune]\nparent = "{parent.id}"\nmode = "last"\n[data]\nfiles = ["more.txt"]\n', encoding="utf-8")
    assert main(["train", str(spec), *LITTLE]) == 0
    run = RunFolder.open(library.find_run("tuned"))
    assert run.spec.model == parent.spec.model
    assert run.spec.train.optimizer == "adamw"


def test_a_stage_of_alignment(library: Library, parent: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [[{"role": "user", "content": content}] for content in ("Hm?", "What?")]
    pairs = [{"messages": messages, "chosen": "Yes.", "rejected": "No."} for messages in asked]
    rated = [{"messages": messages, "completion": "Yes.", "label": True} for messages in asked]
    build_examples_corpus(library, pairs[:1], pairs[1:], "pairs", None, task="preference")
    build_examples_corpus(library, rated[:1], rated[1:], "rated", None, task="unpaired")
    common = ["train", "--from", "small", *LITTLE, "--set", "tune.measure_forgetting=false"]
    for stage, dataset, task in (("dpo", "pairs", "preference"), ("kto", "rated", "unpaired")):
        words = ["--stage", stage, "--dataset", dataset, "--set", "align.beta=0.3", "--set", "align.max_tokens=4"]
        assert main([*common, *words]) == 0
        run = RunFolder.open(library.find_run(json.loads(capsys.readouterr().out)["run"]))
        assert run.spec.align is not None
        assert (run.spec.align.stage, run.spec.align.beta, run.spec.data.task) == (stage, 0.3, task)
        assert (run.name, run.spec.train.lr, run.status) == (f"small-{stage}", 1e-3, "finished")
    assert main([*common, "--stage", "dpo", "--dataset", "rated"]) == 1
    assert "learns from preferences, and from nothing else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["train", "--from", "nobody"], "no run called 'nobody'"),
        (["train", "--from", "small", "--preset", "gpt2-tiny"], "omit --preset"),
        (["train", "--from", "small", "--set", "model.n_layer=3"], "omit model.n_layer"),
        (["train", "--mode", "lora"], "name the model with --from"),
        (["train", "--stage", "dpo"], "name the model with --from"),
        (["train", "--from", "small", "--stage", "ppo"], "name it with --dataset"),
        (["train", "--from", "small", "--mode", "head"], "head is its embedding table"),
        (["export", "small", "--format", "peft", "--out", "x"], "no LoRA adapter"),
        (["import", "adapter"], "name the model that it belongs to with --base"),
        (["import", "nothing", "--base", "small"], "is not an adapter"),
    ],
)
def test_what_cannot_be_done(
    library: Library,
    parent: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert main(words) in (1, 2)
    assert complaint in capsys.readouterr().err


def test_what_is_not_said_is_proposed_from_the_data(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": f"anna {'smiles' if n % 2 else 'cries'} {n} times", "label": "ab"[n % 2]} for n in range(40)]
    build_examples_corpus(library, rows[4:], rows[:4], "moods", None, task="classification", labels=("a", "b"))
    words = ["train", "--preset", "bert-tiny", "--dataset", "moods", "--set", "model.n_layer=1", "--device", "cpu"]
    words += ["--set", "model.d_model=16", "--set", "train.lr=0.001"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "times through your 36 rows." in shown.err
    train = RunFolder.open(library.find_run(shown.out.strip().splitlines()[-1])).spec.train
    assert train.steps < 200
    assert train.lr == 0.001
    assert 8 <= train.steps / train.eval_interval <= 14
    assert len(train.prompts) == 2
    assert main([*words, "--steps", "5"]) == 0
    again = RunFolder.open(library.find_run(capsys.readouterr().out.strip().splitlines()[-1])).spec.train
    assert (again.steps, again.eval_interval, again.batch_size) == (5, 1, train.batch_size)
    words = words[1:]
    assert main(["queue", "add", *words]) == 0
    assert main(["sweep", *words, "--values", "train.lr=0.001,0.002", "--wait"]) == 0
    waiting = [item.spec for item in RunQueue(library).items()]
    assert [one.train.lr for one in waiting if one is not None] == [0.001, 0.001, 0.002]
    assert {one.train.batch_size for one in waiting if one is not None} == {train.batch_size}
    assert {one.train.steps for one in waiting if one is not None} == {train.steps}
    assert main(["find", "cost", *words]) == 0
    assert "times through your 36 rows." in capsys.readouterr().err


def test_a_fork_that_lengthens_a_run_is_validated_in_all_of_it(
    library: Library, parent: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--fork", "small", "--steps", "12", "--name", "longer", "--device", "cpu"]) == 0
    train = RunFolder.open(library.find_run("longer")).spec.train
    assert (train.steps, train.checkpoint_interval) == (12, 1)
    assert main(["train", "--fork", "small", "--steps", "12", "--set", "checkpoint_interval=7", "--name", "own"]) == 0
    assert RunFolder.open(library.find_run("own")).spec.train.checkpoint_interval == 7
