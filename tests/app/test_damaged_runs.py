"""Whatever is missing from a run's folder or cut off: commands and window say it in a sentence, and nothing raises."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.session.session import Session
from terrarium.models.architecture.transformer import build_model
from terrarium.models.corpora.corpus import open_run_corpus
from terrarium.models.evaluation.record import read_evaluation, write_evaluation
from terrarium.models.events import Evaluated, KindAccuracy, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.checkpoint import read_checkpoint
from terrarium.models.training.trainer import Trainer
from tests.app.heard import Heard
from tests.models.training.support import make_run

RECORD = ["format", "id", "name", "created", "status", "spec", "threads", "best_step", "lineage"]
SPEC = [f"spec.{part}" for part in ("name", "model", "tokenizer", "data", "train")]
LINEAGE = [f"lineage.{key}" for key in ("tokenizer", "corpus", "parent")]
STATE = ["format", "step", "tokens", "elapsed_s", "lr_scale", "validated_step", "val_loss", "sampled_step", "n_sampled"]
STATE += ["best_step", "best_loss", "log_sizes", "made_with", "optimizer", "model", "log_sizes.metrics"]
ABOUT = ["format", "kind", "source", "label", "seed", "bytes", "chats", "sha256", "digests", "digests.val"]
EVALUATION = ["accuracy", "kinds", "seconds"]
KEYS = {"run.json": [*RECORD, *SPEC, *LINEAGE], "state.json": STATE, "about.json": ABOUT, "evaluation.json": EVALUATION}

FILES = ["run.json", "tokenizer.json", "metrics.jsonl", "samples.jsonl", "events.jsonl", "evaluation.json"]
FILES += ["model.safetensors", "optimizer.safetensors", "state.json", "about.json", "train.txt", "val.txt"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with one run, which was stopped in its midst and has all kinds of files."""
    library = Library(tmp_path_factory.mktemp("whole") / "home")
    config = ModelConfig(vocab_size=261, context_length=16, n_layer=1, n_head=2, d_model=16)
    settings = {"steps": 3, "eval_interval": 2, "eval_batches": 1, "sample_interval": 2, "sample_tokens": 2}
    run = make_run(library, config, **settings)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 2:
            trainer.request_stop()
    shares = {"accuracy": 0.5, "most_frequent": 0.1, "last_mentioned": None, "without_story": None}
    kinds = (KindAccuracy(kind="reading", n=4, **shares),)
    write_evaluation(run.folder, Evaluated(accuracy=0.5, kinds=kinds, seconds=1.0))
    (run.folder / "lock").unlink(missing_ok=True)
    return library.home


def damaged_runs(whole: Path, library: Library, file: str, by: str) -> Iterator[tuple[str, Path]]:
    """The run with each damage to one of its files in turn, as the only one in `library`: what was done, its folder.

    Each damage is shown to one of the two, commands or window, by turns, and so is each key, missing or strange, also
    by turns: what reads the file is the same, and is asked of every key below.
    """
    i_by, i_file = ("commands", "window").index(by), FILES.index(file)
    damages = [damage for i, damage in enumerate(("gone", "empty", "half", "less a byte")) if (i + i_file) % 2 == i_by]
    for i, key in enumerate(KEYS.get(file, ())):
        if i % 2 == i_by:
            damages.append(f"{('without', 'strange')[i // 2 % 2]} {key}")
    for damage in damages:
        shutil.rmtree(library.home, ignore_errors=True)
        shutil.copytree(whole, library.home, dirs_exist_ok=True)  # the window may have made it anew
        folder, path = find(library, file)
        do_damage(path, damage)
        yield damage, folder


def find(library: Library, file: str) -> tuple[Path, Path]:
    """The folder of the only run, and a file of its own or of its text."""
    (folder,) = library.runs.iterdir()
    (path,) = {*folder.rglob(file), *library.corpora.rglob(file)}
    return folder, path


def do_damage(path: Path, damage: str) -> None:
    what, _, key = damage.partition(" ")
    match what:
        case "gone":
            path.unlink()
        case "empty":
            os.truncate(path, 0)
        case "half":
            os.truncate(path, path.stat().st_size // 2)
        case "less":
            os.truncate(path, path.stat().st_size - 1)
        case _:
            record = inner = json.loads(path.read_text())
            *outer, last = key.split(".")
            for name in outer:
                inner = inner[name]
            if what == "without":
                del inner[last]
            else:
                inner[last] = ["strange"]
            path.write_text(json.dumps(record))


def is_sentence(text: str) -> bool:
    """Whether it is one for people: no class of Python's, nothing unforeseen."""
    return text.endswith(".") and not any(word in text for word in ("unexpected", "Error", "Traceback", "literal"))


@pytest.mark.parametrize("file", KEYS)
def test_each_key_is_read_or_missed_in_a_sentence(whole: Path, library: Library, file: str) -> None:
    shutil.copytree(whole, library.home)
    folder, path = find(library, file)
    model = build_model(RunFolder.open(folder).spec.model)
    checkpoint = RunFolder.open(folder).latest_checkpoint()
    assert checkpoint is not None
    undamaged = path.read_text("utf-8")
    for key in KEYS[file]:
        for what in ("without", "strange"):
            do_damage(path, f"{what} {key}")
            said = "It is read."
            try:
                open_run_corpus(library, RunFolder.open(folder))
                read_checkpoint(checkpoint, model)
                read_evaluation(folder)
            except ValueError as error:
                said = str(error)
            assert is_sentence(said), (what, key)
            path.write_text(undamaged, "utf-8")


@pytest.mark.parametrize("file", FILES)
def test_commands_say_it_in_a_sentence(
    whole: Path, library: Library, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    generate = ["generate", "--prompt", "Anna", "--max-tokens", "1"]
    for damage, folder in damaged_runs(whole, library, file, "commands"):
        for command in (["describe"], generate, ["train", "--resume"]):
            code = main([*command, str(folder)])
            last = capsys.readouterr().err.strip().split("\n")[-1]
            assert code == 0 or (code == 1 and last.startswith("terrarium: ") and is_sentence(last)), (damage, last)


@pytest.mark.parametrize("file", FILES)
def test_the_window_says_it_in_a_sentence(
    whole: Path,
    library: Library,
    session: Session,
    heard: Heard,
    until: Callable[[Callable[[], bool]], None],
    file: str,
) -> None:
    for damage, _ in damaged_runs(whole, library, file, "window"):
        heard.failures.clear()
        session.runs.check()
        (info,) = session.runs.list()
        session.runs.spec(info.id)
        session.runs.rename(info.id, "another name")
        if session.chat.open(info.id):
            until(lambda: session.chat.state in ("ready", "none"))
        if session.training.resume_run(info.id):
            until(lambda: not session.training.active)
            state = session.training.state
            assert state is not None
            assert state.status == "finished" or state.problem in heard.failures, damage
        assert all(is_sentence(sentence) for sentence in heard.failures), (damage, heard.failures)
        session.runs.delete([info.id])
        assert session.runs.list() == [], damage
