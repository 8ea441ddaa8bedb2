"""What runs in several processes, forked by tests off one that has in memory what they import."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from terrarium.models.events import TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.follow import follow
from terrarium.models.training.parallel.join import join
from terrarium.models.training.parallel.process_group import ProcessGroup, end_process
from terrarium.models.training.trainer import Trainer
from tests import ROOT

N_PROCESSES = 2
TORCHRUN = ("--standalone", "--nproc-per-node", str(N_PROCESSES))


def train_in_turn(rank: int, port: int, home: Path, runs: Sequence[tuple[Path, int]]) -> None:
    """One of two processes that train the runs in these folders, one after the other; ends the process.

    A run is stopped after the step beside it, if that is not 0. `port` is a free one.
    """
    local = {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": N_PROCESSES}
    place = {"RANK": rank, "WORLD_SIZE": N_PROCESSES, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in (local | place).items()}
    torch.set_num_threads(1)
    library = Library(home)
    with join() as process_group:
        for folder, stop_after in runs:
            if process_group.is_main_process:
                _lead(RunFolder.open(folder), library, process_group, stop_after)
            else:
                follow(library, "cpu", process_group)
    end_process(0)


def _lead(run: RunFolder, library: Library, process_group: ProcessGroup, stop_after: int) -> None:
    process_group.broadcast_text(str(run.folder))
    trainer = Trainer(run, library, device="cpu", process_group=process_group)
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == stop_after:
            trainer.request_stop()


def torchrun(arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
    """What `torchrun … app ARGUMENTS` does, until a process fails; its stdout and stderr go to a file.

    Its processes are forks of this one where that is safe.
    """
    import torch.distributed.run

    os.environ |= environment
    with output.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    how = "fork" if sys.platform == "linux" else "spawn"
    torch.distributed.run.main(
        [*TORCHRUN, "--start-method", how, "--run-path", str(ROOT / "app" / "__main__.py"), *arguments]
    )
