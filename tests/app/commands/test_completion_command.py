"""`terrarium completion`: scripts that shells can read, and what Tab offers in bash."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.completion import completion_script
from terrarium.app.commands.parser import COMMANDS
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig

pytest.importorskip("shtab")
BASH = shutil.which("bash")
in_bash = pytest.mark.skipif(BASH is None, reason="there is no bash here")


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return {shell: completion_script(shell) for shell in ("bash", "zsh", "fish")}


def completed(script: str, folder: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of the words, as when Tab is pressed there."""
    program = """
eval "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_terrarium
printf '%s\\n' "${COMPREPLY[@]}"
"""
    assert BASH is not None
    arguments = [BASH, "--norc", "-c", program, "bash", script, "terrarium", *words]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_each_script_names_all_commands(scripts: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for shell, script in scripts.items():
        assert all(name in script for name in COMMANDS), shell
        assert "train.lr" in script
        places = ("NAMES", "KIND", "HOME", "FILES", "SETTINGS")
        assert not [place for place in places if f"@{place}@" in script], "each is filled in"
    assert main(["completion", "fish"]) == 0
    assert "complete -c terrarium" in capsys.readouterr().out
    assert main(["completion", "tcsh"]) == 2


@in_bash
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_its_script(shell: str, scripts: dict[str, str], tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    script = tmp_path / "script"
    script.write_text(scripts[shell], encoding="utf-8")
    subprocess.run([program, "-n", str(script)], check=True, timeout=60)


@in_bash
def test_bash_completes_commands_options_and_choices(scripts: dict[str, str], tmp_path: Path) -> None:
    def offered(*words: str) -> list[str]:
        return completed(scripts["bash"], tmp_path, *words)

    assert offered("qu") == ["quickstart", "queue"]
    assert offered("queue", "") == ["list", "add", "move", "remove", "run"]
    assert offered("train", "--res") == ["--resume"]
    assert offered("tokenizer", "train", "--kind", "w") == ["wordpiece", "word"]
    assert offered("train", "--set", "train.l") == ["train.lr=", "train.layer_interval="]
    assert offered("settings", "train.l") == ["train.lr", "train.layer_interval"]
    assert offered("completion", "f") == ["fish"]


@in_bash
def test_bash_completes_files_and_names_of_the_library(library: Library, tmp_path: Path) -> None:
    for name in ("20261203-100000-tiny", "20261204-100000-other"):
        (library.runs / name).mkdir(parents=True)
    (library.tokenizers / "my pieces").mkdir(parents=True)
    library.save_design("gpt2-mine", ModelConfig())
    (library.corpora / "0123456789ab").mkdir(parents=True)
    (library.corpora / "0123456789ab" / "about.json").write_text(
        json.dumps({"label": "my mails", "bytes": 1}, indent=1)
    )
    (tmp_path / "my.txt").write_text("")
    script = completion_script("bash")

    def offered(*words: str) -> list[str]:
        return completed(script, tmp_path, *words)

    assert offered("doctor", "20261203") == ["20261203-100000-tiny"]
    assert offered("generate", "202612") == ["20261203-100000-tiny", "20261204-100000-other"]
    assert offered("tokenizer", "inspect", "my") == ["my pieces", "my.txt"]
    assert offered("data", "show", "my") == ["my mails", "my.txt"]
    assert offered("train", "--preset", "gpt2-m") == ["gpt2-mine"]
    assert offered("train", "--data", "my") == ["my.txt"]
    assert offered("import", "my") == ["my.txt"]
