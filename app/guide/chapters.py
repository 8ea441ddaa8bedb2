"""Chapters of the guide, read from Markdown: prose, with TOML blocks for set-up and completion checks.

A chapter is resources/guide/NN-name.md: a title (`#`), a block of metadata, and steps (`##`), each with prose
and one block. Blocks are fenced as ```` ```guide ````, so that code hosts render the rest as ordinary text.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from terrarium.app.guide.actions import Action, parse_action
from terrarium.app.guide.checks import Check, parse_check
from terrarium.app.guide.figures import FIGURES, WORDS, names_in

_FENCE = re.compile(r"^```guide\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"\d\d-[a-z-]+\.md")
NEEDS = {
    "chat-model": "This chapter needs a model that can chat. The quick start grows one in a minute or two.",
    "tokenizer": "This chapter needs a tokenizer. The quick start makes one, and so does the tokenizer tab.",
}
"""What a chapter may require, and the sentence shown if it is missing."""
GROWING = "This chapter needs a model that can chat. Yours is growing: come back when it has finished."
"""The sentence shown instead while the quick start is running."""
MAX_WORDS = 90
"""The maximum number of words of prose in a step."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A question about the outcome of a step, answered before it is carried out and decided by a measured figure.

    bounds: option i is right where bounds[i - 1] <= figure < bounds[i].
    """

    question: str
    options: tuple[str, ...]
    figure: str
    bounds: tuple[float, ...]

    def right_option(self, value: float) -> int:
        """Return the index of the option that a measured value makes right."""
        return sum(value >= bound for bound in self.bounds)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step: prose, set-up actions, an instruction, and its completion checks.

    instruction: what to do, as an imperative. prepares: the actions that set the window up. solution: the actions that
    complete the step. result: a line of the result card, with figures. why: the formula and the paper behind it.
    """

    title: str
    prose: str
    instruction: str
    checks: tuple[Check, ...]
    hint: str
    result: str
    why: str = ""
    prepares: tuple[Action, ...] = ()
    solution: tuple[Action, ...] = ()
    prediction: Prediction | None = None


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter. name: its file name without extension. number: its position in the guide; numbers may be missing.

    minutes: its duration on two cores. makes: what the user has at its end.
    """

    name: str
    number: int
    title: str
    minutes: int
    makes: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()
    tabs: tuple[str, ...] = ()


def guide_files() -> list[Traversable]:
    """Return the files of all chapters, in order."""
    folder = files("terrarium.resources") / "guide"
    return sorted((file for file in folder.iterdir() if _FILE.fullmatch(file.name)), key=lambda file: file.name)


def read_chapters() -> tuple[list[Chapter], list[str]]:
    """Read all chapters; return the valid ones, and a sentence for each invalid one."""
    chapters: list[Chapter] = []
    problems = []
    for file in guide_files():
        try:
            chapter = parse_chapter(file.read_text(encoding="utf-8"), file.name.removesuffix(".md"))
            chapters.append(dataclasses.replace(chapter, number=len(chapters) + 1))
        except (ValueError, OSError) as error:
            problems.append(f"The chapter “{file.name}” cannot be read: {error}")
    return chapters, problems


def parse_chapter(text: str, name: str) -> Chapter:
    """Parse a chapter from its Markdown; its number comes from `name`.

    Raises:
        ValueError: something is missing, unknown or of the wrong type; the message says where.
    """
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    match = re.match(r"# (.+)\n", head)
    if match is None:
        raise ValueError("it must begin with “# ” and its title.")
    table = _block(head, "its head")
    if not sections:
        raise ValueError("it has no steps: each begins with “## ”.")
    steps = tuple(_parse_step(section) for section in sections)
    unknown = set(table) - {"minutes", "makes", "needs", "tabs"}
    if unknown:
        raise ValueError(f"its head has an unknown entry “{min(unknown)}”.")
    needs = _texts(table, "needs", "its head")
    for need in needs:
        if need not in NEEDS:
            raise ValueError(f"it needs “{need}”, which is not one of {', '.join(NEEDS)}.")
    minutes = table.get("minutes")
    if not isinstance(minutes, int) or minutes < 1:
        raise ValueError("“minutes” in its head must be a whole number from 1 on.")
    return Chapter(
        name=name,
        number=int(name[:2]),
        title=match[1].strip(),
        minutes=minutes,
        makes=_text(table, "makes", "its head"),
        steps=steps,
        needs=needs,
        tabs=_texts(table, "tabs", "its head"),
    )


def prose_of(text: str) -> str:
    """Return a chapter's Markdown without its blocks, for reading in a terminal."""
    return re.sub(r"\n{3,}", "\n\n", _FENCE.sub("", text)).strip() + "\n"


def _parse_step(section: str) -> Step:
    title, _, body = section.partition("\n")
    title, where = title.strip(), f"“{title.strip()}”"
    table = _block(body, where)
    unknown = set(table) - {"try", "instruction", "check", "hint", "predict", "why", "solution", "result"}
    if unknown:
        raise ValueError(f"{where} has an unknown entry “{min(unknown)}”.")
    prose = _FENCE.sub("", body).strip()
    n_words = len(prose.split())
    if not 0 < n_words <= MAX_WORDS:
        raise ValueError(f"{where} has {n_words} words; 1 to {MAX_WORDS} are allowed.")
    try:
        prepares = tuple(parse_action(action) for action in _tables(table, "try"))
        solution = tuple(parse_action(action) for action in _tables(table, "solution"))
        checks = tuple(parse_check(check) for check in _tables(table, "check"))
        prediction = _parse_prediction(table["predict"]) if "predict" in table else None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not checks:
        raise ValueError(f"{where} has no “check”.")
    step = Step(
        title=title,
        prose=prose,
        instruction=_text(table, "instruction", where),
        checks=checks,
        hint=_text(table, "hint", where),
        result=_text(table, "result", where),
        why=str(table.get("why", "")).strip(),
        prepares=prepares,
        solution=solution,
        prediction=prediction,
    )
    for figure in names_in(step.prose + step.result + step.why):
        if figure not in FIGURES and figure not in WORDS:
            raise ValueError(f"{where} names the figure “{figure}”, which is unknown.")
    return step


def _parse_prediction(table: Any) -> Prediction:
    if not isinstance(table, dict) or set(table) != {"ask", "options", "figure", "bounds"}:
        raise ValueError("“predict” has the entries ask, options, figure and bounds.")
    options, bounds, figure = _texts(table, "options", "predict"), table["bounds"], table["figure"]
    if figure not in FIGURES:
        raise ValueError(f"“predict” asks for the figure “{figure}”, which is unknown.")
    is_numbers = isinstance(bounds, list) and all(isinstance(bound, int | float) for bound in bounds)
    if not is_numbers or len(bounds) != len(options) - 1 or sorted(bounds) != bounds:
        raise ValueError("the bounds of “predict” are rising numbers, one fewer than its options.")
    return Prediction(question=_text(table, "ask", "predict"), options=options, figure=figure, bounds=tuple(bounds))


def _block(text: str, where: str) -> Mapping[str, Any]:
    blocks = _FENCE.findall(text)
    if len(blocks) != 1:
        raise ValueError(f"{where} has {len(blocks)} guide blocks; one is needed.")
    try:
        return tomllib.loads(blocks[0])
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: {error}") from error


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} needs “{key}”, a text.")
    return value.strip()


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"“{key}” of {where} must be a list of texts.")
    return tuple(value)


def _tables(table: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    value = table.get(key, [])
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"“{key}” must be a table, or a list of tables.")
    return value
