"""The lineage of a run: its parents, tokenizer and text, and the runs made from it. No Qt, no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.app.kit.setting_names.value_words import words
from terrarium.models.corpora.corpus import open_corpus
from terrarium.models.files.atomic import read_json
from terrarium.models.library.library import Library, RunInfo
from terrarium.models.library.run_record import inspect_run
from terrarium.models.number_words import format_count, format_date, format_duration, format_size
from terrarium.models.runs.run_folder import RunFolder

_SHA = 12  # digits of a SHA-256 that are shown


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link of a lineage.

    kind: "run", "tokenizer", "corpus" or "model" (imported); key: its id or name, '' if missing from the library;
    facts: short texts about it; problem: a sentence if it is missing or was changed; made: how the link above it
    was made from it.
    """

    kind: str
    title: str
    key: str = ""
    facts: tuple[str, ...] = ()
    problem: str = ""
    made: str = ""


@dataclass(frozen=True)
class Lineage:
    """The chain of a run (itself first, then its origins) and its children, oldest first.

    can_be_forked: False for an imported model, True for a run that was trained here.
    """

    chain: tuple[Link, ...]
    children: tuple[Link, ...]
    can_be_forked: bool = True


def lineage_of(library: Library, folder: Path, runs: Sequence[RunInfo]) -> Lineage:
    """Return the lineage of the run in `folder`; `runs` are all runs of the library.

    Raises:
        ValueError: if its run.json is missing or damaged, naming it.
    """
    run = RunFolder.open(folder)
    known = {info.id: info for info in runs}
    chain = [_run_link(known.get(run.id) or inspect_run(folder))]
    ancestors = list(_ancestors(run, known))
    chain += [link for link, _ in ancestors]
    source = run.lineage.get("source")
    if isinstance(source, dict):
        chain.append(_source_link(source))
    chain.append(_tokenizer_link(library, run))
    corpora: dict[str, Link] = {}
    batches = run.measured.get("train_batches")
    for lineage in (run.lineage, *(lineage for _, lineage in ancestors)):
        corpus = lineage.get("corpus")
        if isinstance(corpus, dict) and str(corpus.get("sha256")) not in corpora:
            corpora[str(corpus.get("sha256"))] = _corpus_link(library, corpus, batches)
        batches = None  # measured on the run's own text only
    chain += corpora.values()
    if not corpora:
        chain.append(Link(kind="corpus", title="Unknown text", problem="Training text unknown."))
    children = sorted(
        (info for info in runs if info.parent and info.parent[0] == run.id), key=lambda info: info.created
    )
    links = tuple(
        _run_link(info, _how_made(info.parent[1] if info.parent else None, is_tuned=info.is_tuned)) for info in children
    )
    return Lineage(tuple(chain), links, can_be_forked=run.status != "imported")


def _ancestors(run: RunFolder, known: dict[str, RunInfo]) -> Iterator[tuple[Link, dict[str, Any]]]:
    """Yield the ancestors, nearest first, each with its lineage; ends at a missing or repeated run."""
    lineage, seen = run.lineage, {run.id}
    while isinstance(parent := lineage.get("parent"), dict):
        identity, step = str(parent.get("run")), parent.get("step")
        is_tuned = parent.get("kind") == "weights"
        made = _how_made(step if isinstance(step, int) else None, is_tuned=is_tuned)
        if "path" in parent:  # no run
            yield _source_link(parent, made), {}
            return
        if identity in seen:
            return
        info = known.get(identity)
        if info is None:
            title = str(parent.get("name") or identity)
            gone = "It is no longer in the library, so its origin is unknown."
            yield Link(kind="run", title=title, problem=gone, made=made), {}
            return
        seen.add(identity)
        try:
            lineage = RunFolder.open(info.folder).lineage
        except ValueError:
            lineage = {}
        yield _run_link(info, made), lineage


def _how_made(step: int | None, *, is_tuned: bool) -> str:
    """Describe how a run was made from its parent; step: of the parent's checkpoint, None if unknown."""
    if step is None:
        return "started from its weights" if is_tuned else "forked from it"
    return f"started from its weights at step {step:,}" if is_tuned else f"forked at step {step:,}"


def _run_link(info: RunInfo, made: str = "") -> Link:
    best = "" if info.best_loss is None else f"best loss {info.best_loss:.3f}"
    trained = "" if info.elapsed_s is None else f"trained {format_duration(info.elapsed_s)}"
    steps = f"step {info.step:,} of {info.total_steps:,}" if info.total_steps else ""
    facts = tuple(filter(None, (info.status, steps, best, trained, f"created {format_date(info.created)}")))
    return Link(kind="run", title=info.name, key=info.id, facts=facts, problem=info.problem or "", made=made)


def _source_link(source: dict[str, Any], made: str = "imported from") -> Link:
    path = str(source.get("path", ""))
    facts = tuple(filter(None, (str(source.get("format", "")), path)))
    return Link(kind="model", title=Path(path).name or "A model", facts=facts, made=made)


def _tokenizer_link(library: Library, run: RunFolder) -> Link:
    """The run's tokenizer, checked against its own copy and the library."""
    spec, recorded = run.spec, run.lineage.get("tokenizer")
    about = recorded if isinstance(recorded, dict) else {}
    name, sha = str(about.get("name") or "Its own tokenizer"), str(about.get("sha256") or "")
    folder = library.tokenizers / name
    kept = folder.parent == library.tokenizers and (folder / "tokenizer.json").is_file()
    kind = spec.tokenizer.kind if not spec.tokenizer.path else ""
    with suppress(ValueError):  # a damaged one has fewer facts
        kind = str(read_json(folder / "about.json").get("kind", kind)) if kept else kind
    facts = (words(kind), format_count(spec.model.vocab_size, "token"), _digits(sha))
    problem = ""
    if not run.tokenizer_file.is_file():
        problem = f"{run.tokenizer_file} is missing."
    elif sha and _sha_of(run.tokenizer_file) != sha:
        problem = f"{run.tokenizer_file} has changed since the run was created."
    elif not kept:
        problem = "It is no longer in the library; the run has its own copy."
    return Link(
        kind="tokenizer",
        title=name,
        key=name if kept else "",
        facts=tuple(filter(None, facts)),
        problem=problem,
        made="uses this tokenizer",
    )


def _corpus_link(library: Library, corpus: dict[str, Any], batches: float | None) -> Link:
    title, sha = str(corpus.get("name") or "A text"), str(corpus.get("sha256") or "")
    try:
        there = open_corpus(library, sha)
        facts = [format_size(there.n_bytes)]
        if there.kind == "examples":
            facts.insert(0, format_count(sum(len(there.rows(split)) for split in ("train", "val")), "document"))
    except ValueError as error:
        problem = f"{error} Without this text, the run cannot be resumed."
        return Link(kind="corpus", title=title, facts=(_digits(sha),), problem=problem, made="trained on")
    if batches:
        facts.append(f"{format_count(int(batches), 'batch', 'batches')} in one pass")
    return Link(kind="corpus", title=there.label, key=there.sha, facts=(*facts, _digits(sha)), made="trained on")


def _sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digits(sha: str) -> str:
    return f"SHA-256 {sha[:_SHA]}…" if sha else ""
