"""`terrarium pronouns` on the command line: both models are trained, evaluated and saved."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.pronouns import print_result
from terrarium.models.library.library import Library
from terrarium.models.recipes import pronoun_specs as specs
from terrarium.models.recipes.pronouns import PronounRecipe
from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation, evaluation_pairs, read_pronouns
from terrarium.models.tiny_world import pronouns


def test_both_models_are_trained_and_reported(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = dataclasses.replace(
        specs.TRAINING, steps=2, batch_size=8, eval_batches=1, eval_interval=2, sample_interval=0, checkpoint_interval=2
    )
    monkeypatch.setattr(specs, "TRAINING", training)
    # Of 22,000 sentences and 500 pairs, a few: no more are learned from in two steps.
    every = pronouns.sentences
    monkeypatch.setattr(pronouns, "sentences", lambda *, held_out: islice(every(held_out=held_out), 0, None, 20))
    monkeypatch.setattr("terrarium.models.tasks.pronouns.resolving.evaluation_pairs", lambda: evaluation_pairs(50))
    assert main(["pronouns", "--device", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    encoder, causal = report["models"]["encoder-only"], report["models"]["decoder-only"]
    assert (causal["accuracy"], causal["both"], causal["largest_difference"]) == (0.5, 0.0, 0.0)
    assert encoder["largest_difference"] > 0
    assert set(encoder["rules"].values()) == {0.5}
    kept = read_pronouns(Path(encoder["run"]))
    assert kept is not None
    assert kept.accuracy == encoder["accuracy"]
    assert [run.name for run in library.list_runs()] == ["Pronouns, causal", "Pronouns, encoder"]


def test_the_result_is_printed(library: Library, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = PronounRecipe()
    result = PronounEvaluation(
        step=2,
        n_pairs=3,
        accuracy=0.5,
        both=0.0,
        without_adjective=0.5,
        largest_difference=0.0,
        rules={"the first": 0.5},
    )
    recipe.results, recipe.runs = {"decoder-only": result}, {"decoder-only": SimpleNamespace(folder=tmp_path)}
    print_result(recipe, 1.0)
    out = capsys.readouterr().out
    assert out.startswith("causal model: 6 sentences of 3 held-out pairs\n")
    assert "scores within a pair differ by 0 at most" in out
    assert "the first 50.0 %" in out
    assert str(tmp_path) in out
