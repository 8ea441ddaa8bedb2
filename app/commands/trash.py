"""`terrarium trash`: list what was deleted, restore it, or delete it for good to free its space."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.app.commands.options import Command, Group, argument, print_json
from terrarium.models.library.library import Library
from terrarium.models.library.trash import KEPT_DAYS, TrashedItem, delete_for_good, list_trash
from terrarium.models.number_words import format_count, format_date, format_size

DONE = 0


class ListTrash(Command):
    """List the trash, the newest first."""

    def run(self) -> None:
        """Print the trash."""
        _print_items(list_trash(Library().trash), as_json=self.as_json)


class Restore(Command):
    """Put things back where they were."""

    items: tuple[str, ...] = argument("ITEM", "an id of the list, or a name")

    def run(self) -> None:
        """Restore, and print where the things are."""
        library = Library()
        paths = [str(library.restore(item.token)) for item in _find_all(library, self.items)]
        self.show({"restored": paths}, "\n".join(paths))


class Empty(Command):
    """Delete everything, or some things, for good."""

    items: tuple[str, ...] = argument("ITEM", "an id of the list, or a name (default: everything)", default=())

    def run(self) -> None:
        """Delete, and print what was freed."""
        library = Library()
        chosen = _find_all(library, self.items)
        for item in chosen:
            delete_for_good(library.trash, item.token)
        freed = sum(item.size_bytes for item in chosen)
        self.show(
            {"deleted": [item.token for item in chosen], "freed_bytes": freed},
            f"{format_count(len(chosen), 'item')} deleted, {format_size(freed)} freed.",
        )


COMMAND = Group(
    actions={"list": ListTrash, "restore": Restore, "empty": Empty},
    help="list what was deleted, restore it, or delete it for good",
    description=__doc__,
    epilog=f"The window deletes for good what has been in the trash for {KEPT_DAYS} days.",
)


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


def _find_all(library: Library, texts: Sequence[str]) -> list[TrashedItem]:
    """Find the items with these ids or names; all if there are none."""
    items = list_trash(library.trash)
    return [_find(items, text) for text in texts] or items


def _find(items: Sequence[TrashedItem], text: str) -> TrashedItem:
    found = [item for item in items if item.token == text] or [item for item in items if item.name == text]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(item.token for item in found)
        raise ValueError(f"{len(found)} deleted things are called {text!r}: give the id of one of them ({ids}).")
    names = ", ".join(repr(item.name) for item in items[:5])
    raise ValueError(f"{text!r} is not in the trash: " + (f"it has {names}." if names else "it is empty."))
