"""`terrarium align`: a demonstration of alignment, from a model that can chat to what becomes of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.align.report import describe_constitution, describe_format, describe_outcome, describe_refusals
from app.commands.common import UsageError, add_common, print_json
from app.commands.progress import ProgressLine, drive
from models.events import Event
from models.library.library import Library
from models.number_words import capitalized

if TYPE_CHECKING:
    from models.recipes.alignment.constitution import ConstitutionResult
    from models.recipes.alignment.demonstration import Bench
    from models.recipes.alignment.refuse import RefuseResult
    from models.runs.run_folder import RunFolder

DONE = 0
_DEMONSTRATIONS = {
    "format": "“Say it twice.”: a form of replies, learned from 1,000 examples, with and without old rows",
    "taught": "“I like stories that end happily and are short”: pairs, reward model, PPO, DPO; GRPO with the judge",
    "goodhart": "annotators secretly like long stories: best of n and PPO, past the peak of what was meant",
    "refuse": "“Knows what to refuse”: a helpful model learns a rule, with and without harmless look-alikes",
    "constitution": "“By its own rules”: a helpful model criticises and revises its own replies, and learns from that",
}
_STAGES = "Each stage becomes a run of its own; one that was cut short goes on where it was."


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command and its demonstrations."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "align", help="demonstrations of alignment, with what they are to reach", description=__doc__
    )
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, words in _DEMONSTRATIONS.items():
        kind = kinds.add_parser(name, help=words, description=f"{capitalized(words)}. {_STAGES}")
        kind.add_argument("--base", metavar="RUN", help="a model that can chat (default: the newest quick start)")
        kind.add_argument("--seed", type=int, default=0, metavar="S", help="the seed of its trainings (default: 0)")
        asked = "forbidden questions" if name in ("refuse", "constitution") else "questions of each kind"
        kind.add_argument("--n", type=int, default=120, metavar="N", help=f"{asked} that are asked (default: 120)")
        if name == "taught":
            kind.add_argument(
                "--preferences",
                default="",
                metavar="SET",
                help="pairs that you have judged, which come before those of the simulated annotator",
            )
        if name == "constitution":
            kind.add_argument("--rules", metavar="FILE", type=Path, help="your own rules, one a line (default: three)")
        add_common(kind)
    return parser


def run(args: argparse.Namespace) -> int:
    """Carry it out and print what came of it."""
    if args.n < 3 or args.seed < 0:
        raise UsageError("--n must be at least 3, and --seed at least 0.")
    from models.runs.run_folder import RunFolder

    library = Library()
    base = RunFolder.open(library.find_run(args.base) if args.base else _newest(library))
    demonstrate, describe = _WAYS[args.what]
    with ProgressLine(as_json=args.json) as line:
        found = drive(demonstrate(library, base, args), line)
    if args.json:
        print_json(found.to_dict())
    else:
        print(describe(found))
    return DONE


def _refuse(library: Library, base: RunFolder, args: argparse.Namespace) -> Generator[Event, None, RefuseResult]:
    from models.recipes.alignment.refuse import refuse

    return refuse(library, base.id, **_settings(base, args))


def _constitution(
    library: Library, base: RunFolder, args: argparse.Namespace
) -> Generator[Event, None, ConstitutionResult]:
    from models.data.tiny_world.constitution import RULES, parse_rules
    from models.recipes.alignment.constitution import constitution

    rules = RULES if args.rules is None else parse_rules(_text_of(args.rules))
    return constitution(library, base.id, rules=rules, **_settings(base, args))


def _taught(library: Library, base: RunFolder, args: argparse.Namespace) -> Generator[Event, None, Any]:
    from models.recipes.alignment.taught import taught

    return taught(_bench(library, base, args), args.preferences)


def _goodhart(library: Library, base: RunFolder, args: argparse.Namespace) -> Generator[Event, None, Any]:
    from models.recipes.alignment.goodhart import goodhart

    return goodhart(_bench(library, base, args))


def _format(library: Library, base: RunFolder, args: argparse.Namespace) -> Generator[Event, None, Any]:
    from models.recipes.alignment.format import format_replies

    return format_replies(_bench(library, base, args))


_WAYS: dict[str, tuple[Callable[..., Generator[Event, None, Any]], Callable[[Any], str]]] = {
    "format": (_format, describe_format),
    "taught": (_taught, describe_outcome),
    "goodhart": (_goodhart, describe_outcome),
    "refuse": (_refuse, describe_refusals),
    "constitution": (_constitution, describe_constitution),
}


def _bench(library: Library, base: RunFolder, args: argparse.Namespace) -> Bench:
    from models.recipes.alignment.demonstration import Bench

    return Bench(library=library, base=base.id, **_settings(base, args))


def _settings(base: RunFolder, args: argparse.Namespace) -> dict[str, Any]:
    from models.recipes.alignment.demonstration import world_seed_of

    return {"seed": args.seed, "world_seed": world_seed_of(base), "device": args.device, "n_each": args.n}


def _text_of(path: Path) -> str:
    """What a user's small file says; ValueError where it cannot be read as text."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{path} is too large for a list of rules: name a file with one rule a line.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): name a file with one rule a line.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8 first.") from error


_MAX_BYTES = 100_000


def _newest(library: Library) -> Path:
    """The folder of the newest run that learned Tiny World from scratch; ValueError where there is none."""
    from models.runs.run_folder import RunFolder

    for info in library.list_runs():
        if info.problem is None and info.step:
            spec = RunFolder.open(info.folder).spec
            if spec.data.source == "tiny-world" and spec.tune is None and spec.model.topology == "decoder-only":
                return info.folder
    raise ValueError("There is no model that can chat yet: grow one with `terrarium quickstart --minutes 9`.")
