"""Importing models as runs, and the import and export commands."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from terrarium.app.cli import main
from terrarium.models import load_model
from terrarium.models.events import Progress, result_of
from terrarium.models.files.atomic import MAX_JSON_BYTES
from terrarium.models.interop.importing import import_model, usual_name
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.foreign.isolated_reading import reader
from terrarium.models.training.trainer import Trainer
from tests.models.interop.support import drive, save_theirs
from tests.models.interop.test_decoders import llama
from tests.models.tokenizers.foreign import hostile


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A Hugging Face folder with a tokenizer, called “small llama”."""
    folder = save_theirs(llama(0, vocab_size=261, num_key_value_heads=2), tmp_path / "small llama")
    train_tokenizer((), "byte", 0).save(str(folder / "tokenizer.json"))
    return folder


def test_an_import_is_a_run_like_any_other(source: Path, library: Library) -> None:
    events, run = drive(import_model(source, library))
    assert [event.done for event in events if isinstance(event, Progress)]
    assert (run.name, run.status, run.folder.parent) == ("small llama", "imported", library.runs)
    assert run.lineage["source"] == {"path": str(source), "format": "hugging-face"}
    [info] = library.list_runs()
    assert (info.status, info.step, info.problem) == ("imported", 0, None)
    assert library.find_run("small llama") == run.folder
    assert drive(import_model(source, library))[1].name == "small llama 2"
    assert drive(import_model(source, library, name="small llama"))[1].name == "small llama"  # as it was asked for
    original, tokenizer = load_model(source)
    copy, again = load_model(run.folder)
    assert copy.config == original.config == run.spec.model
    assert all(torch.equal(copy.state_dict()[name], value) for name, value in original.state_dict().items())
    assert tokenizer is not None
    assert again is not None
    assert again.get_vocab() == tokenizer.get_vocab()
    with pytest.raises(ValueError, match="was imported and cannot be resumed"):
        drive(Trainer(RunFolder.open(run.folder), library).events())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "card", "name"),
    [
        ("small llama", "# Another", "small llama"),
        ("minilm/model", "---\nlicense: apache-2.0\n---\n\n# all-MiniLM-L6-v2\nThis is", "all-MiniLM-L6-v2"),
        ("minilm/model", "# Model Card for small\n", "small"),
        ("minilm/model", None, "minilm"),
        ("minilm/model.gguf", None, "minilm"),
        ("models--sentences--MiniLM/snapshots/c9745ed1d9f207416be6d2e6f8de32d1f16199bf", None, "sentences_MiniLM"),
    ],
)
def test_a_model_is_called_by_what_says_something(tmp_path: Path, path: str, card: str | None, name: str) -> None:
    source = tmp_path / path
    (source.parent if source.suffix else source).mkdir(parents=True)
    if source.suffix:
        source.touch()
    elif card is not None:
        (source / "README.md").write_text(card, "utf-8")
    assert usual_name(source) == name


def test_closing_an_import_leaves_nothing(source: Path, library: Library) -> None:
    importing = import_model(source, library)
    while not isinstance(next(importing), Progress):
        pass
    importing.close()
    assert list(library.runs.iterdir()) == []
    (source / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="does not name the model's class"):
        drive(import_model(source, library))
    assert list(library.runs.iterdir()) == []


def test_the_commands(source: Path, library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        assert main(list(arguments)) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    made = run("import", str(source), "--out", str(tmp_path / "run"))
    assert made.strip() == str(tmp_path / "run")
    assert "exists already" in run("import", str(source), "--out", str(tmp_path / "run"), code=1)
    said = json.loads(run("import", str(source), "--name", "mine", "--json"))
    assert Path(said["run"]).parent == library.runs
    assert said["config"]["n_layer"] == 2
    assert run("export", "mine", "--format", "hf", "--out", str(tmp_path / "hf")).strip() == str(tmp_path / "hf")
    assert "exists already" in run("export", "mine", "--out", str(tmp_path / "hf"), code=1)
    assert "no run called 'other'" in run("export", "other", "--out", str(tmp_path / "x"), code=1)
    assert run("export", "mine", "--format", "gif", "--out", "x", code=2)
    texts = {
        run("generate", str(model), "--prompt", "Hello", "--max-tokens", "5", "--temperature", "0")
        for model in (source, tmp_path / "run", tmp_path / "hf", "mine")
    }
    assert len(texts) == 1
    described = [json.loads(run("describe", str(model), "--json")) for model in (source, tmp_path / "run", "mine")]
    assert len({description["parameters"]["total"] for description in described}) == 1


def deep(folder: Path) -> None:
    (folder / "config.json").write_text('{"architectures": ' + "[" * 200_000)


def long_config(folder: Path) -> None:
    (folder / "config.json").write_bytes(b" " * (MAX_JSON_BYTES + 1))


def long_header(folder: Path) -> None:
    hostile.write_config(folder)
    hostile.write_safetensors(folder / "model.safetensors", b"{}", 2**62)


def hole_as_header(folder: Path) -> None:
    hostile.write_config(folder)
    hostile.write_safetensors(folder / "model.safetensors", b"", 90_000_000)
    os.truncate(folder / "model.safetensors", 100_000_000)


def deep_header(folder: Path) -> None:
    hostile.write_config(folder)
    hostile.write_safetensors(folder / "model.safetensors", b'{"a": ' + b"[" * 200_000)


def shared_trie(folder: Path) -> None:
    hostile.write_config(folder)
    hostile.write_safetensors(folder / "model.safetensors", b"{}")
    hostile.write_shared_trie(folder / "tokenizer.model")


@pytest.mark.parametrize("write", [deep, long_config, long_header, hole_as_header, deep_header, shared_trie])
def test_hostile_folders_are_refused_and_leave_nothing(
    write: Callable[[Path], None], library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    write(folder)
    with pytest.raises(ValueError, match="hostile") as failure:
        result_of(import_model(folder, library))
    assert "\n" not in str(failure.value)
    assert str(failure.value).endswith(".")
    assert not list(library.runs.glob("*"))


def test_closing_an_import_ends_its_reading_of_the_tokenizer(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    hostile.write_config(folder)
    hostile.write_safetensors(folder / "model.safetensors", b"{}")
    hostile.write_endless_ranks(folder / "cl100k.tiktoken")
    work = import_model(folder, library)
    while not isinstance(next(work), Progress):  # it waits for the tokenizer
        pass
    process = psutil.Process(reader().pid)
    work.close()
    assert not process.is_running()
    assert not list(library.runs.glob("*"))
