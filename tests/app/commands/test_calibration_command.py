"""terrarium calibration: the figures of a run on its held-out text, or on a file, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.app.small_models import put_model
from tests.models.training.support import make_run, train


def test_a_run_is_measured_on_its_own_held_out_text(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    config = ModelConfig(context_length=16, n_layer=1, d_model=16, n_head=2)
    run = make_run(library, config, steps=2, eval_interval=0, sample_interval=0)
    train(run, library)
    assert main(["calibration", run.id, "--predictions", "200", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == run.id
    assert found["what"] == "token"
    assert "validation texts" in found["data"]
    assert sum(each["n"] for each in found["before"]["best"]["bins"]) == found["n_judged"]
    low, high = found["temperature"]["interval"]
    assert low <= found["temperature"]["value"] <= high
    assert main(["calibration", run.id, "--predictions", "200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("When this model says ")
    assert any(line.startswith("calibration error") for line in lines)
    assert lines[-2].startswith("Temperature ")


def test_a_model_of_unknown_data_needs_a_file(
    library: Library, byte_tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_model(library, byte_tokenizer, "decoder-only", name="stranger")
    assert main(["calibration", "stranger"]) == 1
    assert "choose a text file" in capsys.readouterr().err
    (tmp_path / "story.txt").write_text("The cat sat on the mat. " * 90, encoding="utf-8")
    assert main(["calibration", "stranger", "--data", str(tmp_path / "story.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "story.txt"
    assert main(["calibration", "stranger", "--predictions", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
