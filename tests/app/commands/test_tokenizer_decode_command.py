"""`terrarium tokenizer decode`: ids in all formats, and a message for each invalid one."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import encode_prompt, read_tokenizer, train_tokenizer, write_tokenizer


@pytest.fixture
def folder(library: Library, tmp_path: Path) -> Path:
    folder = tmp_path / "bytes"
    write_tokenizer(train_tokenizer([], "byte", 261), folder, {})
    return folder


def test_ids_from_arguments_or_stdin_in_any_format(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = encode_prompt(read_tokenizer(folder / "tokenizer.json"), "cat é<|end|>")
    for written in (list(map(str, ids)), [str(ids)], [json.dumps({"ids": ids})]):
        assert main(["tokenizer", "decode", str(folder), *written]) == 0
        assert capsys.readouterr().out == "cat é<|end|>\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(map(str, ids))))
    assert main(["tokenizer", "decode", str(folder), "-", "--skip-special", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "cat é"
    assert told["tokens"][-3:] == ["⟨C3⟩", "⟨A9⟩", "⟨end⟩"]


def test_invalid_ids_are_reported_and_nothing_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "decode", str(folder), "100", "999", "x", "-3", "261", "y"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "There is no token 999 (2nd): ids range from 0 to 260." in err
    assert "“x” (3rd) is not a whole number." in err
    assert "2 more are not ids either." in err
