"""The estimated memory of a training is what its process takes at its peak."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from terrarium.models.design import training_memory
from terrarium.models.device import bf16_is_fast
from terrarium.models.events import RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.machine import memory_in_use
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import fork, make_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak (clear_refs)"),
]

SIZE: dict[str, Any] = {"n_layer": 4, "d_model": 512, "n_head": 8, "context_length": 128, "vocab_size": 261}
GPT2 = dataclasses.replace(PRESETS["gpt2-tiny"], **SIZE, dropout=0.1)
LLAMA = dataclasses.replace(PRESETS["llama-tiny"], **SIZE, n_kv_head=4)
TERRARIUM = dataclasses.replace(PRESETS["terrarium-tiny"], **SIZE)
CASES: dict[str, tuple[ModelConfig, dict[str, Any]]] = {
    "gpt2, adamw": (GPT2, {"optimizer": "adamw", "batch_size": 4}),
    "gpt2, many texts": (GPT2, {"optimizer": "adamw", "batch_size": 12}),
    "gpt2, accumulated": (GPT2, {"optimizer": "adamw", "batch_size": 4, "grad_accum_steps": 2}),
    "llama, muon": (LLAMA, {"optimizer": "muon", "batch_size": 6, "precision": "float32"}),
    "terrarium, bfloat16": (TERRARIUM, {"optimizer": "adamw", "batch_size": 8, "precision": "bfloat16"}),
    "gpt2, less of all": (
        GPT2,
        {"optimizer": "adamw", "batch_size": 8, "activation_checkpointing": True, "state_dtype": "bfloat16"},
    ),
}


def peak_of_training(folder: str, home: str, weights: int, result: str) -> None:
    """Train the run; write how far this process's peak was above its memory before the model was there."""
    before, x = 0, torch.ones(1, requires_grad=True)
    checkpoint(torch.square, x, use_reentrant=False).backward()  # when first used, it imports torch's compiler: 30 MB
    for event in Trainer(RunFolder.open(Path(folder)), Library(Path(home)), device="cpu", allow_threads=1).events():
        if isinstance(event, RunStarted):
            Path("/proc/self/clear_refs").write_text("5")
            before = memory_in_use_of_cpu() - weights
        if isinstance(event, TrainMetrics) and event.step == 2:
            status = Path("/proc/self/status").read_text().split()
            Path(result).write_text(json.dumps(1024 * int(status[status.index("VmHWM:") + 1]) - before))


def memory_in_use_of_cpu() -> int:
    return memory_in_use(torch.device("cpu"))


SLOW_IN_BFLOAT16 = pytest.mark.skipif(
    not bf16_is_fast(torch.device("cpu")), reason="without bfloat16 in hardware, two steps take two minutes"
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW_IN_BFLOAT16 if "bfloat16" in name else ()) for name in CASES]
)
def test_the_estimate_is_within_a_tenth_of_the_peak(name: str, library: Library, tmp_path: Path) -> None:
    config, settings = CASES[name]
    settings = {"precision": "float32", **settings}
    shared = {"steps": 2, "eval_interval": 0, "sample_interval": 0, "layer_interval": 2, "checkpoint_interval": 2}
    run = make_run(library, config, **shared, **settings)
    train, design = run.spec.train, run.spec.model
    estimate = training_memory(
        design,
        train.batch_size,
        design.context_length,
        train.optimizer,
        precision=train.precision,
        recomputes=train.activation_checkpointing,
        accumulates=train.grad_accum_steps > 1,
        state_dtype=train.state_dtype,
    )
    result = tmp_path / "peak.json"
    process = fork(peak_of_training, str(run.folder), str(library.home), estimate["Weights"], str(result))
    process.join()
    assert process.exitcode == 0
    peak = json.loads(result.read_text())
    assert sum(estimate.values()) == pytest.approx(peak, rel=0.1)
