"""Checks of a custom block in a child process: each finds what it is for, and only that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from terrarium.models.architecture.block_checks import BlockReport, check_block, check_here, stop_checks
from terrarium.models.custom_blocks.store import TRUST_VARIABLE
from terrarium.models.events import result_of
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import STARTS, start_source

SMALL = ModelConfig(vocab_size=31, context_length=32, n_layer=2, d_model=16, n_head=2)


@pytest.fixture(autouse=True)
def of_this_test_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check_here` allows the text in its process, which is a child's in the application."""
    monkeypatch.setenv(TRUST_VARIABLE, "")


@pytest.fixture(scope="module")
def child() -> Iterator[None]:
    yield
    stop_checks()


def failed(source: str, design: ModelConfig = SMALL) -> dict[str, str]:
    checks = check_here(source, design.to_dict(), {})["checks"]
    return {check["name"]: check["sentence"] for check in checks if not check["passed"]}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only", "encoder-decoder"])
def test_the_starting_points_pass(start: str, topology: str) -> None:
    design = ModelConfig(**{**SMALL.to_dict(), "topology": topology, "head": "language"})
    assert failed(start_source(start), design) == {}


READ, LAST = "self.output(read * torch.sigmoid(self.gate(x)))", "        super().__init__()\n"


@pytest.mark.parametrize(
    ("old", "new", "name", "words"),
    [
        (" * (allowed & (distance < self.window))", "", "causal", "looks into the future"),
        (" * (allowed & (distance < self.window))", " * (at[:, None] >= at)", "mask", "that it may not"),
        (READ, f"torch.nan * {READ}", "finite", "not finite"),
        (READ, f"{READ}[:, :1]", "shape", "return the same shape"),
        (READ, f"{READ}.cumsum(0)", "batch", "others in the batch"),
        (READ, f"{READ} - {READ}.mean(0) * self.training", "batch", "In training"),
        ("self.gate(x)", "self.gate(x).detach()", "gradient", "No gradient reaches gate.weight"),
        (LAST, f"{LAST}        self.start = torch.ones(3)\n", "builds", "self.start is a plain tensor"),
        (LAST, f"{LAST}        self.more = [nn.Linear(3, 3)]\n", "builds", "self.more is a Python list"),
        (READ, "self.no_such(x)", "shape", "no_such"),
        (
            f"return {READ}",
            f"self.n = getattr(self, 'n', 0) + 1\n        return self.n * {READ}",
            "state",
            "keep nothing",
        ),
    ],
)
def test_mistakes_are_found(old: str, new: str, name: str, words: str) -> None:
    source = start_source("retention")
    assert old in source
    assert words in failed(source.replace(old, new, 1))[name]


def test_a_feed_forward_treats_each_token_alone() -> None:
    source, out = start_source("experts"), "return made[0]"
    for mixing in ("x = x.cumsum(1)", "x = x.flip(1).cumsum(1).flip(1)"):
        first = "        shares ="
        assert "mixes tokens" in failed(source.replace(first, f"        {mixing}\n{first}", 1))["tokens"]
    assert out in source


def test_weights_may_be_returned_without_taking_positions() -> None:
    source = start_source("temperature").replace("allowed: Tensor, positions)", "allowed: Tensor)")
    source = source.replace("positions.rotate(q), positions.rotate(k)", "q, k").replace("positions.add_bias(", "(")
    assert failed(source) == {}
    assert "must have the shape" in failed(source.replace("flatten(2)), weights", "flatten(2)), weights[0]"))["shape"]


def report(source: str) -> BlockReport:
    return result_of(check_block(source, SMALL, {}))


def test_the_child_counts_times_and_survives(child: None) -> None:
    good = start_source("retention")
    crashing = good.replace("        q, k, v =", "        import os; os._exit(3)\n        q, k, v =", 1)
    assert "crashes its process" in report(crashing).checks[0].sentence
    found = report(good)
    assert found.passed
    assert found.n_parameters == 5 * 16 * 16
    assert found.flops > found.flops_built_in > 0
    assert found.milliseconds > 0
    assert found.milliseconds_built_in > 0
