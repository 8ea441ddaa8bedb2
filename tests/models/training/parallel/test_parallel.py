"""Several processes, started by torchrun, match a single one; if one dies, only the last steps are lost."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from models.data.batch import Batch
from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.settings.model_config import ModelConfig
from models.settings.optimizers import OPTIMIZERS
from models.settings.presets import PRESETS
from models.settings.spec_file import write_spec
from models.training.checkpoint import read_tensors
from models.training.parallel.distributed import DistributedGroup
from models.training.setup import set_up
from models.training.trainer import Trainer
from tests import ROOT
from tests.models.training.support import make_run, make_spec, train

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="torchrun is no friend of Windows")]

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--module")
NEAR = 1e-4
"""The largest relative difference between what one and what several processes make."""

SMALL: dict[str, Any] = {"n_layer": 2, "d_model": 32, "n_head": 2, "context_length": 32, "dropout": 0.0}
DECODER = ModelConfig(vocab_size=261, n_layer=2, n_head=2, d_model=32, context_length=32, position="rope", conv_width=4)
DESIGNS = {
    "decoder": DECODER,
    "experts": dataclasses.replace(DECODER, n_expert=3, n_expert_used=2, router_balance=0.5),
    "encoder": dataclasses.replace(PRESETS["bert-tiny"], **SMALL, d_ff=64, pooler=True),
    "encoder-decoder": dataclasses.replace(PRESETS["t5-tiny"], **SMALL, d_ff=64),
}
SETTINGS: dict[str, Any] = {
    "steps": 50,
    "precision": "float32",
    "eval_interval": 25,
    "sample_interval": 25,
    "checkpoint_interval": 50,
    "layer_interval": 10,
}
SHORT = {"steps": 12}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddp": ("decoder", {"parallel": "ddp"}),
    "fsdp": ("decoder", {"parallel": "fsdp"}),
    "ddp, masked tokens": ("encoder", {"parallel": "ddp"}),
    "fsdp, masked tokens": ("encoder", SHORT | {"parallel": "fsdp"}),
    "fsdp, spans": ("encoder-decoder", SHORT | {"parallel": "fsdp"}),
    "ddp, accumulated": ("experts", SHORT | {"parallel": "ddp", "optimizer": "adamw", "grad_accum_steps": 2}),
    "fsdp, accumulated": ("experts", SHORT | {"parallel": "fsdp", "optimizer": "adamw", "grad_accum_steps": 2}),
    **{f"fsdp, {name}": ("decoder", SHORT | {"parallel": "fsdp", "optimizer": name}) for name in OPTIMIZERS},
    "from one to several": ("decoder", SHORT | {"parallel": "fsdp"}),
    "from several to one": ("decoder", SHORT | {"parallel": "fsdp"}),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def trained(library: Library) -> dict[str, RunFolder]:
    """A run of every case, trained by two processes that are started but once."""
    runs = {name: make_run(library, DESIGNS[design], **(SETTINGS | more)) for name, (design, more) in CASES.items()}
    trainer = Trainer(runs["from one to several"], library, device="cpu")
    for _ in trainer.events():
        if trainer.step == 5:
            trainer.request_stop()
    folders = [f"{run.folder}@5" if name == "from several to one" else str(run.folder) for name, run in runs.items()]
    subprocess.run([*TORCHRUN, "tests.models.training.several", str(library.home), *folders], cwd=ROOT, check=True)
    assert RunFolder.open(runs["from several to one"].folder).status == "stopped"
    train(runs["from several to one"], library)
    return runs


def test_several_processes_match_a_single_one(library: Library, trained: dict[str, RunFolder]) -> None:
    for case in CASES:  # in one test, or the two processes might be started by several of pytest's own
        assert_learned_alike(library, trained[case], case)


def assert_learned_alike(library: Library, run: RunFolder, case: str) -> None:
    design, more = CASES[case]
    reference = make_run(library, DESIGNS[design], **(SETTINGS | more))
    train(reference, library)
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
    """`torchrun … terrarium train` of a run that has made two checkpoints and trains on."""

    process: subprocess.Popen[str]
    library: Library

    @property
    def run(self) -> RunFolder:
        return RunFolder.open(self.library.list_runs()[0].folder)

    def worker(self, rank: int) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if child.environ().get("RANK") == str(rank))


@pytest.fixture
def torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Torchrun]:
    library = Library(tmp_path / "home")
    monkeypatch.setenv("TERRARIUM_HOME", str(library.home))
    settings = {"steps": 200, "checkpoint_interval": 20, "eval_interval": 0, "sample_interval": 0}
    spec = make_spec(tmp_path, dataclasses.replace(DECODER, dropout=0.1), **settings)
    write_spec(tmp_path / "SPEC.toml", spec)
    command = [*TORCHRUN, "app", "train", str(tmp_path / "SPEC.toml"), "--device", "cpu"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        found = Torchrun(process, library)
        while process.poll() is None and len(list(library.runs.glob("*/checkpoints/step-*"))) < 2:
            time.sleep(0.005)
        yield found
        process.kill()


def test_if_a_process_dies_the_others_save_nothing(torchrun: Torchrun) -> None:
    torchrun.worker(1).send_signal(signal.SIGKILL)
    last = torchrun.run.latest_checkpoint()
    _, errors = torchrun.process.communicate()
    run = torchrun.run
    assert torchrun.process.returncode == 1
    assert f"terrarium: {run.read_events()[-1]['detail']}\n" in errors
    assert run.status == "failed"
    assert run.read_events()[-1]["event"] == "failed"
    assert run.read_events()[-1]["detail"].startswith(
        "One of the 2 processes ended, so training stopped without saving"
    )
    assert f"resume with terrarium train --resume {run.id}" in run.read_events()[-1]["detail"]
    reached = run.read_metrics()[-1]["step"]
    assert reached < 200
    assert run.latest_checkpoint() == run.checkpoint_path(reached // 20 * 20) or run.latest_checkpoint() == last
    train(run, torchrun.library, allow_threads=1)
    assert torchrun.run.status == "finished"
    assert [row["step"] for row in run.read_metrics()] == list(range(1, 201))


def test_if_the_main_process_dies_the_run_is_interrupted(torchrun: Torchrun) -> None:
    torchrun.worker(0).send_signal(signal.SIGKILL)
    torchrun.process.communicate()
    assert torchrun.process.returncode == 1
    assert torchrun.run.status == "interrupted"


def test_ctrl_c_stops_all_processes_and_saves_the_run(torchrun: Torchrun) -> None:
    torchrun.process.send_signal(signal.SIGINT)
    _, errors = torchrun.process.communicate()
    run = torchrun.run
    assert "Stopping after this step and saving." in errors
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


def test_a_batch_too_small_to_shard_is_refused(library: Library) -> None:
    run = make_run(library, DECODER, batch_size=2)
    with pytest.raises(ValueError, match="A batch of 2 cannot be shared by 3 processes: use a larger batch_size"):
        next(set_up(run, library, "cpu", None, DistributedGroup(0, 3, 0, 3)))
