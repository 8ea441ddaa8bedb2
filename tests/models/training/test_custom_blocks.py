"""Designs with custom blocks train like all others: exactly resumable, in parts, in several processes, fine-tuned."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from terrarium.models.architecture.lora import adapted_layers
from terrarium.models.architecture.transformer import build_model
from terrarium.models.custom_blocks import store
from terrarium.models.design import training_memory
from terrarium.models.events import TrainMetrics
from terrarium.models.interop.loading import load_model
from terrarium.models.interop.stored import read_tensors
from terrarium.models.library.library import Library
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.estimates.measure import RandomTexts, peak_allocated
from terrarium.models.training.optim import Muon, make_optimizers
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.own_blocks import BUFFERS, put_block, start_source, with_block
from tests.models.training.parallel.several import N_PROCESSES, train_in_turn
from tests.models.training.support import assert_same_end, fork, make_run, make_spec, numbers, result_of, train

ATTENTION = "blocks.0.attention.block."
FEED_FORWARD = "blocks.0.feed_forward.block."


@pytest.fixture
def design(library: Library, tiny_config: ModelConfig) -> ModelConfig:
    """Attention and feed-forward are custom blocks that may run; dropout draws random numbers."""
    small = dataclasses.replace(tiny_config, n_layer=2, dropout=0.1)
    return with_block(with_block(small, put_block(start_source("retention"))), put_block(start_source("experts")))


@pytest.fixture
def trained(library: Library, design: ModelConfig) -> RunFolder:
    """A finished run of ten steps."""
    train(run := make_run(library, design, keep_checkpoints=9), library)
    return RunFolder.open(run.folder)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_learns_and_resumes_exactly(library: Library, design: ModelConfig, optimizer: str) -> None:
    whole, parted = (make_run(library, design, optimizer=optimizer) for _ in range(2))
    train(whole, library)
    trainer = Trainer(parted, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 5:
            trainer.request_stop()
    assert RunFolder.open(parted.folder).status == "stopped"
    train(parted, library)
    assert_same_end(parted, whole)
    losses = [row["loss"] for row in whole.read_metrics() if row["kind"] == "train"]
    assert losses[-1] < losses[0]


def test_a_fork_continues_as_its_source_did(library: Library, trained: RunFolder) -> None:
    fork = fork_run(library, trained, 6)
    train(fork, library)
    assert numbers(fork) == numbers(trained)


def test_recomputed_blocks_end_the_same(library: Library, design: ModelConfig, trained: RunFolder) -> None:
    run = make_run(library, design, activation_checkpointing=True, keep_checkpoints=9)
    train(run, library)
    assert_same_end(run, trained)


def test_accumulated_gradients_are_those_of_the_whole_batch(library: Library, design: ModelConfig) -> None:
    plain = dataclasses.replace(design, dropout=0.0)
    whole, parts = (
        make_run(library, plain, batch_size=4 // n, grad_accum_steps=n, precision="float32", sample_interval=0)
        for n in (1, 2)
    )
    for run in (whole, parts):
        train(run, library)
    norms = [[row["grad_norm"] for row in run.read_metrics() if row["kind"] == "train"] for run in (whole, parts)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)


def test_the_matrices_of_blocks_get_muon_and_vectors_no_decay(design: ModelConfig) -> None:
    model = build_model(design)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    muon, adamw = make_optimizers(model, TrainConfig(optimizer="muon"))
    assert isinstance(muon, Muon)
    with_muon = {names[id(parameter)] for group in muon.param_groups for parameter in group["params"]}
    matrices = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert with_muon == {f"{name}.weight" for name in matrices if name.startswith("blocks.")}
    assert f"{ATTENTION}query.weight" in with_muon
    undecayed = {
        names[id(parameter)]
        for group in adamw.param_groups
        if not group["weight_decay"]
        for parameter in group["params"]
    }
    assert f"{FEED_FORWARD}up.0.bias" in undecayed
    assert not any(name.startswith((ATTENTION, FEED_FORWARD)) and name.endswith("weight") for name in undecayed)


@pytest.mark.parametrize(
    ("mode", "moved"),
    [
        ("all", {ATTENTION, FEED_FORWARD, "blocks.1."}),
        ("last", {"blocks.1."}),
        ("head", set()),
        ("lora", {ATTENTION, FEED_FORWARD, "blocks.1."}),
    ],
)
def test_fine_tuning_trains_what_its_mode_says(
    library: Library, trained: RunFolder, mode: str, moved: set[str], tmp_path: Path
) -> None:
    spec = make_spec(library.home, trained.spec.model, optimizer="adamw", lr=0.01, weight_decay=0.0)
    extra: dict[str, Any] = {"train_embeddings": True} if mode == "head" else {}
    tune = TuneSpec(parent=str(trained.folder), mode=mode, lora_r=2, n_last=1, **extra)
    run = result_of(prepare_run(library, dataclasses.replace(spec, name=mode, tune=tune)))
    train(run, library)
    assert RunFolder.open(run.folder).status == "finished"
    before, after = (load_model(folder)[0].state_dict() for folder in (trained.folder, run.folder))
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    for prefix in (ATTENTION, FEED_FORWARD, "blocks.1."):
        assert any(name.startswith(prefix) for name in changed) == (prefix in moved), prefix
    if mode == "lora":
        assert f"{ATTENTION}query" in adapted_layers(load_model(trained.folder)[0])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="as for other trainings by several processes")
def test_two_processes_match_one(library: Library, design: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = dataclasses.replace(design, dropout=0.0)
    settings: dict[str, Any] = {"steps": 4, "precision": "float32", "checkpoint_interval": 4, "batch_size": 4}
    alone = make_run(library, plain, **settings)
    train(alone, library)
    runs = [make_run(library, plain, parallel=parallel, **settings) for parallel in ("ddp", "fsdp")]
    environment = {name: os.environ[name] for name in ("TERRARIUM_HOME", "XDG_CONFIG_HOME")}
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    in_turn = [(run.folder, 0) for run in runs]
    processes = [fork(train_with, environment, rank, port, library.home, in_turn) for rank in range(N_PROCESSES)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    expected = read_tensors(alone.checkpoint_path(4) / "model.safetensors")
    for run in runs:
        assert RunFolder.open(run.folder).status == "finished"
        found = read_tensors(run.checkpoint_path(4) / "model.safetensors")
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, atol=1e-4, rtol=1e-3)


def train_with(environment: dict[str, str], rank: int, port: int, home: Path, runs: list[tuple[Path, int]]) -> None:
    """One of the processes, with the library and the consent of the test."""
    os.environ |= environment
    train_in_turn(rank, port, home, runs)


@pytest.mark.parametrize("starts", [("retention",), ("experts",), ("convolution", "experts")])
def test_the_estimate_of_activations_is_within_a_tenth(
    library: Library, tiny_config: ModelConfig, starts: tuple[str, ...]
) -> None:
    config = dataclasses.replace(
        tiny_config, d_model=64, context_length=64, n_layer=4, conv_width=0, qk_norm=False, position="learned"
    )
    for start in starts:
        config = with_block(config, put_block(start_source(start)))
    model = build_model(config).train()
    texts = RandomTexts(config, 6, 64, 64, torch.device("cpu"))

    def step() -> None:
        model.zero_grad()
        texts.loss(model, torch.float32).backward()

    step()
    peak = peak_allocated(step, torch.device("cpu"))
    estimate = training_memory(config, 6, 64, "adamw", precision="float32")
    assert estimate["Activations"] + estimate["Gradients"] == pytest.approx(peak, rel=0.1)


def test_a_run_that_may_not_run_any_longer_is_refused_before_anything_runs(
    library: Library, trained: RunFolder, design: ModelConfig
) -> None:
    for file in store.list_blocks():
        assert file.block is not None
        store.withdraw(file.block.sha256)
    with pytest.raises(store.NotAllowedError, match="not allowed on this computer"):
        make_run(library, design)
    assert [info.id for info in library.list_runs()] == [trained.id]


def test_buffers_of_a_block_are_stored_and_read(library: Library, tiny_config: ModelConfig) -> None:
    train(run := make_run(library, with_block(tiny_config, put_block(BUFFERS)), keep_checkpoints=9), library)
    train(fork := fork_run(library, RunFolder.open(run.folder), 6), library)
    first, second = (load_model(each.folder)[0] for each in (run, fork))
    drawn = {name for name, _ in first.named_buffers() if name.endswith((".features", ".order"))}
    assert len(drawn) == 2
    assert all(torch.equal(first.state_dict()[name], second.state_dict()[name]) for name in drawn)
    (computed,) = (buffer for name, buffer in first.named_buffers() if name.endswith(".scale"))
    assert torch.equal(computed, torch.full((16,), 0.5))
    assert_same_end(fork, run)


def test_a_run_stops_with_a_sentence_when_consent_is_withdrawn_and_goes_on_when_it_is_given(
    library: Library, tiny_config: ModelConfig
) -> None:
    block = put_block(start_source("experts"))
    whole, parted = (make_run(library, with_block(tiny_config, block), eval_interval=4) for _ in range(2))
    train(whole, library)

    def train_and_withdraw() -> None:
        for event in Trainer(parted, library, device="cpu").events():
            if isinstance(event, TrainMetrics) and event.step == 5:
                store.withdraw(block.sha256)

    with pytest.raises(ValueError, match="was not allowed on this computer yet"):
        train_and_withdraw()
    assert RunFolder.open(parted.folder).status == "failed"
    store.allow(block)
    train(RunFolder.open(parted.folder), library)
    assert_same_end(parted, whole)
