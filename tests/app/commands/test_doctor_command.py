"""`terrarium doctor` on the command line: what it finds, and a command that does work."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from tests.app.commands.test_cli import SPEC, TEXT


@pytest.fixture
def spec(tmp_path: Path, library: Library) -> str:
    """A SPEC.toml beside its text, over an empty library."""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "SPEC.toml").write_text(SPEC.format(steps=12))
    return str(tmp_path / "SPEC.toml")


def test_a_problem_and_the_command_that_fixes_it(
    spec: str, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", spec, "--set", "model.init_std=0.0"]) == 0
    capsys.readouterr()
    assert main(["doctor", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Dead gradients, from step 1\n")
    assert main(["doctor", "tiny", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [diagnosis["kind"] for diagnosis in report["diagnoses"]] == ["dead"]
    command = report["diagnoses"][0]["remedy"]["command"]
    assert command in out

    program, *words = shlex.split(command)
    assert program == "terrarium"
    assert main([*words, "--name", "healed"]) == 0
    assert RunFolder.open(library.find_run("healed")).spec.model.init_std == 0.02
    capsys.readouterr()
    assert main(["doctor", "healed", "--json"]) == 0
    assert "dead" not in {diagnosis["kind"] for diagnosis in json.loads(capsys.readouterr().out)["diagnoses"]}


def test_no_such_run(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_of_a_run_with_few_steps_it_is_too_early_to_tell(
    spec: str, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", spec, "--set", "train.steps=2"]) == 0
    capsys.readouterr()
    assert main(["doctor", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("It is too early to tell")
    assert "Nothing is wrong" not in out
