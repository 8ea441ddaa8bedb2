"""`terrarium tokenizer inspect`: statistics of a vocabulary, its use in a corpus, and search."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.tokenizer.inspect_ import COLUMNS, USES
from terrarium.app.tokenizer.vocabulary.token_finder import USE_FILTERS
from terrarium.app.tokenizer.vocabulary.vocabulary_table import TITLES
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import encode_text, load_tokenizer, save_tokenizer, train_tokenizer

TEXT = "The cat sat on the mat. The dog ate the cake. Where is the cat? On the mat.\n" * 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library with the tokenizers “mine” and “pieces”, and a corpus; beside it counted.txt."""
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    (folder / "counted.txt").write_text("the cat, the mat", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRARIUM_HOME", str(folder / "home"))
        for name, kind, size in (("mine", "bpe", 280), ("pieces", "unigram", 290)):
            save_tokenizer(train_tokenizer([TEXT], kind, size), Library(), name, {})
        build_text_corpus(Library(), [folder / "text.txt"], 0.1)
        yield folder


def inspect(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["tokenizer", "inspect", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_text_is_shown_as_tokens_only(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["tokenizer", "inspect", "mine", "--text", "the cat"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine: kind bpe, 280 tokens"
    assert lines[1].startswith("special: <|pad|> 0, ")
    assert lines[2].split() == ["id", "bytes", "token"]
    assert lines[-1].endswith("3–7  ·cat")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a b"))
    about = inspect(capsys, "mine", "--text", "-")
    assert set(about) == {"tokenizer", "kind", "vocab_size", "special_tokens", "pieces"}
    assert "".join(piece["display"] for piece in about["pieces"]) == "a·b"
    assert main(["tokenizer", "inspect", "mine", "--data", str(home / "counted.txt")]) == 0
    assert "types:" not in capsys.readouterr().out


def test_without_a_text_the_vocabulary_is_described(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = inspect(capsys, "mine")
    assert (about["model"], about["vocab_size"], about["pieces"]) == ("BPE", 280, [])
    assert sum(about["types"].values()) == 280
    assert about["types"]["special"] == 5
    assert about["merges"] == 280 - 5 - 256
    assert len(about["longest"]) == 20
    assert "usage" not in about
    assert "tokens" not in about
    assert main(["tokenizer", "inspect", "mine"]) == 0
    out = capsys.readouterr().out
    assert "model: BPE, 19 merges" in out
    assert "types: special 5, byte " in out
    assert "unreachable: 13, not produced by any text" in out


def test_counting_on_a_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(home / "counted.txt")
    ids = encode_text(load_tokenizer("mine", Library()), "the cat, the mat")
    usage = inspect(capsys, "mine", "--corpus", path)["usage"]
    assert (usage["corpus"], usage["bytes"], usage["tokens"]) == ("counted.txt", 16, len(ids))
    assert usage["occurring"] == len(set(ids))
    assert usage["uses"]["once"] == sum(ids.count(id) == 1 for id in set(ids))
    assert usage["share_once"] == usage["uses"]["once"] / len(set(ids))
    assert usage["glitch_candidates"] == usage["uses"]["never"] + usage["uses"]["unreachable"]
    assert sum(usage["uses"].values()) == 280
    assert main(["tokenizer", "inspect", "mine", "--corpus", path]) == 0
    out, err = capsys.readouterr()
    assert f"16 B of counted.txt are {len(ids)} tokens" in out
    assert "Counting" in err


def test_counting_on_a_corpus_of_the_library(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = inspect(capsys, "mine", "--corpus", "text.txt")["usage"]
    assert (usage["corpus"], usage["bytes"]) == ("text.txt", len(TEXT))


def test_searching_for_tokens(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = inspect(capsys, "mine", "--find", "/^ .*at$/")
    assert about["found"] == len(about["tokens"]) > 0
    for token in about["tokens"]:
        assert token["text"].startswith(" ")
        assert token["text"].endswith("at")
        assert bytes.fromhex(token["bytes"]).decode() == token["text"]
        assert token["rank"] >= 0
    assert [token["id"] for token in inspect(capsys, "mine", "--find", "#7")["tokens"]] == [7]
    assert main(["tokenizer", "inspect", "mine", "--type", "byte", "--limit", "3"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-5].split() == ["id", "bytes", "type", "token"]
    assert out[-1].endswith("more: --limit 0 lists all")
    assert main(["tokenizer", "inspect", "mine", "--find", "·the"]) == 0
    assert "·the  = " in capsys.readouterr().out
    scores = [token["score"] for token in inspect(capsys, "pieces", "--sort", "made", "--limit", "0")["tokens"]]
    known = [score for score in scores if score is not None]
    assert known == sorted(known)


def test_every_use_and_column_of_the_browser_is_supported() -> None:
    assert set(USES) == set(USE_FILTERS)
    assert set(COLUMNS) == set(TITLES)


def test_counts_filter_and_sort(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = ["--corpus", str(home / "counted.txt")]
    about = inspect(capsys, "mine", *corpus, "--use", "produced", "--sort", "count", "--descending")
    counts = [token["count"] for token in about["tokens"]]
    assert counts == sorted(counts, reverse=True)
    assert about["found"] == about["usage"]["occurring"]
    assert {token["use"] for token in about["tokens"]} <= {"repeated", "once"}
    assert main(["tokenizer", "inspect", "mine", *corpus, "--find", "·the"]) == 0
    assert "count  token" in capsys.readouterr().out


def test_csv_has_the_tokens_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "out.csv"
    assert main(["tokenizer", "inspect", "mine", "--csv", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"280 tokens written to {path}"
    assert len(path.read_text(encoding="utf-8").splitlines()) >= 281
    about = inspect(capsys, "mine", "--find", "at", "--limit", "1", "--csv", str(path))
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == about["found"] > len(about["tokens"]) == 1
    assert all("at" in line["token"] for line in lines)
    assert about["csv"] == str(path)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--find", "/(a/"], 1, "Invalid regular expression"),
        (["--use", "once"], 2, "add --corpus"),
        (["--sort", "count"], 2, "add --corpus"),
        (["--corpus", "nowhere"], 1, "no corpus called 'nowhere': choose one of tiny-world, stdlib, a text file"),
        (["--text", "a", "--data", "b"], 2, "not allowed with"),
    ],
)
def test_usage_errors_are_reported(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    assert main(["tokenizer", "inspect", "mine", *words]) == code
    out, err = capsys.readouterr()
    assert sentence in err
    assert out == ""
