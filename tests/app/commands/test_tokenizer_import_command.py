"""`terrarium tokenizer import`, and other formats wherever a tokenizer is expected."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.library.library import Library

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "##s"]


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


def test_import_prints_the_result_and_the_assumptions(
    library: Library, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tokenizer", "import", str(bert)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bert: kind wordpiece, 7 tokens, from vocab.txt"
    assert lines[1].startswith("Text is lowercased")
    assert main(["tokenizer", "encode", "bert", "--text", "the cats"]) == 0
    assert capsys.readouterr().out == "4 5 6\n"
    assert main(["tokenizer", "import", str(bert), "--name", "mine", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["imported_from"]) == ("mine", str(bert))
    assert main(["tokenizer", "import", str(bert), "--name", "mine"]) == 1
    assert "There is a tokenizer called mine already" in capsys.readouterr().err


def test_a_pattern_is_requested(library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranks = tmp_path / "mine.tiktoken"
    ranks.write_bytes(b"".join(base64.b64encode(bytes([b])) + b" %d\n" % b for b in range(256)))
    assert main(["tokenizer", "import", str(ranks)]) == 1
    assert "choose a pattern, one of gpt2, cl100k" in capsys.readouterr().err
    assert main(["tokenizer", "import", str(ranks), "--pattern", "cl100k"]) == 0
    assert "with the pattern cl100k, as chosen during the import" in capsys.readouterr().out


def test_other_formats_are_accepted_wherever_a_tokenizer_is_expected(
    library: Library, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for where in (bert, bert / "vocab.txt"):
        assert main(["tokenizer", "encode", str(where), "--text", "The cats"]) == 0
        assert capsys.readouterr().out == "4 5 6\n"
    (bert / "vocab.txt").write_text("nothing\n")
    assert main(["tokenizer", "encode", str(bert), "--text", "a"]) == 1
    assert "vocab.txt is damaged" in capsys.readouterr().err
