"""`terrarium data`: check your own data and import it as a dataset; manage datasets, preference sets, corrections."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import UsageError, add_common, open_model, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.corpora.corpus import Corpus, find_dataset, list_corpora
from terrarium.models.data.corrections import build_corrections_corpus
from terrarium.models.events import result_of
from terrarium.models.importing.checks import Checks, check_events
from terrarium.models.importing.formats.plain import UNITS
from terrarium.models.importing.formats.registry import FORMATS
from terrarium.models.importing.formats.rows import ReadOptions
from terrarium.models.importing.importer import dataset_name, describe_damage, import_events
from terrarium.models.importing.inspection import SourceInfo, inspect_events
from terrarium.models.importing.plan import DEFAULT_FIXES, FIXES, GROUP, ROLES, ImportPlan
from terrarium.models.library.library import Library
from terrarium.models.library.run_corrections import read_corrections, set_correction
from terrarium.models.number_words import capitalized, format_count, format_size
from terrarium.models.preferences.dataset import build_set_corpus
from terrarium.models.preferences.measures import makers
from terrarium.models.preferences.store import GOLD, PERSON, SIMULATED, PreferenceSet, list_sets, rename_set
from terrarium.models.preferences.writing import PREFERENCE_FORMS, write_preferences
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.tasks import PREFERENCE_TASKS, TASKS

DONE = 0
_MAKERS = {PERSON: "you", SIMULATED: "the simulated annotator", GOLD: "the judge of Tiny World"}
_SHOWN = 100
"""The maximum number of characters of a text to print."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "data", help="import your own data as a dataset, check it, list datasets, show their rows", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    words = "; ".join(f"{name}: {what}" for name, what in FIXES.items())
    for name, what in (
        ("import", "make a dataset of files, folders or archives"),
        ("check", "show what a source holds, and what is wrong with it; nothing is stored"),
    ):
        action = actions.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=f"Formats: {', '.join(f'{key} ({known.title})' for key, known in FORMATS.items())}. Mends: {words}.",
        )
        _add_source_options(action)
        if name == "import":
            action.add_argument("--name", default="", help="the dataset's name (default: that of the first file)")
        add_common(action)
    listing = actions.add_parser("list", help="list the datasets of the library")
    show = actions.add_parser("show", help="show rows of a dataset")
    show.add_argument("name", metavar="NAME", help="a dataset's name, or the name of its folder")
    show.add_argument("--rows", type=int, default=5, metavar="N", help="how many rows of each split (default: 5)")
    pairs = actions.add_parser(
        "pairs",
        help="list the preference sets, with the pairs and thumbs that were given in the window; make a dataset of "
        "one, rename or delete it",
    )
    pairs.add_argument("name", nargs="?", default="", metavar="SET", help="the set's name (default: list all)")
    instead = pairs.add_mutually_exclusive_group()
    instead.add_argument(
        "--thumbs", action="store_true", help="make a dataset of its thumbs, for KTO, instead of its pairs"
    )
    instead.add_argument("--rename", metavar="NAME", help="rename the set")
    instead.add_argument("--delete", action="store_true", help="move the set to the trash")
    corrections = actions.add_parser(
        "corrections",
        help="list the right labels that you gave to texts of a model that labels them, give another one, or make a "
        "dataset of them",
    )
    corrections.add_argument("model", metavar="MODEL", help="a run's path, id or name")
    corrections.add_argument("--text", help="the text whose label is corrected")
    corrections.add_argument("--second", default="", metavar="TEXT", help="the second text, of a model that reads two")
    corrections.add_argument(
        "--label",
        help="its right label; the model's own is no correction (default: take the correction back)",
    )
    corrections.add_argument("--dataset", action="store_true", help="make a dataset to fine-tune the model on")
    export = actions.add_parser(
        "export",
        help="write a dataset of preferences for other programs",
        description="Write a dataset of preferences for other programs, and say what their form cannot hold.",
        epilog=f"Forms: {', '.join(f'{name} ({form.title})' for name, form in PREFERENCE_FORMS.items())}.",
    )
    export.add_argument("name", metavar="NAME", help="a dataset's name, or the name of its folder")
    export.add_argument("file", type=Path, metavar="FILE", help="the file to write; it is replaced")
    export.add_argument(
        "--form", default="trl", choices=tuple(PREFERENCE_FORMS), help="the form of FILE (default: trl)"
    )
    export.add_argument("--split", choices=("train", "val", "test"), help="only these rows (default: all)")
    for action in (listing, show, pairs, corrections, export):
        add_common(action)
    return parser


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="SRC", help="a file, a folder, or a .zip")
    parser.add_argument("--task", choices=tuple(ROLES), help="what is to be learned (default: guessed)")
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="ROLE=COLUMN",
        help="which column is what, as label=sentiment; again for each (default: guessed); "
        f"{GROUP}=COLUMN keeps rows with the same value in one split",
    )
    parser.add_argument("--split", type=float, default=0.1, metavar="SHARE", help="for validation (default: 0.1)")
    parser.add_argument("--test", type=float, default=0.1, metavar="SHARE", help="for the test (default: 0.1)")
    parser.add_argument("--seed", type=int, default=1, help="of the split (default: 1)")
    parser.add_argument(
        "--fix",
        default=",".join(sorted(DEFAULT_FIXES)),
        metavar="MEND,…",
        help=f"what to leave out: of {', '.join(FIXES)}; all, or none (default: {','.join(sorted(DEFAULT_FIXES))})",
    )
    parser.add_argument(
        "--skip-bad-rows",
        action="store_true",
        help="leave out rows that cannot be read, such as one with too few cells (adds “damaged” to --fix)",
    )
    parser.add_argument("--tokenizer", default="", help="a tokenizer, to count tokens and find unknown ones")
    parser.add_argument("--context", type=int, default=0, metavar="N", help="find rows of more than N tokens")
    parser.add_argument("--format", default="", choices=("", *FORMATS), metavar="FORMAT", help="(default: guessed)")
    parser.add_argument(
        "--encoding", default="", help="of text files, as latin-1 (default: UTF-8, or UTF-16 if marked)"
    )
    parser.add_argument("--delimiter", default="", help="between the cells of a table (default: guessed)")
    parser.add_argument(
        "--header", action=argparse.BooleanOptionalAction, help="whether tables begin with column names"
    )
    parser.add_argument(
        "--unit", default="", choices=("", *UNITS), metavar="UNIT", help=f"of texts: {', '.join(UNITS)}"
    )
    parser.add_argument("--config", default="", help="which configuration of a Hugging Face folder")


def run(args: argparse.Namespace) -> int:
    """Perform the action and print its result."""
    library = Library()
    if args.action == "list":
        _list(library, as_json=args.json)
    elif args.action == "show":
        _show(find_dataset(library, args.name), args.rows, as_json=args.json)
    elif args.action == "pairs":
        if not args.name and (args.thumbs or args.rename is not None or args.delete):
            raise UsageError("Name the set: `terrarium data pairs` lists them.")
        if args.name:
            _pair_set(library, args)
        else:
            _list_pair_sets(library, as_json=args.json)
    elif args.action == "corrections":
        _corrections(library, args)
    elif args.action == "export":
        _export(find_dataset(library, args.name), args)
    else:
        with ProgressLine(as_json=args.json) as line:
            options = _read_options(args)
            info = drive(inspect_events(args.sources, options), line)
            plan = _plan(args, options, info)
            if args.action == "import":
                dataset_name(library, plan)
            checks = drive(check_events(library, plan), line) if plan.task else None
            corpus = None
            if args.action == "import":
                if checks is not None and checks.scan.damaged and "damaged" not in plan.fixes:
                    raise ValueError(f"{describe_damage(checks.scan.damaged)}\nLeave them out with --skip-bad-rows.")
                corpus = drive(import_events(library, plan, checks), line)
        _print_source(info, plan, checks, corpus, as_json=args.json)
    return DONE


def _read_options(args: argparse.Namespace) -> ReadOptions:
    return ReadOptions(
        format=args.format,
        encoding=args.encoding,
        delimiter=args.delimiter.replace("\\t", "\t"),
        header=args.header,
        unit=args.unit,
        config=args.config,
    )


def _plan(args: argparse.Namespace, options: ReadOptions, info: SourceInfo) -> ImportPlan:
    """Make the import plan from the options, with guesses for missing ones; its task is "" if it cannot be guessed."""
    task = args.task or info.task
    roles = dict(info.roles) if task == info.task else {}
    for text in args.role:
        role, sign, column = text.partition("=")
        if not sign or not column:
            raise UsageError(f"--role {text} says no column: write it as label=sentiment.")
        if column not in {known.name for known in info.columns}:
            raise ValueError(
                f"{args.sources[0]} has no column {column!r}: it has {', '.join(known.name for known in info.columns)}."
            )
        roles[role] = column
    if args.action == "import" and not task:
        raise ValueError(f"{args.sources[0]}: {info.reason}: say it with --task and --role.")
    fixes = {"all": frozenset(FIXES), "none": frozenset[str]()}.get(args.fix)
    if fixes is None:
        fixes = frozenset(filter(None, args.fix.split(",")))
    if args.skip_bad_rows:
        fixes |= {"damaged"}
    plan = ImportPlan(
        paths=tuple(args.sources),
        task=task,
        columns=roles if task != info.task or not args.role else _without_others(task, roles, args.role),
        read=options,
        name=getattr(args, "name", ""),
        val_fraction=args.split,
        test_fraction=args.test,
        seed=args.seed,
        fixes=fixes,
        tokenizer=args.tokenizer,
        context=args.context,
    )
    if task:
        plan.check()
    return plan


def _without_others(task: str, roles: Mapping[str, str], chosen: Iterable[str]) -> dict[str, str]:
    """Return the roles without guessed roles whose column was chosen for another role."""
    asked = {text.partition("=")[0] for text in chosen}
    taken = {roles[role] for role in asked}
    return {role: column for role, column in roles.items() if role in asked or column not in taken}


def _print_source(
    info: SourceInfo, plan: ImportPlan, checks: Checks | None, corpus: Corpus | None, *, as_json: bool
) -> None:
    if as_json:
        found = dataclasses.asdict(info) | {"bad_rows": [row._asdict() for row in info.bad_rows]}
        facts: dict[str, Any] = {"source": found, "task": plan.task, "roles": dict(plan.columns)}
        if checks is not None:
            facts["checks"] = {
                "read": checks.n_read,
                "splits": dict(checks.splits),
                "given": list(checks.given),
                "labels": dict(checks.labels),
                "tokens": checks.n_tokens,
                "sentence": checks.sentence,
                "findings": [dataclasses.asdict(finding) for finding in checks.findings],
            }
        if corpus is not None:
            facts["dataset"] = _facts(corpus)
        print_json(facts)
        return
    rows = f"about {info.n_rows:,} rows" if info.is_estimate else format_count(info.n_rows, "row")
    files = format_count(info.n_files, "file")
    print(f"{FORMATS[info.format].title}: {rows} in {files}, {format_size(info.n_bytes)}")
    for column in info.columns:
        low, mean, high = column.lengths
        examples = " · ".join(map(_printable, column.examples[:3]))
        print(
            f"  {_printable(column.name):<16} {column.type:<11} {column.n_missing:>6,} missing  {column.n_unique:>6,} "
            f"unique  {low}–{high} characters, mean {mean:.0f}  {examples[:_SHOWN]}"
        )
    for warning in info.warnings:
        print(_printable(warning))
    if checks is None:
        print(f"{capitalized(info.reason)}: say it with --task and --role.")
        return
    roles = ", ".join(f"{role}={_printable(column)}" for role, column in plan.columns.items())
    print(f"Task: {plan.task} ({roles})" + (f", since {_printable(info.reason)}" if plan.task == info.task else ""))
    for finding in checks.findings:
        is_damage = finding.name == "damaged"
        remedy = "--skip-bad-rows" if is_damage else f"kept; --fix {finding.name}" if finding.can_fix else "to know"
        print(f"- {finding.sentence} [{'left out' if finding.is_fixed else remedy}]")
        for example in finding.examples[: None if is_damage else 2]:
            for text in example.split("\n"):
                print(f"    {_printable(text)[: 4 * _SHOWN if is_damage else 2 * _SHOWN]}")
    if checks.offer:
        print(checks.offer)
    print(_printable(checks.sentence))
    if corpus is not None:
        print(f"Dataset {corpus.label!r} ({corpus.sha}), {format_size(corpus.n_bytes)}")


def _list(library: Library, *, as_json: bool) -> None:
    datasets = [corpus for corpus in list_corpora(library) if corpus.task]
    if as_json:
        print_json({"datasets": [_facts(corpus) for corpus in datasets]})
        return
    for corpus in datasets:
        rows = ", ".join(f"{n:,} {split}" for split, n in _row_counts(corpus).items())
        print(f"{corpus.sha}  {corpus.task:<14}  {format_size(corpus.n_bytes):>8}  {corpus.label}: {rows}")
    if not datasets:
        print("There are no datasets yet: make one with `terrarium data import`.")


def _show(corpus: Corpus, n_rows: int, *, as_json: bool) -> None:
    rows = {split: list(itertools.islice(corpus.rows(split), max(n_rows, 0))) for split in corpus.splits}
    if as_json:
        print_json({**_facts(corpus), "examples": rows})
        return
    print(f"{corpus.label}: {TASKS[corpus.task].title}, {format_size(corpus.n_bytes)}")
    if corpus.labels:
        print(f"Labels: {', '.join(map(_printable, corpus.labels))}")
    for split, examples in rows.items():
        print(f"{split}: {format_count(len(corpus.rows(split)), 'row')}")
        for row in examples:
            text = json.dumps(row, ensure_ascii=False)
            print("  " + _printable(text if len(text) <= 3 * _SHOWN else text[: 3 * _SHOWN - 1] + "…"))


def _pair_set(library: Library, args: argparse.Namespace) -> None:
    """Rename or delete a set, or make a dataset of its pairs or thumbs."""
    names = list_sets(library)
    if args.name not in names:
        known = ", ".join(map(repr, names)) or "none yet"
        raise ValueError(f"There is no preference set called {args.name!r}: there are {known}.")
    if args.rename is not None:
        name = rename_set(library, args.name, args.rename)
        if args.json:
            print_json({"renamed": {"from": args.name, "to": name}})
        else:
            print(f"{args.name!r} is now called {name!r}.")
        return
    if args.delete:
        token = library.move_to_trash(PreferenceSet(library, args.name).folder)
        if args.json:
            print_json({"deleted": args.name, "trash": token})
        else:
            print(f"{args.name!r} is in the trash: `terrarium trash restore {token}` puts it back.")
        return
    corpus, left_behind = build_set_corpus(library, args.name, rated=args.thumbs)
    if args.json:
        print_json({"dataset": _facts(corpus), "left_behind": left_behind})
        return
    for reason, n in left_behind.items():
        print(f"Left behind: {format_count(n, 'thumb' if args.thumbs else 'pair')} {reason}")
    print(f"Dataset {corpus.label!r} ({corpus.sha}), {format_size(corpus.n_bytes)}")


def _list_pair_sets(library: Library, *, as_json: bool) -> None:
    sets = {each: makers(PreferenceSet(library, each).read().pairs) for each in list_sets(library)}
    thumbs = {}
    for each in sets:
        if given := [thumb.is_good for thumb in PreferenceSet(library, each).read_thumbs().thumbs]:
            thumbs[each] = {"up": given.count(True), "down": given.count(False)}
    if as_json:
        print_json({"sets": sets, "thumbs": thumbs})
        return
    for each, by in sets.items():
        words = ", ".join(f"{n:,} by {_MAKERS.get(maker, maker)}" for maker, n in by.items()) or "no pairs"
        rated = f"; thumbs: {thumbs[each]['up']:,} up, {thumbs[each]['down']:,} down" if each in thumbs else ""
        print(f"{each}: {words}{rated}")
    if not sets:
        print("There are no sets yet: pairs are judged in Chat → Judge replies.")


def _corrections(library: Library, args: argparse.Namespace) -> None:
    """Set or remove a correction, make a dataset of all corrections, and print them."""
    run = RunFolder.open(library.find_run(args.model))
    labels = run.spec.data.labels
    if args.label is not None and args.text is None:
        raise UsageError("A label needs the text that it belongs to: give it with --text.")
    if args.label is not None and args.label not in labels:
        raise UsageError(f"“{run.name}” has no label {args.label!r}: use one of {', '.join(labels) or 'none'}.")
    own = ""
    if args.text is not None:
        row = {"text": args.text, "text_pair": args.second}
        own = _own_label(run, row, args.device) if args.label is not None else ""
        set_correction(run.folder, row, None if args.label == own else args.label)
    made = build_corrections_corpus(library, run, labels) if args.dataset else None
    rows = read_corrections(run.folder)
    if args.json:
        dataset = made.corpus.label if made is not None else None
        print_json({"run": run.id, "corrections": rows, "dataset": dataset} | ({"own": own} if own else {}))
        return
    if own:
        print(f"The model's own label is “{own}”{', so this is no correction' if args.label == own else ''}.")
    for row in rows:
        text = " / ".join(filter(None, (row["text"], row.get("text_pair"))))
        print(_printable(f"{row['label']}: {text}")[:_SHOWN])
    if made is not None:
        print(f"“{made.corpus.label}” is a dataset now. {made.sentence}")


def _own_label(run: RunFolder, row: dict[str, str], device: str) -> str:
    """Return the label that the best checkpoint of a run predicts for a text; the window uses it, too."""
    from terrarium.models.tasks.predicting import predict

    best = None if run.best_step is None else run.checkpoint_path(run.best_step)
    model, tokenizer, _ = open_model(str(best if best in run.checkpoints() else run.folder), device)
    [prediction] = result_of(predict(model, tokenizer, "classification", [row], run.spec.data.labels))
    return str(prediction.value)


def _export(corpus: Corpus, args: argparse.Namespace) -> None:
    if corpus.task not in PREFERENCE_TASKS:
        raise ValueError(f"{corpus.label!r} has no preferences but is for {TASKS[corpus.task].title.lower()}.")
    splits = [args.split] if args.split else list(corpus.splits)
    if not set(splits) <= set(corpus.splits):
        raise ValueError(f"{corpus.label!r} has no rows for {args.split}: it has {', '.join(corpus.splits)}.")
    rows = (row for split in splits for row in corpus.rows(split))
    n_rows = sum(len(corpus.rows(split)) for split in splits)
    with ProgressLine(as_json=args.json) as line:
        written = drive(write_preferences(rows, n_rows, args.form, args.file), line)
    if args.json:
        print_json({"file": str(args.file), "rows": written.n, "notes": list(written.notes)})
        return
    for note in written.notes:
        print(note)
    print(f"{args.file}: {format_count(written.n, 'row')}")


def _facts(corpus: Corpus) -> dict[str, Any]:
    return {
        "name": corpus.label,
        "sha": corpus.sha,
        "task": corpus.task,
        "metric": corpus.metric,
        "labels": list(corpus.labels),
        "rows": _row_counts(corpus),
        "bytes": corpus.n_bytes,
        "seed": corpus.seed,
        "folder": str(corpus.folder),
    }


def _row_counts(corpus: Corpus) -> dict[str, int]:
    return {split: len(corpus.rows(split)) for split in corpus.splits}


def _printable(text: str) -> str:
    """Replace non-printable characters of untrusted text, which could control the terminal, by spaces."""
    return "".join(character if character.isprintable() else " " for character in text)
