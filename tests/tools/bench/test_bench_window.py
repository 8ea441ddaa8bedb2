"""terrarium bench: its results in words, and the parts that measure the real window."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.settings.presets import PRESETS
from tools import bench
from tools.bench import builder as bench_builder
from tools.bench import opening as bench_opening
from tools.bench import window as bench_window
from tools.bench.result import compared


def test_a_result_says_that_its_ratio_is_not_that_of_the_numbers() -> None:
    seconds = compared("train", 5.0, 10.0, "s", less_is_better=True, target=1.5)
    speed = compared("decode", 5.0, 10.0, "tokens/s", less_is_better=False, target=1.5)
    assert bench.format_result(seconds) == "train: 5 s, reference 10, ratio 2.00 (higher is better); target 1.5: met"
    assert bench.format_result(speed).endswith("reference 10, ratio 0.50 (higher is better); target 1.5: missed")


@pytest.mark.slow
def test_lateness_is_measured_while_a_run_trains(
    text_file: Path, theme: ThemeProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "GUI_SECONDS", 0.5)
    small = dataclasses.replace(PRESETS["terrarium-tiny"], n_layer=1, d_model=32, n_head=2)
    monkeypatch.setattr(bench_window, "PRESETS", {"terrarium-tiny": small})
    assert main(["bench", "gui", "--data", str(text_file), "--device", "cpu", "--json"]) == 0
    out, err = capsys.readouterr()
    (result,) = json.loads(out)["results"]
    assert result["name"] == "gui"
    assert 0 <= result["ours"] <= 100
    assert result["met"] is (result["ours"] < 1)
    assert '"TrainMetrics"' in err


@pytest.mark.slow
def test_changed_slots_are_timed_for_every_preset(
    theme: ThemeProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_builder, "PRESETS", {name: PRESETS[name] for name in ("t5-base", "bert-tiny")})
    assert main(["bench", "builder", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["name"] == "builder"
    assert result["ours"] > 0
    assert result["met"] is (result["ours"] < 33)


@pytest.mark.slow
def test_what_it_costs_to_open_the_window_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_opening, "RUNS", 3)
    monkeypatch.setattr(bench_opening, "STEPS", 2000)
    assert main(["bench", "window", "--json"]) == 0
    results = {result["name"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert results["window, torch"]["ours"] == 0
    assert results["window, memory"]["ours"] > 50
    assert all(result["met"] is (result["ours"] <= result["target"]) for result in results.values())
