"""`terrarium calibration`: whether a model is as sure as it is right, and the temperature that mends it.

It reads held-out text: the validation part of the run's own data, or a text file. The temperature is fitted on one half
of it, and judged on the other; intervals are 95 %.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import UsageError, add_common, add_weights, find_model, open_model, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library
from terrarium.models.metrics.calibration import Calibration
from terrarium.models.number_words import format_percent
from terrarium.models.runs.run_folder import RunFolder

_PREDICTIONS = 20_000


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "calibration", help="whether a model is as sure as it is right", description=__doc__
    )
    parser.add_argument("run_id", metavar="RUN", help="a run's path, id or name")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="a text file that is new to the model (default: the run's own data)"
    )
    parser.add_argument(
        "--predictions",
        type=int,
        default=_PREDICTIONS,
        metavar="N",
        help=f"how many tokens or labels are predicted, about (default: {_PREDICTIONS:,})",
    )
    add_weights(parser)
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the figures and the curve, or one JSON object."""
    if args.predictions < 1:
        raise UsageError("--predictions must be at least 1.")
    folder = RunFolder.open(find_model(args.run_id))
    model, tokenizer, _ = open_model(args.run_id, args.device, args.weights)
    from terrarium.models.training.held_out_calibration import calibrate

    with ProgressLine(as_json=args.json) as line:
        work = calibrate(Library(), folder, model, tokenizer, args.data, max_predictions=args.predictions)
        found = drive(work, line)
    if args.json:
        print_json({"run": folder.id, **dataclasses.asdict(found)})
    else:
        print(_report(found))
    return 0


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
