"""Weights in fewer bytes on the command line: an option of what makes replies, and a part of the bench."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.app.commands.common import open_model
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.inference.held_out import HeldOut
from terrarium.models.inference.weight_kinds import KINDS, WeightsFigures, WeightsMeasured
from terrarium.models.inference.weights import Int8Linear
from terrarium.models.library.library import Library
from tests.app.small_models import put_model
from tools.bench.weights import format_table


@pytest.fixture
def run(library: Library, byte_tokenizer: Tokenizer) -> str:
    put_model(library, byte_tokenizer, "decoder-only", name="other")
    return put_model(library, byte_tokenizer, "decoder-only")


@pytest.mark.parametrize("kind", KINDS)
def test_replies_are_made_with_the_weights_asked_for(run: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", run, "--prompt", "The cat", "--max-tokens", "5", "--weights", kind, "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["n_tokens"] >= 1
    model, _, _ = open_model(run, "cpu", kind)
    assert isinstance(model, Decoder)
    assert isinstance(model.blocks[0].attention.query, Int8Linear) is (kind == "int8")


def test_other_weights_are_refused(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("generate", "chat", "serve"):
        assert main([command, run, "--weights", "int3"]) == 2
        assert "float32" in capsys.readouterr().err


def test_the_bench_measures_all_kinds(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "weights", run, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in printed["rows"]] == list(KINDS)
    assert printed["n_predicted"] > 0


def test_an_imported_model_is_measured_on_the_texts_of_a_run(
    run: str, library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def held_out(path: Path, *args: object) -> HeldOut:
        asked.append(path)
        return HeldOut(f"the texts of {path.name}", [[5, 6, 7, 8]])

    monkeypatch.setattr("terrarium.models.inference.held_out.held_out", held_out)
    for options, folder in (((), library.runs / run), (("--texts-of", "other"), library.find_run("other"))):
        assert main(["bench", "weights", run, "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["text"] == f"the texts of {folder.name}"
        assert asked[-1] == folder
    assert main(["bench", "decode", "--texts-of", "other"]) == 2
    assert "--texts-of is for the part weights" in capsys.readouterr().err


def test_the_bench_says_what_it_needs(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "weights"]) == 2
    assert "need a MODEL" in capsys.readouterr().err
    assert main(["bench", "decode", run]) == 2


def test_the_table_names_its_text() -> None:
    exact = WeightsFigures(
        kind="float32", megabytes=538.06, tokens_per_s=40.0, read_per_s=500.0, perplexity=9.8, change=0.0
    )
    slow = WeightsFigures(
        kind="int8", megabytes=248.28, tokens_per_s=4.0, read_per_s=9000.0, perplexity=9.9, change=0.0125, problem="No."
    )
    lines = format_table(WeightsMeasured(rows=(exact, slow), text="stories", n_predicted=2048)).splitlines()
    assert lines[1].split() == ["float32", "513", "MiB", "40.0", "500", "9.800"]
    assert lines[2].split() == ["int8", "237", "MiB", "4.0", "9,000", "9.900", "+1.25%"]
    assert lines[3:] == ["Perplexity of 2,048 tokens of stories.", "No."]
