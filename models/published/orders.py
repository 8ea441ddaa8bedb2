"""Orders in a sentence, and the same as a JSON object of a fixed form: generated, to teach a model a reply format."""

from __future__ import annotations

import json
import random

from terrarium.models.corpora.corpus import Example

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
