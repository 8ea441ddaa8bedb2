"""Settings changed by name."""

from pathlib import Path
from typing import Any

import pytest

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.spec_changes import changed_spec, parse_change, value_of
from tests.models.training.support import make_spec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.lr=3e-4", ("train.lr", 3e-4)),
        ("lr = 0.5", ("train.lr", 0.5)),
        ("model.n_layer=4", ("model.n_layer", 4)),
        ("train.optimizer=adamw", ("train.optimizer", "adamw")),
        ('train.prompts=["a=b", "c"]', ("train.prompts", ["a=b", "c"])),
        ("model.tied_embeddings=false", ("model.tied_embeddings", False)),
    ],
)
def test_a_change_as_it_is_written(text: str, expected: tuple[str, Any]) -> None:
    assert parse_change(text) == expected


@pytest.mark.parametrize("text", ["train.lr", "=3", "train.lr="])
def test_no_change(text: str) -> None:
    with pytest.raises(ValueError, match="is not a setting with a value"):
        parse_change(text)


def test_only_what_is_named_changes(tmp_path: Path, tiny_config: ModelConfig) -> None:
    spec = make_spec(tmp_path, tiny_config)
    changed = changed_spec(spec, {"train.lr": 0.25, "seed": 3, "model.n_layer": 1, "train.prompts": ["x"]})
    assert [value_of(changed, name) for name in ("train.lr", "train.seed", "model.n_layer")] == [0.25, 3, 1]
    assert changed.train.prompts == ("x",)
    assert (
        changed_spec(changed, {name: value_of(spec, name) for name in ("lr", "seed", "model.n_layer", "prompts")})
        == spec
    )


def test_wrong_changes_are_sentences(tmp_path: Path, tiny_config: ModelConfig) -> None:
    spec = make_spec(tmp_path, tiny_config)
    for name in ("train.nothing", "nothing.lr", "run.name"):
        with pytest.raises(ValueError, match="no setting called"):
            changed_spec(spec, {name: 1})
    with pytest.raises(ValueError, match="train: lr is"):
        changed_spec(spec, {"train.lr": -1.0})
