"""Tokenizers on disk and from a child process: saving, loading, and error messages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from terrarium.models.events import Notice, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import (
    encode_text,
    load_tokenizer,
    read_texts,
    save_tokenizer,
    train_in_child,
    train_tokenizer,
)

TEXT = "The cat sat on the mat. " * 50


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "home"))
    return Library()


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_saved_tokenizer_is_found_by_name_folder_and_file(library: Library) -> None:
    tokenizer = train_tokenizer([TEXT], "bpe", 270)
    folder = save_tokenizer(tokenizer, library, "cats", {"trained_on": ["text.txt"]})
    for where in ("cats", folder, str(folder / "tokenizer.json")):
        assert encode_text(load_tokenizer(where, library), TEXT) == encode_text(tokenizer, TEXT)
    (info,) = library.list_tokenizers()
    assert (info.name, info.kind, info.vocab_size, info.problem) == ("cats", "bpe", 270, None)
    assert json.loads((folder / "about.json").read_text())["trained_on"] == ["text.txt"]
    with pytest.raises(ValueError, match="called cats already"):
        save_tokenizer(tokenizer, library, "cats", {})


def test_missing_and_damaged_tokenizers_are_named(library: Library) -> None:
    with pytest.raises(ValueError, match=r"no tokenizer at dogs.*the library has none yet"):
        load_tokenizer("dogs", library)
    folder = save_tokenizer(train_tokenizer([TEXT], "char", 270), library, "cats", {})
    with pytest.raises(ValueError, match="the library has cats"):
        load_tokenizer("dogs", library)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged or not a tokenizer"):
        load_tokenizer("cats", library)


def test_the_child_trains_the_same_tokenizer(text_file: Path, tmp_path: Path, library: Library) -> None:
    list(train_in_child([text_file], "bpe", 270, tmp_path / "out"))
    child = load_tokenizer(tmp_path / "out", library)
    assert child.to_str() == train_tokenizer([TEXT], "bpe", 270).to_str()


def test_the_child_reports_each_merge_of_long_trainings(text_file: Path, tmp_path: Path) -> None:
    events = list(train_in_child([text_file], "bpe", 16_384, tmp_path / "out"))
    stages = [event.name for event in events if isinstance(event, Phase)]
    assert stages[-3:] == ["Counting words", "Counting pairs", "Learning merges"]
    assert [event.total for event in events if isinstance(event, Progress)][-1] >= 9


def test_the_child_reports_the_size_reached(text_file: Path, tmp_path: Path) -> None:
    events = list(train_in_child([text_file], "char", 5000, tmp_path / "out"))
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert "instead of 5,000" in notice.sentence


def test_the_child_reads_examples(tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.jsonl"
    examples = [{"text": "xyz"}, {"messages": [{"role": "user", "content": "abc"}]}]
    path.write_text("\n".join(json.dumps(example) for example in examples))
    list(train_in_child([path], "char", 300, tmp_path / "out"))
    vocabulary = load_tokenizer(tmp_path / "out", library).get_vocab()
    assert set("xyzabc ") <= vocabulary.keys()
    assert '"' not in vocabulary
    for line in ('{"txt": 1}', '{"text": 1}', '{"messages": [{"content": null}]}', "[" * 100_000):
        path.write_text(line)
        with pytest.raises(ValueError, match="line 1: not an example"):
            list(read_texts([path]))
    with pytest.raises(ValueError, match="line 1: not an example"):
        list(train_in_child([path], "char", 300, tmp_path / "out2"))
    monkeypatch.setattr("terrarium.models.tokenizers.making.texts._LONGEST_LINE", 100)
    path.write_text('{"text": "a"}\n{"text": "' + "x" * 200)
    with pytest.raises(ValueError, match="line 2: not an example, as it has over 100 characters"):
        list(read_texts([path]))


def test_errors_of_the_child_are_raised(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"caf\xe9 " * 100)
    with pytest.raises(ValueError, match="not UTF-8"):
        list(train_in_child([path], "bpe", 300, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"gone\.txt is missing"):
        list(train_in_child([tmp_path / "gone.txt"], "bpe", 300, tmp_path / "out"))


def test_a_crash_gives_an_error_message(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"]
    monkeypatch.setattr("terrarium.models.tokenizers.making.child.own_command", lambda: crash)
    with pytest.raises(ValueError, match="crashed, code -6: try a smaller text"):
        list(train_in_child([text_file], "bpe", 300, tmp_path / "out"))


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The children, which do nothing but sleep."""
    children: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def remember(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        children.append(start(*args, **kwargs))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr("terrarium.models.tokenizers.making.child.subprocess.Popen", remember)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr("terrarium.models.tokenizers.making.child.own_command", lambda: sleeper)
    return children


def test_closing_kills_the_child(text_file: Path, tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]) -> None:
    events = train_in_child([text_file], "bpe", 300, tmp_path / "out")
    next(events)
    next(events)  # comes although the child says nothing
    assert sleepers[0].poll() is None
    events.close()
    assert sleepers[0].poll() is not None


def test_a_child_needs_neither_torch_nor_qt(tmp_path: Path) -> None:
    code = (
        "import sys; from terrarium.app.cli import main; code = main(sys.argv[1:]); "
        "bad = {'torch', 'PySide6', 'numpy'} & sys.modules.keys(); sys.exit(str(bad) if bad else code)"
    )
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    arguments = [
        "tokenizer",
        "train",
        "--json",
        "--data",
        str(path),
        "--vocab-size",
        "270",
        "--out",
        str(tmp_path / "t"),
    ]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["vocab_size"] == 270
