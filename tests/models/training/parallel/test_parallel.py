"""Several processes match a single one; if one of those that torchrun started dies, only the last steps are lost."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from terrarium.models.data.batch import Batch
from terrarium.models.interop.stored import read_tensors
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.spec_file import write_spec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.parallel.distributed import DistributedGroup
from terrarium.models.training.setup import set_up
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.training.parallel.several import N_PROCESSES, torchrun, train_in_turn
from tests.models.training.support import fork, make_run, make_spec, result_of, train

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="torchrun is no friend of Windows")]

NEAR = 1e-4
"""The largest relative difference between what one and what several processes make."""

SMALL: dict[str, Any] = {"n_layer": 2, "d_model": 32, "n_head": 2, "context_length": 32, "dropout": 0.0}
DECODER = ModelConfig(vocab_size=261, n_layer=2, n_head=2, d_model=32, context_length=32, position="rope", conv_width=4)
DESIGNS = {
    "decoder": DECODER,
    "experts": dataclasses.replace(DECODER, n_expert=3, n_expert_used=2, router_balance=0.5, max_ngram=3),
    "encoder": dataclasses.replace(PRESETS["bert-tiny"], **SMALL, d_ff=64, pooler=True),
    "encoder-decoder": dataclasses.replace(PRESETS["t5-tiny"], **SMALL, d_ff=64),
}
SETTINGS: dict[str, Any] = {
    "steps": 4,
    "precision": "float32",
    "eval_interval": 2,
    "sample_interval": 4,
    "checkpoint_interval": 4,
    "layer_interval": 2,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddp": ("decoder", {"parallel": "ddp"}),
    "fsdp, masked tokens": ("encoder", {"parallel": "fsdp"}),
    "fsdp, spans": ("encoder-decoder", {"parallel": "fsdp"}),
    "ddp, accumulated": ("experts", {"parallel": "ddp", "optimizer": "adamw", "grad_accum_steps": 2}),
    "fsdp, accumulated": ("experts", {"parallel": "fsdp", "optimizer": "adamw", "grad_accum_steps": 2}),
    **{f"fsdp, {name}": ("decoder", {"parallel": "fsdp", "optimizer": name}) for name in OPTIMIZERS},
    "ddp, rounded states": ("decoder", {"parallel": "ddp", "optimizer": "adamw", "state_dtype": "bfloat16"}),
    "ddp, blocks computed again": ("experts", {"parallel": "ddp", "activation_checkpointing": True}),
    "fsdp, blocks computed again": ("encoder-decoder", {"parallel": "fsdp", "activation_checkpointing": True}),
    "ddp, lora": ("lora", {"parallel": "ddp", "optimizer": "adamw"}),
    "fsdp, lora": ("lora", {"parallel": "fsdp", "optimizer": "adamw"}),
    "fsdp, last": ("last", {"parallel": "fsdp", "optimizer": "adamw"}),
    "from one to several": ("decoder", {"parallel": "fsdp"}),
    "from several to one": ("decoder", {"parallel": "fsdp"}),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def parent(trained_at_once: Callable[..., RunFolder]) -> RunFolder:
    """What the runs of TUNED start from."""
    return trained_at_once(DECODER, **SETTINGS)


def run_of(library: Library, parent: RunFolder, design: str, settings: dict[str, Any]) -> RunFolder:
    if design in DESIGNS:
        return make_run(library, DESIGNS[design], **(SETTINGS | settings))
    tune = TuneSpec(parent=str(parent.folder), mode=design, lora_r=4)
    spec = make_spec(library.home, DECODER, **(SETTINGS | settings))
    return result_of(prepare_run(library, dataclasses.replace(spec, tune=tune)))


@pytest.fixture(scope="module")
def trained(library: Library, parent: RunFolder) -> dict[str, RunFolder]:
    """A run of every case, trained by two processes that are started but once."""
    runs = {name: run_of(library, parent, design, more) for name, (design, more) in CASES.items()}
    trainer = Trainer(runs["from one to several"], library, device="cpu")
    for _ in trainer.events():
        if trainer.step == 2:
            trainer.request_stop()
    in_turn = [(run.folder, 2 if name == "from several to one" else 0) for name, run in runs.items()]
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    processes = [fork(train_in_turn, rank, port, library.home, in_turn) for rank in range(N_PROCESSES)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert RunFolder.open(runs["from several to one"].folder).status == "stopped"
    train(runs["from several to one"], library)
    return runs


def test_several_processes_match_a_single_one(
    trained: dict[str, RunFolder], trained_at_once: Callable[..., RunFolder], library: Library, parent: RunFolder
) -> None:
    for case, (design, more) in CASES.items():  # in one test, or several of pytest's own might start the two processes
        alone = {name: value for name, value in more.items() if name != "parallel"}
        if design in DESIGNS:
            reference = trained_at_once(DESIGNS[design], **(SETTINGS | alone))
        else:
            train(reference := run_of(library, parent, design, alone), library)
        assert_learned_alike(trained[case], reference)


def assert_learned_alike(run: RunFolder, reference: RunFolder) -> None:
    assert RunFolder.open(run.folder).status == "finished"
    ours, expected = run.read_metrics(), reference.read_metrics()
    assert [(row["kind"], row["step"], row["tokens"]) for row in ours] == [
        (row["kind"], row["step"], row["tokens"]) for row in expected
    ]
    for row, other in zip(ours, expected, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=NEAR)
        assert row["kind"] == "val" or row["grad_norm"] == pytest.approx(other["grad_norm"], rel=NEAR)
    for row, other in zip(run.read_layers(), reference.read_layers(), strict=True):
        assert row["update_ratio"] == pytest.approx(other["update_ratio"], rel=1e-3)
    assert [row["step"] for row in run.read_samples()] == [row["step"] for row in reference.read_samples()]
    assert difference(run, reference, "model") < NEAR
    assert difference(run, reference, "optimizer") < NEAR


def difference(run: RunFolder, reference: RunFolder, what: str) -> float:
    """The length of the difference between two last checkpoints' tensors, as a share of the reference's."""
    step = run.spec.train.steps
    ours, expected = (read_tensors(each.checkpoint_path(step) / f"{what}.safetensors") for each in (run, reference))
    assert {name: tensor.shape for name, tensor in ours.items()} == {name: t.shape for name, t in expected.items()}
    squares = sum(float((ours[name] - tensor).double().square().sum()) for name, tensor in expected.items())
    return (squares / sum(float(tensor.double().square().sum()) for tensor in expected.values())) ** 0.5


@dataclass
class Torchrun:
    """`torchrun … terrarium train` of a run that has two checkpoints and trains on. `wait` returns the exit code."""

    pid: int
    wait: Callable[[], int | None]
    library: Library
    output: Path

    @property
    def run(self) -> RunFolder:
        return RunFolder.open(self.library.list_runs()[0].folder)

    def kill(self, *, main: bool) -> None:
        """Kill the main process, which has files of the run open, or the other one."""
        folder = str(self.run.folder)
        for process in psutil.Process(self.pid).children():
            if any(file.path.startswith(folder) for file in process.open_files()) == main:
                process.kill()


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Of `terrarium`, to train a run for long."""
    settings = {"steps": 200, "checkpoint_interval": 20, "eval_interval": 0, "sample_interval": 0}
    write_spec(tmp_path / "SPEC.toml", make_spec(tmp_path, dataclasses.replace(DECODER, dropout=0.1), **settings))
    return ["train", str(tmp_path / "SPEC.toml"), "--device", "cpu"]


@pytest.fixture
def forked(tmp_path: Path, arguments: list[str]) -> Iterator[Torchrun]:
    """Of processes that need not import anything."""
    home, output = tmp_path / "home", tmp_path / "output.txt"
    process = fork(torchrun, arguments, {"TERRARIUM_HOME": str(home)}, output, daemon=False)

    def wait() -> int | None:
        process.join()
        return process.exitcode

    assert process.pid is not None
    wait_for_checkpoints(home, process.is_alive)
    yield Torchrun(process.pid, wait, Library(home), output)
    process.kill()


def wait_for_checkpoints(home: Path, is_alive: Callable[[], bool]) -> None:
    while is_alive() and len(list(Library(home).runs.glob("*/checkpoints/step-*"))) < 2:
        time.sleep(0.005)


def test_if_a_process_dies_the_others_save_nothing(forked: Torchrun) -> None:
    forked.kill(main=False)
    last = forked.run.latest_checkpoint()
    assert forked.wait() == 1
    run = forked.run
    assert f"terrarium: {run.read_events()[-1]['detail']}\n" in forked.output.read_text(encoding="utf-8")
    assert run.status == "failed"
    assert run.read_events()[-1]["event"] == "failed"
    assert run.read_events()[-1]["detail"].startswith(
        "One of the 2 processes ended, so training stopped without saving"
    )
    assert f"resume with terrarium train --resume {run.id}" in run.read_events()[-1]["detail"]
    reached = run.read_metrics()[-1]["step"]
    assert reached < 200
    assert run.latest_checkpoint() == run.checkpoint_path(reached // 20 * 20) or run.latest_checkpoint() == last
    saved = run.latest_checkpoint()
    assert saved is not None
    trainer = Trainer(RunFolder.open(run.folder), forked.library, device="cpu", allow_threads=1)
    for _ in trainer.events():
        if trainer.step > checkpoint_step(saved):
            trainer.request_stop()
    assert forked.run.status == "stopped"
    assert [row["step"] for row in run.read_metrics()] == list(range(1, checkpoint_step(saved) + 2))


def test_if_the_main_process_dies_the_run_is_interrupted(forked: Torchrun) -> None:
    forked.kill(main=True)
    assert forked.wait() == 1
    assert forked.run.status == "interrupted"


def test_ctrl_c_stops_all_processes_and_saves_the_run(forked: Torchrun) -> None:
    os.kill(forked.pid, signal.SIGINT)
    forked.wait()
    run = forked.run
    assert "Stopping after this step and saving." in forked.output.read_text(encoding="utf-8")
    assert run.status == "stopped"
    assert run.latest_checkpoint() == run.checkpoint_path(run.read_metrics()[-1]["step"])


def test_shards_form_the_batch_and_spare_rows_have_no_weight() -> None:
    rows = torch.arange(10).view(5, 2)
    batch = Batch(rows, rows, torch.ones(5, 2), mask=rows > 3, source=rows, source_mask=rows > 4, n_tokens=10)
    shares = [DistributedGroup(rank, 3, rank, 3).shard(batch) for rank in range(3)]
    assert sorted(row for share in shares for row in share.inputs.tolist()) == rows.tolist()
    for share in shares:
        assert share.mask is not None
        assert share.source_mask is not None
        assert torch.equal(share.mask, share.inputs > 3)
        assert torch.equal(share.source_mask, share.inputs > 4)
        assert share.inputs.equal(share.targets)
    many = [DistributedGroup(rank, 7, rank, 7).shard(batch) for rank in range(7)]
    assert sum(float(share.weights.sum()) for share in many) == 10
    assert all(len(share.inputs) == 1 for share in many)


def test_a_device_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    process_group = DistributedGroup(0, 2, 0, 2)
    with pytest.raises(ValueError, match="cannot share an Apple GPU"):
        process_group.device_name("mps")
    assert process_group.device_name("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="2 processes for 1 GPU here: start torchrun with --nproc-per-node 1"):
        process_group.device_name("auto")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert process_group.device_name("auto") == process_group.device_name("cuda") == "cuda"


def test_states_in_bfloat16_are_not_sharded(library: Library) -> None:
    run = make_run(library, DECODER, parallel="fsdp", state_dtype="bfloat16")
    with pytest.raises(ValueError, match=r"in bfloat16 are not sharded: set train\.parallel to ddp"):
        next(set_up(run, library, "cpu", None, DistributedGroup(0, 2, 0, 2)))


def test_a_batch_too_small_to_shard_is_refused(library: Library) -> None:
    run = make_run(library, DECODER, batch_size=2)
    with pytest.raises(ValueError, match="A batch of 2 cannot be shared by 3 processes: use a larger batch_size"):
        next(set_up(run, library, "cpu", None, DistributedGroup(0, 3, 0, 3)))
