"""The alerts of an alignment's figures: triggered where something is wrong, silent on a healthy run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from terrarium.models.alignment.figures import FIGURES, about, alert_of, figure_of, min_kl, overfitting_of

RISING = [0.09, 0.14, 0.08, 0.09, 0.13, 0.11, 0.17, 0.23, 0.19, 0.33, 0.25, 0.28, 0.36, 0.52, 0.53]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gold", RISING + RISING[::-1]),
        ("frac_reward_zero_std", [1.0] * 20),
        ("kl", [5.0, 13.0, 14.0, 15.0]),
        ("entropy", [0.25] * 10 + [0.04] * 5),
        ("completions/mean_length", [45.0] * 5 + [100.0] * 5),
        ("completions/clipped_ratio", [0.0, 0.5]),
        ("completions/distinct", [0.2] * 3),
        ("sampling/logp_difference", [0.2]),
        ("policy/approxkl_avg", [0.2]),
    ],
)
def test_an_alert_is_triggered(name: str, values: list[float]) -> None:
    assert alert_of(name, values)
    assert alert_of(name, values) in about(name)


def test_a_healthy_run_is_silent() -> None:
    healthy: dict[str, Any] = {
        "gold": RISING,
        "frac_reward_zero_std": [0.5, 0.375, 0.625] * 10,
        "kl": np.linspace(0, 4.5, 50),
        "entropy": np.linspace(0.25, 0.14, 50),
        "completions/mean_length": [45.0] * 50,
        "completions/clipped_ratio": [0.0] * 50,
        "completions/distinct": [1.0, 0.98] * 20,
        "sampling/logp_difference": [1e-5] * 50,
    }
    assert {name: alert_of(name, values) for name, values in healthy.items()} == dict.fromkeys(healthy, "")
    assert all(alert_of(name, []) == alert_of(name, [math.nan]) == "" for name in FIGURES)


def test_every_figure_says_what_it_is() -> None:
    for name in (*FIGURES, "pass@8", "something/new"):
        assert figure_of(name).title
        assert name in about(name) or figure_of(name).title == name
    assert "at least one of 8 replies" in about("pass@8")


def test_every_figure_says_what_is_healthy_and_whether_there_is_an_alert() -> None:
    for name in (*FIGURES, "pass@8"):
        lines = about(name).splitlines()
        assert any(line.startswith("Healthy: ") for line in lines), name
        assert any(line.startswith(("Alert: ", "No alert: ")) for line in lines), name


def test_an_order_that_is_right_on_known_pairs_only_is_an_alert() -> None:
    learned = np.linspace(0.5, 0.99, 40)
    assert overfitting_of("accuracy", learned, np.array([0.5, 0.7])) in about("accuracy").split("Alert: ")[-1]
    assert overfitting_of("accuracy", learned, np.array([0.5, 0.7]))
    assert overfitting_of("accuracy", learned, np.array([0.5, 0.9])) == ""
    assert overfitting_of("accuracy", learned[:10], np.array([0.1])) == overfitting_of("kl", learned, learned[:1]) == ""


def test_the_price_of_a_wish() -> None:
    assert min_kl(0.07) == pytest.approx(2.66, abs=0.01)
    assert min_kl(1.0) == 0
    assert math.isnan(min_kl(0.0))
