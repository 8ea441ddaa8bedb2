"""What the processes beside the leader do: they wait for its orders, and take part in what those begin."""

from __future__ import annotations

from pathlib import Path

from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.training.checkpoint import gather
from models.training.looks import shown_together, sums_together, weights_are_finite
from models.training.parallel.team import Order, Team
from models.training.setup import Parts, set_up
from models.training.update import apply_gradients, compute_gradients


def follow(library: Library, device: str, team: Team) -> None:
    """Help the leader to train the run whose folder it tells, until it ends.

    Raises:
        ValueError: where a file of the run is missing or damaged, or another process has ended.
    """
    try:
        _follow(library, device, team)
    except RuntimeError as error:
        if not team.is_loss(error):
            raise
        raise ValueError(f"Process {team.rank + 1} of {team.size} ends because another one did.") from error


def _follow(library: Library, device: str, team: Team) -> None:
    run = RunFolder.open(Path(team.agree_on_text("")))
    preparing = set_up(run, library, device, None, team)
    while True:
        try:
            next(preparing)
        except StopIteration as done:
            parts: Parts = done.value
            break
    order, numbers = team.heed()
    while order is not Order.END:
        _obey(order, numbers, parts, run)
        order, numbers = team.heed()


def _obey(order: Order, numbers: list[float], parts: Parts, run: RunFolder) -> None:
    config = run.spec.train
    if order is Order.GRADIENTS:
        for _ in compute_gradients(parts, config, int(numbers[0])):
            pass
    elif order is Order.UPDATE:
        norm, lr_multiple, is_looked_at = numbers
        apply_gradients(parts, config, norm, lr_multiple, is_looked_at=bool(is_looked_at))
    elif order is Order.VALIDATE:
        sums_together(parts, int(numbers[0]))
    elif order is Order.CHECK:
        weights_are_finite(parts)
    elif order is Order.SHOW:
        shown_together(parts)
    elif order is Order.SAVE:
        parts.team.wait_for_all()
        gather(parts.layout, parts.optimizers)
