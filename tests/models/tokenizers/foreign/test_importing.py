"""Importing tokenizers into the library."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from terrarium.models.library.library import Library
from terrarium.models.tokenizers import load_tokenizer, read_about, train_tokenizer
from terrarium.models.tokenizers.importing import import_tokenizer
from tests.models.tokenizers.foreign.test_reading import write_words

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "##s"]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "home")


def test_the_imported_files_and_facts(library: Library, tmp_path: Path) -> None:
    folder = write_words(tmp_path / "my bert", WORDS)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert import_tokenizer(folder, library) == "my-bert"
    assert import_tokenizer(folder / "vocab.txt", library) == "my-bert-2"
    kept = library.tokenizers / "my-bert"
    about = read_about(kept)
    assert about["imported_from"] == str(folder)
    assert about["sha256"] == hashlib.sha256((folder / "vocab.txt").read_bytes()).hexdigest()
    assert "Text is lowercased" in about["assumptions"][0]
    assert (about["kind"], about["vocab_size"], about["form"]) == ("wordpiece", 7, "vocab.txt")
    assert (kept / "chat_template.jinja").read_text() == "{{ messages }}"
    assert load_tokenizer("my-bert", library).encode("The cats").tokens == ["[CLS]", "the", "cat", "##s", "[SEP]"]


def test_names(library: Library, tmp_path: Path) -> None:
    folder = write_words(tmp_path / "bert", WORDS)
    assert import_tokenizer(folder, library, "Mine") == "Mine"
    with pytest.raises(ValueError, match="There is a tokenizer called Mine already"):
        import_tokenizer(folder, library, "Mine")
    with pytest.raises(ValueError, match="may not contain"):
        import_tokenizer(folder, library, "a/b")
    train_tokenizer((), "byte", 0).save(str(tmp_path / "special.json"))
    assert import_tokenizer(tmp_path / "special.json", library) == "special"
    for name in ("tokenizer.model.v3", "mistral_240323.model.v7m1"):  # as Mistral's files are called
        (tmp_path / name).write_bytes((tmp_path / "special.json").read_bytes())
    assert import_tokenizer(tmp_path / "tokenizer.model.v3", library) == "tokenizer-v3"
    assert import_tokenizer(tmp_path / "mistral_240323.model.v7m1", library) == "mistral_240323-v7m1"


def test_a_pattern_is_used_only_where_needed(library: Library, tmp_path: Path) -> None:
    train_tokenizer((), "byte", 0).save(str(tmp_path / "whole.json"))
    import_tokenizer(tmp_path / "whole.json", library, pattern="gpt2")
    assert read_about(library.tokenizers / "whole")["assumptions"] == []


def test_a_failed_import_leaves_nothing(library: Library, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("nothing\n")
    with pytest.raises(ValueError, match=r"vocab\.txt is damaged"):
        import_tokenizer(tmp_path, library)
    with pytest.raises(ValueError, match="is missing"):
        import_tokenizer(tmp_path / "not" / "there" / "at all", library)
    assert library.list_tokenizers() == []


def test_a_name_on_the_hub(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = write_words(tmp_path / "snapshot", WORDS), []

    def download(name: str, **options: Any) -> str:
        asked.append((name, "vocab.txt" in options["allow_patterns"], "*.safetensors" in options["allow_patterns"]))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert import_tokenizer("some-one/a-bert", library) == "a-bert"
    assert asked == [("some-one/a-bert", True, False)]
    assert read_about(library.tokenizers / "a-bert")["imported_from"] == "some-one/a-bert on the Hugging Face hub"


def test_an_unreachable_hub_gives_an_error_message(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, **_: Any) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(
        ValueError, match="'some-one/a-bert' is not a local file or folder, and the Hugging Face hub cannot"
    ):
        import_tokenizer("some-one/a-bert", library)

    def refuse(name: str, **_: Any) -> str:
        raise OSError("500 Server Error\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ValueError, match=r"hub failed \(500 Server Error\)\.$"):
        import_tokenizer("some-one/a-bert", library)
