"""`terrarium align`: run demonstrations of alignment on a chat model, or measure win rates between its stages."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from terrarium.app.commands.align import compare
from terrarium.app.commands.align.report import describe
from terrarium.app.commands.common import UsageError, add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive, stop_on_interrupt
from terrarium.app.commands.queue import add_queue_option, queue_recipe
from terrarium.models.files.encodings import SAVE_AS_UTF8, encoding_of_file
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS, N_EACH
from terrarium.models.recipes.demonstrations.results import CONSTITUTION, REFUSE
from terrarium.models.recipes.recipe_specs import demonstration_spec

DONE, INTERRUPTED = 0, 130
_STAGES = "Each stage becomes a run of its own; one that was cut short goes on where it was."
_MAX_BYTES = 100_000


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command and its demonstrations."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "align", help="demonstrations of alignment, with what they are to reach; win rates", description=__doc__
    )
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, recipe in DEMONSTRATIONS.items():
        kind = kinds.add_parser(name, help=recipe.summary, description=f"{recipe.help} {_STAGES}")
        kind.add_argument("--base", metavar="RUN", help="a model that can chat (default: the newest quick start)")
        kind.add_argument("--seed", type=int, default=0, metavar="S", help="the seed of its trainings (default: 0)")
        asked = "forbidden questions" if name in (REFUSE, CONSTITUTION) else "questions of each kind"
        kind.add_argument(
            "--n", type=int, default=N_EACH, metavar="N", help=f"{asked} that are asked (default: {N_EACH})"
        )
        if recipe.asks_own:
            kind.add_argument(
                "--preferences",
                default="",
                metavar="SET",
                help="pairs that you have judged, which come before those of the simulated annotator",
            )
        if recipe.asks_rules:
            kind.add_argument(
                "--rules", metavar="FILE", type=Path, help="your own rules, one per line (default: three)"
            )
        add_queue_option(kind)
        add_common(kind)
    compare.add_parser(kinds)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the demonstration and print its result."""
    if args.what == "compare":
        return compare.run(args)
    if args.n < 3 or args.seed < 0:
        raise UsageError("--n must be at least 3, and --seed at least 0.")
    from terrarium.models.recipes.demonstrations.running import DemonstrationRun
    from terrarium.models.recipes.job import RunJob
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.tiny_world.constitution import parse_rules

    library = Library()
    base = RunFolder.open(library.find_run(args.base) if args.base else _newest(library))
    offer = DEMONSTRATIONS[args.what]
    own = args.preferences if offer.asks_own else ""
    rules = parse_rules(_text_of(args.rules)) if offer.asks_rules and args.rules is not None else ()
    if args.queue:
        queue_recipe(library, demonstration_spec(args.what, base.id, args.seed, own, rules), as_json=args.json)
        return DONE
    recipe = DemonstrationRun(args.what, base.id, seed=args.seed, own=own, rules=rules, n_each=args.n)
    job = RunJob(library, recipe, device=args.device)
    with ProgressLine(as_json=args.json) as line, stop_on_interrupt(job.request_stop):
        drive(job.events(), line)
    found = job.result
    if found is None:
        return INTERRUPTED
    if args.json:
        print_json(found.to_dict())
    else:
        print(describe(found))
    return DONE


def _text_of(path: Path) -> str:
    """Read a small text file of the user. Raises ValueError if it cannot be read as text."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{path} is too large for a list of rules: name a file with one rule per line.")
        return path.read_text(encoding=encoding_of_file(path))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): name a file with one rule per line.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {SAVE_AS_UTF8}.") from error


def _newest(library: Library) -> Path:
    """Return the folder of the newest run trained on Tiny World from scratch. Raises ValueError if there is none."""
    from terrarium.models.runs.run_folder import RunFolder

    for info in library.list_runs():
        if info.problem is None and info.step:
            spec = RunFolder.open(info.folder).spec
            if spec.data.source == "tiny-world" and spec.tune is None and spec.model.topology == "decoder-only":
                return info.folder
    raise ValueError("There is no model that can chat yet: grow one with `terrarium quickstart`.")
