"""`terrarium calibration`: whether a model is as sure as it is right, and the temperature that mends it.

It reads held-out text: the validation part of the run's own data, or a text file. The temperature is fitted on one half
of it, and judged on the other; intervals are 95 %.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from terrarium.app.commands.common import UsageError, find_model, open_model, weights_option
from terrarium.app.commands.options import Command, argument, option
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library
from terrarium.models.metrics.calibration import Calibration
from terrarium.models.number_words import format_percent
from terrarium.models.runs.run_folder import RunFolder


class CalibrationCommand(Command, description=__doc__):
    """Whether a model is as sure as it is right."""

    run_id: str = argument("RUN", "a run's path, id or name", complete="run")
    data: Path | None = option("a text file that is new to the model (default: the run's own data)", metavar="FILE")
    predictions: int = option("about how many tokens or labels are predicted", default=20_000, metavar="N")
    weights: str = weights_option()

    def run(self) -> None:
        """Print the figures and the curve, or one JSON object."""
        if self.predictions < 1:
            raise UsageError("--predictions must be at least 1.")
        folder = RunFolder.open(find_model(self.run_id))
        model, tokenizer, _ = open_model(self.run_id, self.device, self.weights)
        from terrarium.models.training.held_out_calibration import calibrate

        with ProgressLine(as_json=self.as_json) as line:
            work = calibrate(Library(), folder, model, tokenizer, self.data, max_predictions=self.predictions)
            found = drive(work, line)
        self.show({"run": folder.id, **dataclasses.asdict(found)}, _report(found))


def _report(found: Calibration) -> str:
    from terrarium.app.glass.calibration.calibration_sentence import (
        describe_calibration,
        describe_data,
        format_error,
        format_interval,
        format_temperature,
    )

    before, after = found.before, found.after
    rows = [
        ("", "as it is", f"temperature {format_temperature(found.temperature.value)}"),
        ("calibration error", format_error(before.best.ece), format_error(after.best.ece)),
        ("… in equal bins", format_error(before.best.adaptive_ece), format_error(after.best.adaptive_ece)),
        ("nats per prediction", f"{before.nll.value:.3f}", f"{after.nll.value:.3f}"),
    ]
    lines = [describe_calibration(found), ""]
    lines += [f"{name:<22}{first:<20}{second}".rstrip() for name, first, second in rows]
    lines += ["", f"{'said':>8}{'right':>8}  interval{'n':>14}"]
    lines += [
        f"{format_percent(each.confidence, 1):>8}{format_percent(each.accuracy.value, 1):>8}  "
        f"{format_interval(each.accuracy):<16}{each.n:>6,}"
        for each in before.best.bins
    ]
    interval = format_interval(found.temperature, 2, percent=False)
    temperature = f"Temperature {format_temperature(found.temperature.value)}" + (
        f" ({interval})." if interval else "."
    )
    return "\n".join([*lines, "", temperature, describe_data(found)])
