"""What torchrun starts in tests: trains runs one after the other. Arguments: HOME FOLDER[@STEP] …

A run with a step is stopped after it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from models.events import TrainMetrics
from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.training.follow import follow
from models.training.parallel.join import join
from models.training.parallel.process_group import ProcessGroup, end_process
from models.training.trainer import Trainer


def main(home: str, *runs: str) -> None:
    torch.set_num_threads(1)
    library = Library(Path(home))
    with join() as process_group:
        for run in runs:
            folder, _, stop_after = run.partition("@")
            if process_group.is_main_process:
                lead(RunFolder.open(Path(folder)), library, process_group, int(stop_after or 0))
            else:
                follow(library, "cpu", process_group)


def lead(run: RunFolder, library: Library, process_group: ProcessGroup, stop_after: int) -> None:
    process_group.broadcast_text(str(run.folder))
    trainer = Trainer(run, library, device="cpu", process_group=process_group)
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == stop_after:
            trainer.request_stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
    end_process(0)
