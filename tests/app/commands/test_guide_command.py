"""`terrarium guide`: the list, one chapter, and what there is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.guide.progress import Progress, write_progress


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path))
    return tmp_path


def test_the_chapters_are_listed_with_what_is_done(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_progress(home, Progress().with_chapter("02-tokens", is_done=True))
    assert main(["guide"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" 1   What is a language model?")
    assert lines[1].startswith(" 2 ✓ Tokens")
    assert main(["guide", "--json"]) == 0
    chapters = json.loads(capsys.readouterr().out)["chapters"]
    assert [chapter["is_done"] for chapter in chapters[:3]] == [False, True, False]
    assert chapters[1]["steps"][0] == "What a model reads"


@pytest.mark.parametrize("wanted", ["2", "02", "tokens", "02-tokens"])
def test_a_chapter_is_printed_without_its_blocks(wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", wanted]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Tokens\n\n## What a model reads\n")
    assert "```" not in out


def test_another_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", "99"]) == 1
    assert "There is no chapter “99”" in capsys.readouterr().err
