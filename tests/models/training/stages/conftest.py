"""What alignments start from, and what their replies earn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import MappingProxyType

import pytest

from terrarium.models.alignment import judges
from terrarium.models.corpora.corpus import Example
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world import wishes
from terrarium.models.tiny_world.wishes import WISHES
from tests.models.training.stages.support import CONFIG


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for a few steps: all of them are drawn, and encoded for each training."""
    monkeypatch.setattr(wishes, "SIZES", {"train": 160, "val": 32, "test": 8})


@pytest.fixture
def parent(trained_at_once: Callable[..., RunFolder]) -> RunFolder:
    return trained_at_once(CONFIG, steps=6)


@pytest.fixture
def reward(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], float]], None]:
    """Sets what every reply earns."""

    def judge_by(function: Callable[[str], float]) -> None:
        def earn(row: Example, reply: str) -> float:
            return function(reply)

        changed = {name: dataclasses.replace(wish, reward=earn) for name, wish in WISHES.items()}
        monkeypatch.setattr(judges, "WISHES", MappingProxyType(changed))

    return judge_by
