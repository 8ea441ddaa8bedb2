"""The command line, run in-process on a tiny model: results on stdout, the rest on stderr, exit codes as promised."""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.commands import parser
from terrarium.app.commands.generate import Generate
from terrarium.app.commands.options import add_options, read_options
from terrarium.app.commands.parser import COMMANDS, TOOLS
from terrarium.app.commands.progress import ProgressLine
from terrarium.app.commands.replying import sampling_from
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.evaluation.record import read_evaluation
from terrarium.models.events import Event, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.sampling_config import NUMERIC_SETTINGS, SamplingConfig
from terrarium.models.training import prepare
from tests.models.every_cut import EVERY_CUT
from tests.models.recipes.conftest import train_here

TEXT = "The cat sat on the mat. The dog ate the cake. Where is the cat? On the mat.\n" * 60
SPEC = """
[run]
name = "tiny"
[model]
n_layer = 1
n_head = 2
d_model = 16
context_length = 32
position = "rope"
[tokenizer]
kind = "byte"
[data]
files = ["text.txt"]
[train]
steps = {steps}
batch_size = 2
eval_interval = 2
checkpoint_interval = 1000
"""


LITTLE = ["--set", "train.batch_size=2", "--set", "train.sample_interval=0", "--set", "train.eval_batches=1"]
"""Makes a step of a preset a quick one."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library with one trained run, called tiny; beside it text.txt and SPEC.toml."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    (folder / "SPEC.toml").write_text(SPEC.format(steps=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRARIUM_HOME", str(folder / "home"))
        assert main(["train", str(folder / "SPEC.toml")]) == 0
        yield folder


def test_train_prints_the_run_last(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(home / "SPEC.toml"), "--name", "other", "--steps", "3"]) == 0
    out, err = capsys.readouterr()
    run = RunFolder.open(Path(out.splitlines()[-1]))
    assert (run.name, run.status, run.spec.train.steps) == ("other", "finished", 3)
    assert "Training" in err
    assert "validation" in err
    assert "\r" not in err  # no bar where there is no terminal


def test_train_by_options_and_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--preset", "gpt2-tiny", "--data", str(home / "text.txt"), "--tokenizer", "char", "--steps", "1"]
    assert main([*words, "--vocab-size", "280", "--json", "--device", "cpu", *LITTLE]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["status"], result["step"], result["name"]) == ("finished", 1, "text-gpt2-tiny")
    assert RunFolder.open(Path(result["run"])).spec.model.vocab_size <= 280
    kinds = {json.loads(line)["event"] for line in err.splitlines()}
    assert {"Phase", "RunStarted", "Finished"} <= kinds


def test_train_with_an_existing_tokenizer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out_dir = str(home / "bpe")
    assert main(["tokenizer", "train", "--data", str(home / "text.txt"), "--vocab-size", "270", "--out", out_dir]) == 0
    assert capsys.readouterr().out.strip() == out_dir
    words = ["train", str(home / "SPEC.toml"), "--steps", "1"]
    assert main([*words, "--tokenizer", out_dir]) == 2
    assert "already says what to train: omit --tokenizer" in capsys.readouterr().err
    words = ["train", "--preset", "gpt2-tiny", "--data", str(home / "text.txt"), "--steps", "1"]
    assert main([*words, "--tokenizer", out_dir, "--vocab-size", "300"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert main([*words, "--tokenizer", out_dir, *LITTLE]) == 0
    run = RunFolder.open(Path(capsys.readouterr().out.strip()))
    assert run.spec.model.vocab_size == 270


def test_a_tokenizer_is_trained_on_a_corpus_of_the_library(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = build_text_corpus(Library(), [home / "text.txt"], 0.1)
    words = ["tokenizer", "train", "--vocab-size", "270", "--out", str(home / "bpe")]
    assert main([*words, "--corpus", "text.txt"]) == 0
    assert capsys.readouterr().out.strip() == str(home / "bpe")
    assert json.loads((home / "bpe" / "about.json").read_text())["trained_on"] == [str(corpus.path("train"))]
    assert main([*words, "--corpus", "nothing"]) == 1
    assert "There is no corpus called 'nothing'" in capsys.readouterr().err
    assert main([*words, "--corpus", "text.txt", "--data", "text.txt"]) == 2


def test_bad_specs_are_bad_usage(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = home / "bad.toml"
    bad.write_text(SPEC.format(steps=4) + "stepz = 3\n")
    assert main(["train", str(bad)]) == 2
    assert "stepz" in capsys.readouterr().err
    assert main(["train", str(home / "missing.toml")]) == 2
    assert "missing.toml cannot be read" in capsys.readouterr().err
    assert main(["train", "--resume", "tiny", "--steps", "9"]) == 2
    assert main(["train", "--preset", "gpt9"]) == 2
    assert main(["train", "--steps", "0", "--data", str(home / "text.txt")]) == 2


def test_resuming_a_finished_or_missing_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", "tiny"]) == 0
    assert capsys.readouterr().out.strip() == str(Library().find_run("tiny"))
    assert main(["train", "--resume", "giant"]) == 1
    assert "no run called 'giant'" in capsys.readouterr().err


def test_a_run_is_trained_longer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--like", "tiny", "--name", "short"]) == 0
    first = RunFolder.open(Path(capsys.readouterr().out.strip()))
    assert main(["train", "--longer", "short"]) == 0
    longer = RunFolder.open(Path(capsys.readouterr().out.strip()))
    assert (longer.name, longer.status, longer.spec.train.steps) == ("short, 8 steps", "finished", 8)
    assert longer.lineage["parent"] == {"run": first.id, "name": "short", "step": 4}
    assert [row["step"] for row in longer.read_metrics() if row["kind"] == "train"] == list(range(1, 9))
    assert main(["queue", "add", "--longer", "short", "--steps", "6"]) == 0
    assert "short, 6 steps   resumes" in capsys.readouterr().out
    assert main(["queue", "remove", "short, 6 steps"]) == 0
    capsys.readouterr()
    assert main(["train", "--longer", "short", "--set", "train.lr=0.1"]) == 2
    assert "use --fork" in capsys.readouterr().err


def test_a_run_like_another_and_a_fork(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", "train.lr=0.001", "--set", "train.checkpoint_interval=2"]
    assert main(["train", "--like", "tiny", *changes, "--set", "model.n_layer=2", "--name", "like"]) == 0
    run = RunFolder.open(Path(capsys.readouterr().out.strip()))
    assert (run.spec.train.lr, run.spec.model.n_layer, run.spec.train.steps) == (0.001, 2, 4)
    assert main(["train", "--fork", "like@2", "--steps", "6", "--set", "lr=0.002", "--name", "fork"]) == 0
    fork = RunFolder.open(Path(capsys.readouterr().out.strip()))
    assert fork.lineage["parent"] == {"run": run.id, "name": "like", "step": 2}
    assert (fork.spec.train.lr, fork.spec.model.n_layer, fork.read_metrics()[-1]["step"]) == (0.002, 2, 6)
    for words, status, sentence in (
        (["--fork", "like@3"], 1, "has no checkpoint of step 3"),
        (["--fork", "like", "--set", "model.n_layer=3"], 2, "omit model.n_layer"),
        (["--fork", "like", "--like", "tiny"], 2, "omit like"),
        (["--like", "tiny", "--set", "lr"], 2, "is not a setting with a value"),
        (["--like", "tiny", "--preset", "gpt2-tiny"], 2, "tiny already says what to train"),
        (["--resume", "tiny", "--set", "lr=1"], 2, "omit set"),
    ):
        assert main(["train", *words]) == status
        assert sentence in capsys.readouterr().err


def test_a_runs_settings_and_curves_are_exported(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "tiny", "--format", "toml", "--out", str(home / "tiny.toml")]) == 0
    assert main(["train", str(home / "tiny.toml"), "--name", "from toml"]) == 0
    again = RunFolder.open(Path(capsys.readouterr().out.splitlines()[-1]))
    assert again.spec.train == RunFolder.open(Library().find_run("tiny")).spec.train
    for out, sentence in ((home / "tiny.toml", "exists already"), (home, "is a folder")):
        assert main(["export", "tiny", "--format", "toml", "--out", str(out)]) == 1
        assert sentence in capsys.readouterr().err
    assert main(["export", "tiny", "--format", "tensorboard", "--out", str(home / "board"), "--json"]) == 0
    folder = Path(json.loads(capsys.readouterr().out)["out"])
    assert folder.parent == home / "board"
    assert [file.name.startswith("events.out.tfevents") for file in folder.iterdir()] == [True]


def test_the_queue_trains_all_items(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = home / "gone.txt"
    gone.write_text(TEXT, encoding="utf-8")
    spec = home / "gone.toml"
    spec.write_text(SPEC.format(steps=2).replace("text.txt", "gone.txt"))
    assert main(["queue", "add", "--data", str(home / "nothing.txt")]) == 2
    assert "nothing.txt does not exist" in capsys.readouterr().err
    assert main(["queue", "add", str(spec), "--name", "without text"]) == 0
    assert main(["queue", "add", "--like", "tiny", "--set", "steps=2", "--name", "second"]) == 0
    assert main(["queue", "add", "--like", "tiny", "--set", "steps=3", "--name", "third"]) == 0
    assert main(["queue", "move", "third", "1"]) == 0
    capsys.readouterr()
    assert main(["queue", "list", "--json"]) == 0
    waiting = json.loads(capsys.readouterr().out)["waiting"]
    assert [item["name"] for item in waiting] == ["third", "without text", "second"]
    gone.unlink()
    assert main(["queue", "run", "--json"]) == 1
    outcomes = json.loads(capsys.readouterr().out)["runs"]
    assert [one["status"] for one in outcomes] == ["finished", "failed", "finished"]
    assert "gone.txt" in outcomes[1]["problem"]
    assert main(["queue", "list"]) == 0
    assert "without text   could not start: " in capsys.readouterr().out
    assert main(["queue", "run"]) == 1, "it is tried again"
    assert capsys.readouterr().out.startswith("failed     without text")
    assert main(["queue", "add", "--resume", "tiny", "--steps", "9"]) == 2
    assert "omit steps" in capsys.readouterr().err
    assert main(["queue", "remove", "without text"]) == 0
    assert capsys.readouterr().out == "The queue is empty.\n"
    assert main(["queue", "remove", "nothing"]) == 1
    assert "not in the queue: it is empty" in capsys.readouterr().err


def test_a_sweep_prints_its_best_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--like", "tiny", "--name", "swept", "--values", "lr=0.000001,0.02", "--json"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["sweep"] == "sweep-swept"
    assert [run["values"]["train.lr"] for run in result["runs"]] == [0.02, 0.000001]
    assert main([*words[:-1], "--random", "2", "--range", "batch_size=2..4", "--wait"]) == 0
    assert capsys.readouterr().out.count("swept lr=") == 2
    assert main(["queue", "run"]) == 0
    assert capsys.readouterr().out.startswith("finished   swept lr=")
    with RunQueue(Library()).draining():
        assert main(words) == 1
    assert "Another window or command" in capsys.readouterr().err
    assert RunQueue(Library()).items() == [], "nothing half done"
    assert main([*words, "--range", "batch_size=2..4"]) == 2
    assert "needs --random N" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_stops_and_saves_and_the_run_resumes(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = home / "long.toml"
    spec.write_text(SPEC.format(steps=100_000).replace("eval_interval = 2", "eval_interval = 0"))
    press_at(TrainMetrics, monkeypatch)
    assert main(["train", str(spec), "--name", "long", "--json"]) == 130
    out, _ = capsys.readouterr()
    result = json.loads(out)
    run = RunFolder.open(Path(result["run"]))
    assert (run.status, result["status"]) == ("stopped", "stopped")
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert int(checkpoint.name.removeprefix("step-")) == result["step"] > 0

    press_at(RunStarted, monkeypatch)
    assert main(["train", "--resume", "long", "--json"]) == 130
    started = next(json.loads(line) for line in capsys.readouterr().err.splitlines() if "RunStarted" in line)
    assert started["step"] == result["step"]


@pytest.mark.slow
@pytest.mark.usefixtures("little_quickstart")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize("by_queue", [False, True])
def test_a_quick_start_that_was_interrupted_is_resumed_and_evaluated(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by_queue: bool
) -> None:
    monkeypatch.setattr(prepare, "train_in_child", train_here)
    press_at(TrainMetrics, monkeypatch, "quickstart")
    assert main(["quickstart", "--minutes", "0.001", "--device", "cpu"]) == 130
    assert "held-out accuracy" not in capsys.readouterr().out
    (run,) = library.list_runs()
    assert run.status == "stopped"
    if by_queue:
        assert main(["queue", "add", "--resume", run.id]) == 0
        assert main(["queue", "run", "--device", "cpu"]) == 0
        assert not RunQueue(library).items()
    else:
        assert main(["train", "--resume", run.id, "--device", "cpu", "--json"]) == 0
    evaluated = read_evaluation(run.folder)
    assert evaluated is not None
    if not by_queue:
        result = json.loads(capsys.readouterr().out)
        assert (result["status"], result["accuracy"]) == ("finished", evaluated.accuracy)


def press_at(kind: type[Event], monkeypatch: pytest.MonkeyPatch, command: str = "train") -> None:
    """From now on Ctrl-C is pressed when a training says this for the first time."""
    said: list[Event] = []

    class PressingLine(ProgressLine):
        def show(self, event: Event) -> None:
            super().show(event)
            if isinstance(event, kind) and not said:
                said.append(event)
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(f"terrarium.app.commands.{command}.ProgressLine", PressingLine)


def test_generate_prints_the_completion_only(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "tiny", "--prompt", "The cat", "--max-tokens", "8", "--temperature", "0"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "8 generated at" in err
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert out == result["text"] + "\n"
    assert (len(result["ids"]), result["reason"], result["n_prompt"]) == (8, "length", 7)
    assert main([*words, "--temperature", "1", "--top-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ids"] == result["ids"]


@pytest.mark.parametrize("name", NUMERIC_SETTINGS)
def test_every_setting_of_the_draw_is_an_option(name: str) -> None:
    value = EVERY_CUT.get(name, {name: 1})[name]
    parser = argparse.ArgumentParser()
    add_options(parser, Generate)
    parsed = parser.parse_args(["tiny", "--prompt", "x", f"--{name.replace('_', '-')}", str(value)])
    assert sampling_from(read_options(Generate, parsed).sampling) == SamplingConfig(**{name: value})


def test_generate_reads_stdin_and_any_form_of_model(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Library().find_run("tiny")
    checkpoint = RunFolder.open(folder).latest_checkpoint()
    texts = set()
    for model in ("tiny", folder.name, str(folder), str(checkpoint)):
        monkeypatch.setattr(sys, "stdin", io.StringIO("The cat"))
        assert main(["generate", model, "--prompt", "-", "--max-tokens", "4", "--seed", "3"]) == 0
        texts.add(capsys.readouterr().out)
    assert len(texts) == 1


def test_generate_failures_are_sentences(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "tiny", "--prompt", ""]) == 1
    assert capsys.readouterr().err == (
        "terrarium: The prompt is empty, but a model needs at least one token to continue: write something.\n"
    )
    assert main(["generate", "tiny", "--prompt", "x" * 99]) == 1
    assert "context takes 32" in capsys.readouterr().err
    assert main(["generate", "nobody", "--prompt", "x"]) == 1
    assert main(["generate", "tiny", "--prompt", "x", "--top-p", "7"]) == 2
    assert main(["generate", "tiny"]) == 2
    log = Library().log_file.read_text()
    assert "Traceback" in log
    assert "generate failed" in log


def test_chat_talks_line_by_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["chat", "tiny", "--max-tokens", "3", "--temperature", "0"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n\nAre you there?\n"))
    assert main([*words, "--json"]) == 0
    messages = json.loads(capsys.readouterr().out)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
    assert [message["content"] for message in messages[::2]] == ["Hi", "Are you there?"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n/reset\nHi\n"))
    assert main([*words, "--system", "Be kind."]) == 0
    first, second = capsys.readouterr().out.split("\n")[:2]
    assert first == second


def test_describe(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "gpt2-124m", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"]["total"] == 124_439_808
    assert facts["parameters"]["total"] == sum(n for name, n in facts["parameters"].items() if name != "total")
    assert main(["describe", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "1 layers, 2 heads, 16 wide, vocabulary 261" in out
    assert "estimated" in out
    assert main(["describe", "nothing"]) == 1
    assert "The presets are terrarium-tiny" in capsys.readouterr().err
    assert main(["describe", "gpt2-tiny", "--length", "9999"]) == 1


def test_tokenizer_commands(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    char = str(home / "char")
    words = ["tokenizer", "train", "--data", str(home / "text.txt"), "--kind", "char", "--vocab-size", "999"]
    assert main([*words, "--out", char, "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["kind"], about["folder"]) == ("char", char)
    assert "instead of 999" in about["notice"]
    assert main(["tokenizer", "encode", char, "--text", "cat <|end|>"]) == 0
    ids = capsys.readouterr().out.split()
    assert min(map(int, ids)) > 4
    assert main(["tokenizer", "decode", char, *ids]) == 0
    assert capsys.readouterr().out == "cat <|end|>\n"
    assert main(["tokenizer", "encode", char, "--special", "--text", "cat<|end|>", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == ["c", "a", "t", "⟨end⟩"]
    assert main(["tokenizer", "compare", char, "byte", "--text", "cat é"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[1:4] for row in rows[1:]] == [["char", str(about["vocab_size"]), "6"], ["byte", "261", "6"]]
    monkeypatch.setattr(sys, "stdin", io.StringIO("a b"))
    assert main(["tokenizer", "inspect", char, "--text", "-", "--json"]) == 0
    pieces = json.loads(capsys.readouterr().out)["pieces"]
    assert [(piece["start"], piece["end"], piece["display"]) for piece in pieces] == [
        (0, 1, "a"),
        (1, 2, "·"),
        (2, 3, "b"),
    ]
    assert main(["tokenizer", "inspect", char]) == 0
    assert "<|pad|> 0" in capsys.readouterr().out
    assert main(["tokenizer", "decode", char, "99999"]) == 1
    assert main(["tokenizer", "encode", "nobody", "--text", "x"]) == 1
    assert main(["tokenizer", "train", "--data", "nowhere.txt", "--out", str(home / "x")]) == 1
    assert "nowhere.txt is missing" in capsys.readouterr().err
    assert main(["tokenizer", "train", *words[2:6], "--vocab-size", "100", "--out", str(home / "x")]) == 1
    assert "use 261 " in capsys.readouterr().err


def test_help_names_every_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert {line.split()[0] for line in out.splitlines() if line.startswith("    ")} >= {*COMMANDS, *TOOLS}
    assert main(["dance"]) == 2
    for name in (*COMMANDS, *TOOLS):
        assert main([name, "--help"]) == 0
        text = capsys.readouterr().out
        of_actions = ("tokenizer", "models", "data", "queue", "find", "trash", "align", "extension", "block")
        if name not in of_actions:  # there each action has them
            assert "--json" in text
            assert "--device" in text


def test_where_the_tools_are_not_installed_a_sentence_says_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parser, "_CHECKOUT", tmp_path)
    assert main(["bench"]) == 2
    assert "bench is a tool for developers, and is not installed" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "bench" not in capsys.readouterr().out


def test_a_broken_home_does_not_stop_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "file"))
    assert main(["describe", "gpt2-tiny"]) == 0
    assert "Nothing will be logged" in capsys.readouterr().err


def test_commands_start_without_torch_and_qt() -> None:
    code = (
        "import sys; from terrarium.app.commands.parser import make_parser, COMMANDS, TOOLS\n"
        "for name in (*COMMANDS, *TOOLS): make_parser([name])\n"
        "sys.exit(', '.join({'torch', 'PySide6'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.fixture(scope="module")
def families(home: Path) -> dict[str, str]:
    """A run of one step of each other topology, by its topology."""
    names = {"encoder-only": "bert-tiny", "encoder-decoder": "t5-tiny"}
    for topology, preset in names.items():
        words = ["--data", str(home / "text.txt"), "--tokenizer", "byte", "--steps", "1", "--name", topology]
        assert main(["train", "--preset", preset, *words, *LITTLE]) == 0
    return names


def test_generate_fills_the_masks_of_an_encoder(
    home: Path, families: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "encoder-only", "--prompt", "The [MASK]at s[MASK]t."]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err.count("mask ") == 2
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert out == result["text"] + "\n"
    assert [len(candidates) for candidates in result["masks"]] == [5, 5]
    probabilities = [candidate["probability"] for candidate in result["masks"][0]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert main(["generate", "encoder-only", "--prompt", "The cat."]) == 1
    assert "to fill: put it where a word is missing" in capsys.readouterr().err
    assert main(["chat", "encoder-only"]) == 1
    assert "An encoder cannot chat" in capsys.readouterr().err


def test_generate_answers_with_an_encoder_decoder(
    home: Path, families: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "generate",
        "encoder-decoder",
        "--prompt",
        "The <|extra_0|> sat.",
        "--max-tokens",
        "6",
        "--temperature",
        "0",
    ]
    assert main([*words, "--json"]) == 0
    greedy = json.loads(capsys.readouterr().out)
    assert 1 <= greedy["n_tokens"] <= 6
    assert main([*words, "--beams", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["hypotheses"][0]["ids"], found["text"]) == (greedy["ids"], greedy["text"])
    assert main([*words, "--beams", "3", "--json"]) == 0
    scores = [row["score"] for row in json.loads(capsys.readouterr().out)["hypotheses"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert main([*words, "--beams", "-1"]) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_a_full_disk_keeps_the_log_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "terrarium.log").symlink_to("/dev/full")
    assert main(["doctor", "nobody"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"Terrarium {version('llm-terrarium')}\n"
