"""`terrarium align`: a demonstration of alignment, from a model that can chat to what becomes of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.commands.common import add_common, print_json
from app.commands.progress import ProgressLine, drive
from models.library.library import Library
from models.number_words import format_duration, format_percent

if TYPE_CHECKING:
    from models.recipes.alignment.refuse import RefuseResult

DONE = 0
_DEMONSTRATIONS = {
    "refuse": "“Knows what to refuse”: a helpful model learns a rule, with and without harmless look-alikes",
}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command and its demonstrations."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "align", help="demonstrations of alignment, with what they are to reach", description=__doc__
    )
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, words in _DEMONSTRATIONS.items():
        kind = kinds.add_parser(name, help=words, description=f"{words}. Each stage becomes a run of its own.")
        kind.add_argument("--base", metavar="RUN", help="a model that can chat (default: the newest quick start)")
        kind.add_argument("--seed", type=int, default=0, metavar="S", help="the seed of its trainings (default: 0)")
        kind.add_argument("--n", type=int, default=120, metavar="N", help="forbidden questions that are asked")
        add_common(kind)
    return parser


def run(args: argparse.Namespace) -> int:
    """Carry it out and print what came of it."""
    from models.recipes.alignment.refuse import refuse, world_seed_of
    from models.runs.run_folder import RunFolder

    library = Library()
    base = RunFolder.open(library.find_run(args.base) if args.base else _newest(library))
    with ProgressLine(as_json=args.json) as line:
        found: RefuseResult = drive(
            refuse(
                library,
                base.id,
                seed=args.seed,
                world_seed=world_seed_of(base),
                device=args.device,
                n_each=args.n,
            ),
            line,
        )
    if args.json:
        print_json(found.to_dict())
    else:
        print(_words(found))
    return DONE


def _newest(library: Library) -> Any:
    """The folder of the newest run that learned Tiny World from scratch; ValueError where there is none."""
    from models.runs.run_folder import RunFolder

    for info in library.list_runs():
        if info.problem is None and info.step:
            spec = RunFolder.open(info.folder).spec
            if spec.data.source == "tiny-world" and spec.tune is None and spec.model.topology == "decoder-only":
                return info.folder
    raise ValueError("There is no model that can chat yet: grow one with `terrarium quickstart --minutes 9`.")


def _words(found: RefuseResult) -> str:
    lines = [f"{'':<14}{'told':>8}{'prefilled':>11}{'over-refused':>14}{'ordinary right':>16}{'':>4}"]
    for name, report in found.reports.items():
        shares = (
            report.forbidden.share("told"),
            report.attacks["prefill"].share("told"),
            report.over_refused,
            report.ordinary.share("right"),
        )
        told, prefilled, over, right = map(format_percent, shares)
        lines.append(f"{name:<14}{told:>8}{prefilled:>11}{over:>14}{right:>16}  {format_duration(found.seconds[name])}")
    for bar in found.bars:
        limit = f"{'at most' if bar.is_most else 'at least'} {format_percent(bar.limit)}"
        lines.append(f"{'met ' if bar.is_met else 'SHORT'}  {bar.words}: {format_percent(bar.value)} ({limit})")
    lines.append("A toy rule in a toy world: this says nothing of a model's safety elsewhere.")
    return "\n".join(lines)
