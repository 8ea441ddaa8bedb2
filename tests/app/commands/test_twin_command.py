"""`terrarium sweep --twin`: a design with a custom block, its built-in twin, and what is printed of both."""

from __future__ import annotations

import json

import pytest

from terrarium.app.cli import main
from terrarium.models.library.library import Library
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.spec_file import write_spec
from tests.models.own_blocks import put_block, start_source, with_block
from tests.models.training.support import make_spec


@pytest.fixture
def spec(library: Library, tiny_config: ModelConfig) -> str:
    """The file of a run of three steps whose design has a custom block."""
    path = library.home / "spec.toml"
    design = with_block(tiny_config, put_block(start_source("convolution")))
    write_spec(path, make_spec(library.home, design, steps=3, eval_interval=3, sample_interval=0))
    return str(path)


def test_a_design_and_its_twin_are_compared(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", spec, "--twin", "--seeds", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["sweep"] == "sweep-small"
    assert [run["status"] for run in result["runs"]] == ["finished"] * 4
    twin = result["twin"]
    assert twin["block"]["losses"].keys() == twin["built_in"]["losses"].keys() == {"0", "1"}
    assert abs(twin["built_in"]["parameters"] / twin["block"]["parameters"] - 1) < 0.01
    found = {seed: twin["block"]["losses"][seed] - twin["built_in"]["losses"][seed] for seed in ("0", "1")}
    assert twin["differences"] == pytest.approx(found)
    assert main(["sweep", spec, "--twin", "attention", "--seeds", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in printed[1:3]] == ["The block", "Its twin"]
    assert printed[3].startswith("With one seed, the block is ")


def test_what_is_no_comparison_is_refused(library: Library, spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    for options, sentence in (
        (["--twin", "--values", "lr=0.1,0.2"], "--twin varies the design and the seed only"),
        (["--twin", "norm"], "its own twin"),
        (["--twin", "--seeds", "0"], "between 1 and 500 seeds"),
    ):
        assert main(["sweep", spec, *options]) == 2
        assert sentence in capsys.readouterr().err
    assert RunQueue(library).items() == []
