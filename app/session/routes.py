"""Routes: where in the window a button, a menu, the palette, the guide or a link leads, as plain data.

A route that only shows something can be written as a link, such as
`terrarium://training/run/machine?run=Tiny%20World&step=400`: a place (app.help.places) and, after the “?”, what is
shown there. Routes that would change something, such as training a run, have no link, so that a link is safe to follow.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

if TYPE_CHECKING:
    from terrarium.app.session.candidates import Candidate
    from terrarium.models.settings.model_config import ModelConfig

SCHEME = "terrarium"
_LONGEST = 4000
"""Characters of a link; longer ones are refused."""


@dataclass(frozen=True)
class Route:
    """Base class of all routes."""


Go = Callable[[Route], object]
"""`Session.go`, for widgets that need nothing else of the session."""


@dataclass(frozen=True)
class Linked(Route):
    """Base class of routes with a link. A field is given in the path if `PATH` names it, else after the “?”."""

    PATH: ClassVar[str]


@dataclass(frozen=True)
class ShowPlace(Linked):
    """Show a place by its name in app.help.places, such as builder/settings/n_layer, or a tab, such as builder."""

    PATH: ClassVar = "{place}"
    place: str


@dataclass(frozen=True)
class ShowRun(Linked):
    """Show a run.

    run: its name or id; "" for the run in view or, if that has not this view, the newest that has. view: one of its
    views, such as machine; "" for the one shown last. step: the step at which the time machine shows it.
    """

    PATH: ClassVar = "training/run/{view}"
    run: str = ""
    view: str = ""
    step: int | None = None


@dataclass(frozen=True)
class ShowComparison(Linked):
    """Compare the runs with a tag; new ones join."""

    PATH: ClassVar = "training/compare"
    tag: str


@dataclass(frozen=True)
class LearnTask(Linked):
    """Show the tasks that a model can learn, at one of them (a name of models.recipes)."""

    PATH: ClassVar = "training/recipes"
    task: str


@dataclass(frozen=True)
class OpenModel(Linked):
    """Open a model in the view for its kind, with a panel of the glass box beside it.

    run: the name or id of its run, or LIVE. step: that of the checkpoint; None for the last one or, of a run trained on
    a task, the best. panel: a key of app.help.panels, or settings. layer, head: the attention head to show, from 1.
    text: a message for the model, which is written but not sent.
    """

    PATH: ClassVar = "chat/{panel}"
    run: str
    panel: str = ""
    step: int | None = None
    layer: int | None = None
    head: int | None = None
    text: str = ""


@dataclass(frozen=True)
class ShowTokenizer(Linked):
    """Show a tokenizer of the library in a view of the tokenizer tab, "" for the one shown last."""

    PATH: ClassVar = "tokenizer/{view}"
    tokenizer: str
    view: str = ""


@dataclass(frozen=True)
class ShowDesign(Linked):
    """Show a design, built in or saved, in a view of the builder tab, "" for the one shown last."""

    PATH: ClassVar = "builder/{view}"
    design: str
    view: str = ""


@dataclass(frozen=True)
class ShowDataset(Linked):
    """Show a dataset of the library, given by its name or its content hash."""

    PATH: ClassVar = "data"
    dataset: str


@dataclass(frozen=True)
class ShowChapter(Linked):
    """Open a chapter of the guide at a step, counted from 1."""

    PATH: ClassVar = "guide/{chapter}"
    chapter: str
    step: int = 1


@dataclass(frozen=True)
class ShowTerm(Linked):
    """Explain a term of the glossary."""

    PATH: ClassVar = "glossary/{term}"
    term: str


@dataclass(frozen=True)
class ShowGuide(Linked):
    """Show the guide beside the tabs."""

    PATH: ClassVar = "guide"


@dataclass(frozen=True)
class ShowQuickStart(Linked):
    """Show the quick start that is running or has just ended, else the button that starts it."""

    PATH: ClassVar = "quickstart"


@dataclass(frozen=True)
class ShowPreferences(Linked):
    """Show the preferences that match a search, or all."""

    PATH: ClassVar = "preferences"
    search: str = ""


@dataclass(frozen=True)
class ShowTrash(Linked):
    """Show the trash."""

    PATH: ClassVar = "trash"


@dataclass(frozen=True)
class StartQuickStart(Route):
    """Start the quick start, or add it to the queue if another run is training; on text files, () for Tiny World."""

    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChooseTexts(Route):
    """Ask for text files, which Home then offers to learn from."""


@dataclass(frozen=True)
class TunePublished(Route):
    """Fine-tune the newest published model on text files; without one, show the models that can be downloaded."""

    files: tuple[str, ...]


@dataclass(frozen=True)
class ShowRunning(Route):
    """Show what is training: the quick start, or the run and the queue."""


@dataclass(frozen=True)
class DoToRun(Route):
    """Perform an action of app.runs.run_actions on a run; run "" is the current training before it has a run."""

    run: str
    action: str


@dataclass(frozen=True)
class ForkRun(Route):
    """Ask how to fork a run at a step, None for its last checkpoint. changes: other settings than its own."""

    run: str
    step: int | None = None
    changes: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StopAt(Route):
    """Make a run of its own that ends at a checkpoint of a run, and show it."""

    run: str
    step: int


@dataclass(frozen=True)
class NewRun(Route):
    """Show the form for a new run, filled in by one of the following.

    like: the id of a run, whose settings are taken; design: the model to train with them instead of its own.
    dataset: the content hash of a dataset to learn from; files: text files to learn from.
    parent: the run to start from, with @STEP unless it is the last checkpoint; stage: that of AlignSpec, "" for
    fine-tuning; reward_model: the id of a run, "" for the judge of the wish; data: the name of a dataset, "" if
    unknown.
    """

    like: str = ""
    design: ModelConfig | None = None
    dataset: str = ""
    files: tuple[str, ...] = ()
    parent: str = ""
    stage: str = ""
    reward_model: str = ""
    data: str = ""


@dataclass(frozen=True)
class ImportFiles(Route):
    """Show the import page of the data tab with these files."""

    files: tuple[str, ...]


@dataclass(frozen=True)
class Judge(Route):
    """Judge the replies of two models blind; both may be the same model."""

    first: Candidate
    second: Candidate


@dataclass(frozen=True)
class OpenExample(Route):
    """Open a checkpoint with a row of a dataset on the page of its task (models.settings.tasks)."""

    run: str
    step: int
    row: Mapping[str, Any]


@dataclass(frozen=True)
class TryPronouns(Route):
    """Show the pronoun models, which point at the word that “it” refers to."""


_LINKED: tuple[type[Linked], ...] = (
    ShowRun,
    ShowComparison,
    LearnTask,
    OpenModel,
    ShowTokenizer,
    ShowDesign,
    ShowDataset,
    ShowChapter,
    ShowTerm,
    ShowGuide,
    ShowQuickStart,
    ShowPreferences,
    ShowTrash,
    ShowPlace,
)
"""In the order in which a link is read: the first of which the path fits and all that is needed is given."""


def write_link(route: Linked) -> str:
    """Return the link of a route."""
    given = {field.name: getattr(route, field.name) for field in dataclasses.fields(route)}
    inside = set(re.findall(r"{(\w+)}", route.PATH))
    path = route.PATH.format(**{name: quote(str(given[name]), safe="/") for name in inside}).rstrip("/")
    asked = {
        field.name: given[field.name]
        for field in dataclasses.fields(route)
        if field.name not in inside and given[field.name] != field.default
    }
    return f"{SCHEME}://{path}" + (f"?{urlencode(asked, quote_via=quote)}" if asked else "")


def read_link(text: str) -> Linked:
    """Read a link, also without “terrarium://”.

    Raises:
        ValueError: a sentence that says what cannot be read. Whether what it names exists is found out on the way.
    """
    text = text.strip()
    scheme, has_scheme, rest = text.partition("://")
    if not has_scheme:
        rest = text
    elif scheme.lower() != SCHEME:
        raise ValueError(f"“{text[:80]}” is not a link into Terrarium: those begin with {SCHEME}://")
    if len(text) > _LONGEST:
        raise ValueError(f"This link is too long: {len(text):,} characters, where {_LONGEST:,} are read.")
    path, _, query = rest.partition("#")[0].partition("?")
    path = unquote(path).strip("/")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    if not path:
        raise ValueError(f"“{text[:80]}” names no place: write one after {SCHEME}://, such as training/recipes.")
    for kind in _LINKED:
        fits = re.fullmatch(_pattern(kind.PATH), path, re.DOTALL)
        if fits is None:
            continue
        given = {name: value for name, value in fits.groupdict().items() if value} | asked
        if all(name in given for name in _needed(kind)):
            return _made(kind, given)
    raise AssertionError("any path fits ShowPlace")


def _pattern(path: str) -> str:
    """Return the expression of a path; the last part may be missing if it is a field, except of ShowPlace."""
    if path == ShowPlace.PATH:
        return r"(?P<place>.+)"
    return re.sub(r"/{(\w+)}$", r"(?:/(?P<\1>[^/]+))?", path)


def _needed(kind: type[Linked]) -> Iterator[str]:
    return (field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING)


def _made(kind: type[Linked], given: Mapping[str, str]) -> Linked:
    """Create a route. Raises ValueError for a name that it does not have, or a value that is not a number from 0."""
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            raise ValueError(f"“{name[:80]}” means nothing in this link: leave it out.")
        if "int" in types[name]:
            if re.fullmatch(r"[0-9]{1,12}", value) is None:
                raise ValueError(f"“{name}” in this link must be a whole number, not “{value[:80]}”.")
            values[name] = int(value)
        else:
            values[name] = value
    return kind(**values)
