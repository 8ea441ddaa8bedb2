"""`terrarium open LINK`: open the window at a page, such as a run at a step."""

from __future__ import annotations

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import Command, argument, option, print_json
from terrarium.app.help.places import PLACES
from terrarium.app.session.routes import SCHEME, Linked, ShowPlace, read_link, write_link
from terrarium.models.library.library import Library


class Open(Command):
    """Open the window at the page of a link; if it is open already, show the page there.

    A link is a place, and after “?” what to show there: training/run/machine?run=Tiny World&step=400, or
    chat/attention?run=Tiny World&layer=1&head=2. “Edit → Copy a link to this page” writes one.
    """

    link: str = argument("LINK", f"a link ({SCHEME}://…), or the part after {SCHEME}://", default="home")
    places: bool = option("list all places instead, with their links")

    def run(self) -> int | None:
        """Open the window, or hand the link to the one that is open."""
        if self.places:
            self._print_places()
            return None
        try:
            route = read_link(self.link)
        except ValueError as error:
            raise UsageError(str(error)) from error
        check_place(route)
        from terrarium.app.shell.launch import run
        from terrarium.app.shell.links import hand_over

        return None if hand_over(route, Library().home) else run(route=route)

    def _print_places(self) -> None:
        links = {write_link(ShowPlace(place)): title for place, title in PLACES.items()}
        if self.as_json:
            print_json([{"link": link, "title": title} for link, title in links.items()])
        else:
            width = max(map(len, links))
            self.show({}, "\n".join(f"{link:<{width}}  {title}" for link, title in links.items()))


def check_place(route: Linked) -> None:
    """Raise UsageError for a place that does not exist; what a link names in the library is found out by the window."""
    if isinstance(route, ShowPlace) and route.place not in PLACES:
        raise UsageError(f"There is no place “{route.place[:80]}” in Terrarium: `terrarium open --places` lists all.")
