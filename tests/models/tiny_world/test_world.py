"""What the name of a dataset says about its world."""

from __future__ import annotations

import pytest

from terrarium.models.tiny_world.world import seed_in


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("Tiny World 12, wish happy", 12),
        ("Tiny World 0", 0),
        ("My Tiny World 3", None),
        ("Tiny World", None),
        ("", None),
    ],
)
def test_a_name_says_which_world_a_dataset_is_about(name: str, seed: int | None) -> None:
    assert seed_in(name) == seed
