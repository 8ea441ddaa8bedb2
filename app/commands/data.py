"""`terrarium data`: check your own data and import it as a dataset; manage datasets, preference sets, corrections."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import UsageError, open_model
from terrarium.app.commands.options import Command, Group, argument, option, print_json
from terrarium.app.commands.preference_data import (
    DATASET_NAME,
    Export,
    Pairs,
    Simulate,
    dataset_facts,
    row_counts,
)
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.corpora.corpus import Corpus, find_dataset, list_corpora
from terrarium.models.corpora.hub import SORTS, Hub
from terrarium.models.corpora.hub import TASKS as HUB_TASKS
from terrarium.models.data.corrections import build_corrections_corpus
from terrarium.models.events import result_of
from terrarium.models.importing.checks import Checks, check_events
from terrarium.models.importing.formats.plain import UNITS
from terrarium.models.importing.formats.registry import FORMATS
from terrarium.models.importing.formats.rows import ReadOptions
from terrarium.models.importing.importer import dataset_name, describe_damage, import_events
from terrarium.models.importing.inspection import SourceInfo, inspect_events
from terrarium.models.importing.plan import DEFAULT_FIXES, FIXES, GROUP, ROLES, ImportPlan
from terrarium.models.library.library import Library, safe_name
from terrarium.models.library.run_notes import read_corrections, set_correction
from terrarium.models.number_words import capitalized, format_compact, format_count, format_size
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.tasks import TASKS

_SHOWN = 100
"""The maximum number of characters of a text to print."""


class _Source(Command):
    """What `import` and `check` ask about a source."""

    sources: tuple[str, ...] = argument("SRC", "a file, a folder, or a .zip", complete="file")
    task: str | None = option("what is to be learned (default: guessed)", choices=tuple(ROLES))
    role: tuple[str, ...] = option(
        "which column is what, as label=sentiment; again for each (default: guessed); "
        f"{GROUP}=COLUMN keeps rows with the same value in one split",
        metavar="ROLE=COLUMN",
    )
    split: float = option("for validation", default=0.1, metavar="SHARE")
    test: float = option("for the test", default=0.1, metavar="SHARE")
    seed: int = option("of the split", default=1)
    fix: str = option(
        f"what to leave out: of {', '.join(FIXES)}; all, or none",
        default=",".join(sorted(DEFAULT_FIXES)),
        metavar="MEND,…",
    )
    skip_bad_rows: bool = option(
        "leave out rows that cannot be read, such as one with too few cells (adds “damaged” to --fix)"
    )
    tokenizer: str = option("a tokenizer, to count tokens and find unknown ones", default="", complete="tokenizer")
    context: int = option("find rows of more than N tokens", default=0, metavar="N")
    format: str = option("(default: guessed)", default="", choices=("", *FORMATS), metavar="FORMAT")
    encoding: str = option("of text files, as latin-1 (default: UTF-8, or UTF-16 if marked)", default="")
    delimiter: str = option("between the cells of a table (default: guessed)", default="")
    header: bool | None = option("whether tables begin with column names")
    unit: str = option(f"of texts: {', '.join(UNITS)}", default="", choices=("", *UNITS), metavar="UNIT")
    config: str = option("which configuration of a Hugging Face folder", default="")

    def read_options(self) -> ReadOptions:
        """Return how the files are read."""
        return ReadOptions(
            format=self.format,
            encoding=self.encoding,
            delimiter=self.delimiter.replace("\\t", "\t"),
            header=self.header,
            unit=self.unit,
            config=self.config,
        )

    def plan(self, info: SourceInfo, name: str = "") -> ImportPlan:
        """Make the import plan, with guesses for missing options; its task is "" if it cannot be guessed."""
        task = self.task or info.task
        roles = dict(info.roles) if task == info.task else {}
        for text in self.role:
            role, sign, column = text.partition("=")
            if not sign or not column:
                raise UsageError(f"--role {text} says no column: write it as label=sentiment.")
            if column not in {known.name for known in info.columns}:
                names = ", ".join(known.name for known in info.columns)
                raise ValueError(f"{self.sources[0]} has no column {column!r}: it has {names}.")
            roles[role] = column
        fixes = {"all": frozenset(FIXES), "none": frozenset[str]()}.get(self.fix)
        if fixes is None:
            fixes = frozenset(filter(None, self.fix.split(",")))
        plan = ImportPlan(
            paths=self.sources,
            task=task,
            columns=roles if task != info.task or not self.role else _without_others(roles, self.role),
            read=self.read_options(),
            name=name,
            val_fraction=self.split,
            test_fraction=self.test,
            seed=self.seed,
            fixes=fixes | {"damaged"} if self.skip_bad_rows else fixes,
            tokenizer=self.tokenizer,
            context=self.context,
        )
        if task:
            plan.check()
        return plan


_WORDS = (
    f"Formats: {', '.join(f'{key} ({known.title})' for key, known in FORMATS.items())}. "
    f"Mends: {'; '.join(f'{name}: {what}' for name, what in FIXES.items())}."
)


class Import(_Source, epilog=_WORDS):
    """Make a dataset of files, folders or archives."""

    name: str = option("the dataset's name (default: that of the first file)", default="")

    def run(self) -> None:
        """Import, and print what was found."""
        library = Library()
        with ProgressLine(as_json=self.as_json) as line:
            info = drive(inspect_events(self.sources, self.read_options()), line)
            plan = self.plan(info, self.name)
            if not plan.task:
                raise ValueError(f"{self.sources[0]}: {info.reason}: say it with --task and --role.")
            dataset_name(library, plan)
            checks = drive(check_events(library, plan), line)
            if checks.scan.damaged and "damaged" not in plan.fixes:
                raise ValueError(f"{describe_damage(checks.scan.damaged)}\nLeave them out with --skip-bad-rows.")
            corpus = drive(import_events(library, plan, checks), line)
        _print_source(info, plan, checks, corpus, as_json=self.as_json)


class Check(_Source, epilog=_WORDS):
    """Show what a source holds, and what is wrong with it; nothing is stored."""

    def run(self) -> None:
        """Print what was found."""
        with ProgressLine(as_json=self.as_json) as line:
            info = drive(inspect_events(self.sources, self.read_options()), line)
            plan = self.plan(info)
            checks = drive(check_events(Library(), plan), line) if plan.task else None
        _print_source(info, plan, checks, None, as_json=self.as_json)


class Search(Command):
    """Search the Hugging Face hub for datasets (HF_ENDPOINT names another hub)."""

    words: tuple[str, ...] = argument("WORD", "words in the name of a dataset")
    task: str = option("only those for this task", default="", choices=tuple(HUB_TASKS))
    language: str = option("only those in this language, as fr", default="")
    sort: str = option("the order", default=next(iter(SORTS)), choices=tuple(SORTS))

    def run(self) -> None:
        """Print the datasets found."""
        with ProgressLine(as_json=self.as_json) as line:
            work = Hub().search(" ".join(self.words), task=self.task, language=self.language, sort=self.sort)
            found = drive(work, line)
        lines = [
            f"{each.id}  ({format_compact(each.downloads)} downloads, {each.licence or 'no licence'}"
            f"{', gated' if each.gated else ''})"
            for each in found
        ]
        text = "\n".join(map(_printable, lines)) or "Nothing found: try other words."
        self.show({"datasets": [dataclasses.asdict(each) for each in found]}, text)


class Download(Command):
    """Download a dataset of the Hugging Face hub as Parquet files, for `terrarium data import`; a stopped download
    resumes where it left off.
    """

    id: str = argument("OWNER/NAME", "the dataset's name on the hub")
    config: str = option("its configuration (default: the first)", default="")
    split: tuple[str, ...] = option("only this part; again for each (default: all)")
    out: Path | None = option("the folder (default: a new one in the library)", metavar="DIR")

    def run(self) -> None:
        """Download, and print the folder."""
        hub, library = Hub(), Library()
        with ProgressLine(as_json=self.as_json) as line:
            details = drive(hub.details(self.id), line)
            if details.problem:
                raise ValueError(details.problem)
            config = self.config or details.configs[0]
            splits = self.split or tuple(each.split for each in details.splits if each.config == config)
            if not splits:
                raise ValueError(f"“{self.id}” has no configuration {config!r}: use {', '.join(details.configs)}.")
            name = safe_name(f"{self.id} {config}".replace("/", " "))
            folder = (self.out or library.home / "downloads" / name).expanduser().absolute()
            files = drive(hub.download(self.id, config, splits, folder), line)
        paths = {split: [str(path) for path in found] for split, found in files.items()}
        self.show({"folder": str(folder), "config": config, "files": paths}, folder)


class ListDatasets(Command):
    """List the datasets of the library."""

    def run(self) -> None:
        """Print them."""
        datasets = [corpus for corpus in list_corpora(Library()) if corpus.task]
        if self.as_json:
            print_json({"datasets": [dataset_facts(corpus) for corpus in datasets]})
            return
        for corpus in datasets:
            rows = ", ".join(f"{n:,} {split}" for split, n in row_counts(corpus).items())
            print(f"{corpus.sha}  {corpus.task:<14}  {format_size(corpus.n_bytes):>8}  {corpus.label}: {rows}")
        if not datasets:
            print("There are no datasets yet: make one with `terrarium data import`.")


class Show(Command):
    """Show rows of a dataset."""

    name: str = argument("NAME", DATASET_NAME, complete="dataset")
    rows: int = option("how many rows of each split", default=5, metavar="N")

    def run(self) -> None:
        """Print them."""
        corpus = find_dataset(Library(), self.name)
        rows = {split: list(itertools.islice(corpus.rows(split), max(self.rows, 0))) for split in corpus.splits}
        if self.as_json:
            print_json({**dataset_facts(corpus), "examples": rows})
            return
        print(f"{corpus.label}: {TASKS[corpus.task].title}, {format_size(corpus.n_bytes)}")
        if corpus.labels:
            print(f"Labels: {', '.join(map(_printable, corpus.labels))}")
        for split, examples in rows.items():
            print(f"{split}: {format_count(len(corpus.rows(split)), 'row')}")
            for row in examples:
                text = json.dumps(row, ensure_ascii=False)
                print("  " + _printable(text if len(text) <= 3 * _SHOWN else text[: 3 * _SHOWN - 1] + "…"))


class Corrections(Command):
    """List the right labels that you gave to texts of a model that labels them, give another one, or make a dataset of
    them.
    """

    model: str = argument("MODEL", "a run's path, id or name", complete="run")
    text: str | None = option("the text whose label is corrected")
    second: str = option("the second text, of a model that reads two", default="", metavar="TEXT")
    label: str | None = option("its right label; the model's own is no correction (default: take the correction back)")
    dataset: bool = option("make a dataset to fine-tune the model on")

    def run(self) -> None:
        """Set or remove a correction, make a dataset of all corrections, and print them."""
        library = Library()
        run = RunFolder.open(library.find_run(self.model))
        labels = run.spec.data.labels
        if self.label is not None and self.text is None:
            raise UsageError("A label needs the text that it belongs to: give it with --text.")
        if self.label is not None and self.label not in labels:
            raise UsageError(f"“{run.name}” has no label {self.label!r}: use one of {', '.join(labels) or 'none'}.")
        own = ""
        if self.text is not None:
            row = {"text": self.text, "text_pair": self.second}
            own = _own_label(run, row, self.device) if self.label is not None else ""
            set_correction(run.folder, row, None if self.label == own else self.label)
        made = build_corrections_corpus(library, run, labels) if self.dataset else None
        rows = read_corrections(run.folder)
        if self.as_json:
            dataset = made.corpus.label if made is not None else None
            print_json({"run": run.id, "corrections": rows, "dataset": dataset} | ({"own": own} if own else {}))
            return
        if own:
            print(f"The model's own label is “{own}”{', so this is no correction' if self.label == own else ''}.")
        for row in rows:
            text = " / ".join(filter(None, (row["text"], row.get("text_pair"))))
            print(_printable(f"{row['label']}: {text}")[:_SHOWN])
        if made is not None:
            print(f"“{made.corpus.label}” is a dataset now. {made.sentence}")


COMMAND = Group(
    actions={
        "import": Import,
        "check": Check,
        "search": Search,
        "download": Download,
        "list": ListDatasets,
        "show": Show,
        "pairs": Pairs,
        "simulate": Simulate,
        "corrections": Corrections,
        "export": Export,
    },
    help="import your own data as a dataset, check it, list datasets, show their rows",
    description=__doc__,
)


def _without_others(roles: Mapping[str, str], chosen: Iterable[str]) -> dict[str, str]:
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
            facts["dataset"] = dataset_facts(corpus)
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


def _own_label(run: RunFolder, row: dict[str, str], device: str) -> str:
    """Return the label that the best checkpoint of a run predicts for a text; the window uses it, too."""
    from terrarium.models.tasks.predicting import predict

    best = None if run.best_step is None else run.checkpoint_path(run.best_step)
    model, tokenizer, _ = open_model(str(best if best in run.checkpoints() else run.folder), device)
    [prediction] = result_of(predict(model, tokenizer, "classification", [row], run.spec.data.labels))
    return str(prediction.value)


def _printable(text: str) -> str:
    """Replace non-printable characters of untrusted text, which could control the terminal, by spaces."""
    return "".join(character if character.isprintable() else " " for character in text)
