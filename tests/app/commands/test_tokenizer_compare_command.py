"""`terrarium tokenizer compare`: several texts, corpora and languages, as tables and as JSON."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.tokenizer import compare
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.data.corpus_texts import language_texts
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tokenizers import encode_text, load_tokenizer, save_tokenizer, train_tokenizer


@pytest.fixture
def named(library: Library, text_file: Path) -> Library:
    """A library with a byte and a BPE tokenizer, and one corpus."""
    text = text_file.read_text(encoding="utf-8")
    for kind, size in (("byte", 0), ("bpe", 300)):
        save_tokenizer(train_tokenizer([text], kind, size), library, kind, {})
    build_text_corpus(library, [text_file], 0.1)
    return library


def test_each_text_is_a_part_of_the_total(named: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "greek.txt"
    file.write_text("Γειά σου, κόσμε", encoding="utf-8")
    words = ["tokenizer", "compare", "byte", "bpe", "--text", "the cat sat", "--data", str(file), "--json"]
    assert main([*words, "--corpus", "text.txt", "--design", "gpt2-tiny"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [part["part"] for part in found["parts"]] == ["your text", "greek.txt", "text.txt"]
    assert found["words"] == sum(part["words"] for part in found["parts"])
    byte, bpe = found["tokenizers"]
    assert byte["tokens"] == found["bytes"]
    tokenizer = load_tokenizer("bpe", named)
    assert bpe["parts"][0]["tokens"] == len(encode_text(tokenizer, "the cat sat"))
    assert bpe["parts"][1]["tokens"] == len(encode_text(tokenizer, "Γειά σου, κόσμε"))
    assert bpe["tokens"] == sum(part["tokens"] for part in bpe["parts"])
    assert bpe["tokens_per_word"] == bpe["tokens"] / found["words"]
    assert bpe["cost"]["context_length"] == PRESETS["gpt2-tiny"].context_length
    assert bpe["cost"]["context_words"] == pytest.approx(bpe["cost"]["context_length"] / bpe["tokens_per_word"])
    assert byte["cost"]["vocabulary_parameters"] == byte["vocab_size"] * PRESETS["gpt2-tiny"].d_model


def test_languages_are_columns(
    named: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "language_texts", partial(language_texts, n=40))
    assert main(["tokenizer", "compare", "byte", "bpe", "--corpus", "languages", "--design", "gpt2-tiny"]) == 0
    out = capsys.readouterr().out.split("\n\n")
    assert out[0].splitlines()[1].split()[:3] == ["byte", "byte", "261"]
    title, heading, *rows = out[1].splitlines()
    assert (title, heading.split()) == ("tokens per word:", ["tokenizer", "English", "French", "German", "Spanish"])
    byte, bpe = (list(map(float, row.split()[1:])) for row in rows)
    assert all(few < many for few, many in zip(bpe, byte, strict=True))
    assert bpe[0] == min(bpe), "it was trained on English"
    assert "vocabulary's parameters" in out[3]


def test_invalid_arguments_are_reported(named: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "compare", "byte"]) == 2
    assert "give --text, --data or --corpus" in capsys.readouterr().err
    assert main(["tokenizer", "compare", "byte", "--text", " "]) == 1
    assert "no words in your text" in capsys.readouterr().err
    assert main(["tokenizer", "compare", "byte", "--corpus", "nowhere"]) == 1
    assert "(text.txt)" in capsys.readouterr().err
    assert main(["tokenizer", "compare", "byte", "--text", "x", "--design", "nothing"]) == 1
    assert "The presets are" in capsys.readouterr().err
