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
from models.training.parallel.team import Team, end_process
from models.training.trainer import Trainer


def main(home: str, *runs: str) -> None:
    torch.set_num_threads(1)
    library = Library(Path(home))
    with join() as team:
        for run in runs:
            folder, _, stop_after = run.partition("@")
            if team.leads:
                lead(RunFolder.open(Path(folder)), library, team, int(stop_after or 0))
            else:
                follow(library, "cpu", team)


def lead(run: RunFolder, library: Library, team: Team, stop_after: int) -> None:
    team.agree_on_text(str(run.folder))
    trainer = Trainer(run, library, device="cpu", team=team)
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == stop_after:
            trainer.request_stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
    end_process(0)
