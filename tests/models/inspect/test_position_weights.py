"""Learned position tables are read exactly, and nothing else; bad checkpoints are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from terrarium.models.inspect.position_weights import (
    PositionRun,
    PositionRunsFound,
    PositionWeightsRead,
    find_position_runs,
)
from terrarium.models.inspect.position_weights import read_position_weights as read
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.models.runs_on_disk import put_run, weights_of

LEARNED = ModelConfig(position="learned", vocab_size=11, context_length=6, d_model=8, n_head=2, n_layer=1)
T5 = dataclasses.replace(LEARNED, position="t5", n_bucket=8, max_distance=16)
FIRE = dataclasses.replace(LEARNED, position="fire")
NAMES, T5_NAMES = {"position.weight"}, {"score_bias.weight"}
FIRE_NAMES = {f"score_bias.{name}" for name in ("log_c", "log_threshold", "scale", "shift", "weight")}
PAIR = dataclasses.replace(T5, topology="encoder-decoder", n_encoder_head=4)


def found(library: Library, config: ModelConfig) -> tuple[PositionRun, ...]:
    (event,) = find_position_runs(library, config)
    assert isinstance(event, PositionRunsFound)
    assert event.config == config
    return event.runs


def learned(library: Library, config: ModelConfig) -> dict[str, dict[str, np.ndarray]]:
    (event,) = read(found(library, config)[0])
    assert isinstance(event, PositionWeightsRead)
    return event.learned


def test_runs_of_the_same_shape_come_first(library: Library) -> None:
    for name, config in {
        "a-longer": dataclasses.replace(LEARNED, context_length=12),
        "b-same": dataclasses.replace(LEARNED, vocab_size=17, n_layer=2),
        "c-other": dataclasses.replace(LEARNED, position="rope"),
        "d-encoder": dataclasses.replace(LEARNED, topology="encoder-only"),
        "e-wider": dataclasses.replace(LEARNED, d_model=16),
    }.items():
        put_run(library, name, config)
    put_run(library, "f-unsaved", LEARNED)
    for file in (library.runs / "f-unsaved" / "checkpoints").glob("*/*"):
        file.unlink()
        file.parent.rmdir()
    (library.runs / "g-damaged").mkdir()
    (library.runs / "g-damaged" / "run.json").write_text("{", encoding="utf-8")
    names = [run.name for run in found(library, LEARNED)]
    assert names[0] == "b-same"
    assert sorted(names) == ["a-longer", "b-same", "e-wider"]
    assert found(library, LEARNED)[0].step == 40


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (LEARNED, {"": NAMES}),
        (T5, {"": T5_NAMES}),
        (PAIR, {"encoder.": T5_NAMES, "decoder.": T5_NAMES}),
        (dataclasses.replace(LEARNED, topology="encoder-decoder"), {"encoder.": NAMES, "decoder.": NAMES}),
        (FIRE, {"": FIRE_NAMES}),
        (dataclasses.replace(FIRE, topology="encoder-decoder"), {"encoder.": FIRE_NAMES, "decoder.": FIRE_NAMES}),
    ],
)
def test_tensors_equal_the_checkpoint(library: Library, config: ModelConfig, names: dict[str, set[str]]) -> None:
    put_run(library, "run", config)
    weights = weights_of(config)
    ours = learned(library, config)
    assert {stack.rstrip(".") for stack in names} == set(ours)
    for stack, tensors in names.items():
        found = ours[stack.rstrip(".")]
        assert set(found) == tensors
        for name, tensor in found.items():
            assert tensor.dtype == np.float32
            np.testing.assert_array_equal(tensor, weights[stack + name].numpy())


def rewrite(folder: Path, **tensors: torch.Tensor) -> None:
    (path,) = folder.glob("checkpoints/*/model.safetensors")
    safetensors.torch.save_file({name.replace("__", "."): tensor for name, tensor in tensors.items()}, path)


def test_a_bad_checkpoint_is_refused_with_a_reason(library: Library) -> None:
    folder = put_run(library, "run", LEARNED)
    (run,) = found(library, LEARNED)
    rewrite(folder, position__weight=torch.zeros(5, 8))
    with pytest.raises(ValueError, match="does not have the shape"):
        next(read(run))
    rewrite(folder, position__weight=torch.zeros(6, 8, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match="BF16"):
        next(read(run))
    rewrite(folder, embedding__weight=torch.zeros(6, 8))
    with pytest.raises(ValueError, match=r"does not hold position\.weight"):
        next(read(run))
    path = run.checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="damaged"):
        next(read(run))
    path.unlink()
    with pytest.raises(ValueError, match="gone"):
        next(read(run))
