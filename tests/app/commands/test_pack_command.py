"""`terrarium pack` and `terrarium unpack`, and a file as the only argument."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.shell import launch
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.run_file.packing import pack_run
from terrarium.models.settings.model_config import ModelConfig
from tests import ROOT
from tests.models.training.support import make_run, train


def test_there_and_back(
    library: Library,
    tiny_config: ModelConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(library, tiny_config)
    train(run, library)
    monkeypatch.chdir(tmp_path)
    assert main(["pack", run.name]) == 0
    file = tmp_path / f"{run.name}.terrarium"
    assert capsys.readouterr().out.startswith(f"{file} (")
    assert main(["pack", run.name, str(file)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["unpack", str(file), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == f"{run.name} 2"
    assert made["id"] in {info.id for info in library.list_runs()}
    for command in (["import", str(file)], ["generate", str(file), "--prompt", "x"]):
        assert main(command) == 1
        assert f"terrarium unpack {file}" in capsys.readouterr().err
    file.write_bytes(b"no zip")
    assert main(["unpack", str(file)]) == 1
    assert "no Terrarium file" in capsys.readouterr().err
    assert main(["pack", "nothing of that name"]) == 1


def test_a_file_alone_opens_the_window_with_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def run(files: list[Path]) -> int:
        opened.extend(files)
        return 0

    monkeypatch.setattr(launch, "run", run)
    assert main(["A Run.TERRARIUM"]) == 0
    assert opened == [Path("A Run.TERRARIUM").absolute()]
    assert main([]) == 0
    assert len(opened) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a window is asked to close by a signal")
def test_the_program_opens_the_file_that_it_is_started_with(
    library: Library, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    run = make_run(library, tiny_config)
    train(run, library)
    file = result_of(pack_run(run, tmp_path / "it", library))
    other = Library(tmp_path / "other")
    environment = os.environ | {"TERRARIUM_HOME": str(other.home), "PYTHONPATH": str(ROOT)}
    window = subprocess.Popen([sys.executable, "-m", "terrarium", str(file)], cwd=tmp_path, env=environment)
    end = time.monotonic() + 120
    while not other.list_runs() and window.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    names = [info.name for info in other.list_runs()]
    window.send_signal(signal.SIGTERM)
    assert window.wait(120) == 0
    assert names == [run.name]
