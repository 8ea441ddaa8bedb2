"""--threads: what models may use of the computer, in the process and in its children."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from terrarium.app import cli
from terrarium.app.cli import main
from terrarium.app.commands.common import THREADS_VARIABLE, using_threads


def test_torch_uses_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    with using_threads(1):
        words = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
        assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "1\n"
    assert THREADS_VARIABLE not in os.environ


@pytest.mark.parametrize("before", [None, "7"])
def test_the_command_runs_with_them_and_the_environment_is_restored(
    before: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(THREADS_VARIABLE, before)
    seen: list[str | None] = []
    monkeypatch.setattr(cli, "_guarded", lambda *_: seen.append(os.environ.get(THREADS_VARIABLE)) or 0)
    assert main(["describe", "gpt2-tiny", "--threads", "3"]) == 0
    assert main(["describe", "gpt2-tiny"]) == 0
    assert seen == ["3", before]
    assert os.environ.get(THREADS_VARIABLE) == before
    assert main(["describe", "gpt2-tiny", "--threads", "none"]) == 2
    assert "'none' is no number of cores" in capsys.readouterr().err
