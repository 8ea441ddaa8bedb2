"""`terrarium trash`: list what was deleted, restore it, or delete it for good to free its space."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from terrarium.app.commands.common import add_common, print_json
from terrarium.models.library.library import Library
from terrarium.models.library.trash import KEPT_DAYS, TrashedItem, delete_for_good, list_trash
from terrarium.models.number_words import format_count, format_date, format_size

DONE = 0


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "trash",
        help="list what was deleted, restore it, or delete it for good",
        description=__doc__,
        epilog=f"The window deletes for good what has been in the trash for {KEPT_DAYS} days.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the trash, the newest first")
    restore = actions.add_parser("restore", help="put things back where they were")
    restore.add_argument("items", nargs="+", metavar="ITEM", help="an id of the list, or a name")
    empty = actions.add_parser("empty", help="delete everything, or some things, for good")
    empty.add_argument("items", nargs="*", metavar="ITEM", help="an id of the list, or a name (default: everything)")
    for action in (listing, restore, empty):
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Perform the action, and print the trash, or the result for the items."""
    library = Library()
    items = list_trash(library.trash)
    if args.action == "list":
        _print_items(items, as_json=args.json)
        return DONE
    chosen = [_find(items, text) for text in args.items] or items
    if args.action == "restore":
        paths = [str(library.restore(item.token)) for item in chosen]
        if args.json:
            print_json({"restored": paths})
        else:
            print("\n".join(paths))
        return DONE
    for item in chosen:
        delete_for_good(library.trash, item.token)
    freed = sum(item.size_bytes for item in chosen)
    if args.json:
        print_json({"deleted": [item.token for item in chosen], "freed_bytes": freed})
    else:
        print(f"{format_count(len(chosen), 'item')} deleted, {format_size(freed)} freed.")
    return DONE


def _print_items(items: Sequence[TrashedItem], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "id": item.token,
                "kind": item.kind,
                "name": item.name,
                "deleted": item.deleted.isoformat(timespec="seconds"),
                "expires": item.expires.isoformat(timespec="seconds"),
                "size_bytes": item.size_bytes,
            }
            for item in items
        ]
        print_json({"trash": rows})
        return
    for item in items:
        deleted = format_date(item.deleted.isoformat())
        print(f"{item.token}  {item.kind:<9}  {format_size(item.size_bytes):>8}  {deleted:<14}  {item.name}")
    if items:
        print(f"{format_count(len(items), 'item')}, {format_size(sum(item.size_bytes for item in items))}")
    else:
        print("The trash is empty.")


def _find(items: Sequence[TrashedItem], text: str) -> TrashedItem:
    found = [item for item in items if item.token == text] or [item for item in items if item.name == text]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(item.token for item in found)
        raise ValueError(f"{len(found)} deleted things are called {text!r}: give the id of one of them ({ids}).")
    names = ", ".join(repr(item.name) for item in items[:5])
    raise ValueError(f"{text!r} is not in the trash: " + (f"it has {names}." if names else "it is empty."))
