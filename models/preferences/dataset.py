"""Conversion of a set of judged pairs, or of rated replies, into a dataset of the task "preference" or "unpaired"."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, list_corpora, prompt_digest
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count
from terrarium.models.preferences.store import Pair, PreferenceSet, Thumb, list_sets

VAL_SHARE = 0.1
"""Fraction of the prompts; at least one prompt."""


@dataclass(frozen=True, kw_only=True)
class CollectedRows:
    """The rows of judged pairs or rated replies, and the number of those that are skipped, by reason."""

    rows: tuple[Example, ...]
    left_behind: dict[str, int]


def collected_rows(pairs: Iterable[Pair]) -> CollectedRows:
    """Convert pairs into rows: each pair with a better reply, or with two of about equal quality.

    A pair that was shown again becomes a second row only if the other reply was chosen then, so that both rows together
    count as a tie. The same choice adds nothing.
    """
    rows: list[Example] = []
    left: Counter[str] = Counter()
    pairs = tuple(pairs)
    known = {pair.id: pair for pair in pairs}
    for pair in pairs:
        better, worse = pair.better or pair.a, pair.worse or pair.b
        before = known.get(pair.repeats)
        if before is not None and (pair.better is None or pair.choice == before.choice):
            left["shown again"] += 1
        elif pair.choice in ("skip", "bad"):
            left["skipped" if pair.choice == "skip" else "both bad"] += 1
        elif not better.content.strip() or not worse.content.strip():
            left["with an empty reply"] += 1
        elif better.content == worse.content:
            left["with two replies that are the same"] += 1
        else:
            row: Example = {
                "messages": [dict(message) for message in pair.prompt],
                "chosen": better.content,
                "rejected": worse.content,
                "source": pair.by,
            }
            rows.append(row | ({"choice": "tie"} if pair.choice == "tie" else {}))
    return CollectedRows(rows=tuple(rows), left_behind=dict(left))


def rated_rows(thumbs: Iterable[Thumb]) -> CollectedRows:
    """Convert rated replies into rows, in TRL's unpaired form."""
    rows: list[Example] = []
    left: Counter[str] = Counter()
    for thumb in thumbs:
        if not thumb.reply.content.strip():
            left["with an empty reply"] += 1
            continue
        prompt = [dict(message) for message in thumb.prompt]
        rows.append({"messages": prompt, "completion": thumb.reply.content, "label": thumb.is_good, "source": thumb.by})
    return CollectedRows(rows=tuple(rows), left_behind=dict(left))


def build_set_corpus(library: Library, name: str, *, rated: bool = False) -> tuple[Corpus, dict[str, int]]:
    """Build a dataset of a set's pairs, or of its rated replies; returns it with the number of skipped ones, by reason.

    Raises:
        ValueError: if the file cannot be read, or as `build_preference_corpus`.
    """
    kept = PreferenceSet(library, name)
    found = rated_rows(kept.read_thumbs().thumbs) if rated else collected_rows(kept.read().pairs)
    corpus = build_preference_corpus(library, kept.name, found.rows, "unpaired" if rated else "preference")
    return corpus, found.left_behind


def writers_of(library: Library, dataset: str) -> list[str]:
    """Return the ids of the runs that wrote the replies in the set from which a dataset of this name was made.

    The run with the most replies comes first; empty if the set is gone, or has no record of who wrote them.
    """
    name = max((name for name in list_sets(library) if dataset.startswith(f"{name}, ")), key=len, default="")
    if not name:
        return []
    kept = PreferenceSet(library, name)
    replies = [reply for pair in kept.read().pairs for reply in (pair.a, pair.b)]
    replies += [thumb.reply for thumb in kept.read_thumbs().thumbs]
    return [run for run, _ in Counter(reply.run for reply in replies if reply.run).most_common()]


def build_preference_corpus(library: Library, name: str, rows: Sequence[Example], task: str = "preference") -> Corpus:
    """Build a dataset of the rows of the set `name`, split by prompt: training and validation share no prompt.

    Args:
        task: "preference", or "unpaired" for rated replies.

    Raises:
        ValueError: if the rows have fewer than two prompts.
    """
    is_paired = task == "preference"
    done, do = ("with a better reply", "compare") if is_paired else ("with a rated reply", "rate")
    prompts = [prompt_digest(row["messages"]) for row in rows]
    order = sorted(set(prompts))
    if len(order) < 2:
        raise ValueError(
            f"“{name}” has {format_count(len(order), 'prompt')} {done}: {do} replies to two at least, since "
            "validation needs prompts of its own."
        )
    held_out = set(order[: max(1, round(VAL_SHARE * len(order)))])
    train = [row for prompt, row in zip(prompts, rows, strict=True) if prompt not in held_out]
    val = [row for prompt, row in zip(prompts, rows, strict=True) if prompt in held_out]
    count = format_count(len(rows), "pair" if is_paired else "thumb")
    return preference_corpus(library, train, val, f"{name}, {count}", task)


def preference_corpus(
    library: Library,
    train: Sequence[Example],
    val: Sequence[Example],
    wanted: str,
    task: str = "preference",
    labels: Sequence[str] = (),
) -> Corpus:
    """Build a dataset of these rows with the name `wanted`, or with a number if other rows have that name."""
    train, val = list(train), list(val)
    known = {corpus.label: corpus for corpus in list_corpora(library) if corpus.task == task}
    for name, corpus in known.items():
        if name.startswith(wanted) and [corpus.read_examples(split) for split in ("train", "val")] == [train, val]:
            return corpus
    names = itertools.chain([wanted], (f"{wanted} ({n})" for n in itertools.count(2)))
    name = next(name for name in names if name not in known)
    return build_examples_corpus(library, train, val, name, None, task=task, labels=labels)
