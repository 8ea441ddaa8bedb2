import dataclasses
from pathlib import Path

import pytest
import torch

import terrarium
from terrarium.models.interop.loading import load_model
from terrarium.models.interop.stored import read_tensors
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.models.training.support import make_run, train


def test_a_run_and_its_checkpoints_load(library: Library, tiny_config: ModelConfig, tmp_path: Path) -> None:
    run = make_run(library, dataclasses.replace(tiny_config, dropout=0.5))
    train(run, library)
    state = torch.get_rng_state()
    model, tokenizer = terrarium.load_model(run.folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert tokenizer is not None
    assert tokenizer.get_vocab_size() == model.config.vocab_size
    saved = read_tensors(run.checkpoint_path(10) / "model.safetensors")
    assert all(torch.equal(weight, saved[name]) for name, weight in model.state_dict().items())

    earlier, tokenizer = load_model(str(run.checkpoint_path(9)), dtype=torch.bfloat16)
    assert tokenizer is not None
    assert {weight.dtype for weight in earlier.state_dict().values()} == {torch.bfloat16}

    alone = run.checkpoint_path(9).rename(tmp_path / "alone")
    model, tokenizer = load_model(alone)
    assert tokenizer is None
    assert model(torch.tensor([[5, 6]])).shape == (1, 2, 261)


def test_tied_weights_are_stored_once(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=1)
    train(run, library)
    names = set(read_tensors(run.checkpoint_path(1) / "model.safetensors"))
    assert "embedding.weight" in names
    assert not any(name.startswith("head") for name in names)
    model, _ = load_model(run.folder)
    assert model.head.weight is None


def test_what_cannot_be_loaded_is_named(library: Library, tiny_config: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere does not exist"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no model"):
        load_model(tmp_path)
    (tmp_path / "package" / "model").mkdir(parents=True)
    (tmp_path / "package" / "model" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="its folder “model” does"):
        load_model(tmp_path / "package")
    run = make_run(library, tiny_config)
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        load_model(run.folder)
    train(run, library)
    weights = run.checkpoint_path(10) / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-4])
    with pytest.raises(ValueError, match=f"{weights} is damaged"):
        load_model(run.folder)
    weights.unlink()
    with pytest.raises(ValueError, match=f"{weights} is missing"):
        load_model(run.folder)
    (run.folder / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run\.json is damaged: it has no format"):
        load_model(run.folder)
