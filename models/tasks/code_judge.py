"""Runs generated functions in a sandbox on each of their test cases, and reports the outcome. No torch import.

The sandbox is pydantic-monty: a small Python interpreter in a separate process, without access to files, the network
or the environment. It is young software, and supports a subset of Python: no `yield`, no inheritance, little of the
standard library. Code that it cannot run has its own outcome and does not count as a wrong answer. Results never
leave the sandbox: a few lines can make a value that takes forever to compare, hash or print. They are compared there,
under its limits, by functions whose names the judged code cannot guess.
"""

from __future__ import annotations

import builtins
import re
import secrets
import sys
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from terrarium.models.events import Event, Progress
from terrarium.models.metrics.report import Report, Score, check_lengths, proportion
from terrarium.models.number_words import format_percent

if TYPE_CHECKING:
    import pydantic_monty

MAX_SECONDS = 1.0
MAX_BYTES = 1 << 26
_MAX_PRINTED_BYTES = 1 << 20
_MAX_SOURCE_CHARACTERS = 1 << 16

_COMPARING = """
def same_TOKEN(expected, found, type=type, len=len, range=range):
    kind = type(expected)
    if kind is not type(found):
        return False
    if kind is list or kind is tuple:
        if len(expected) != len(found):
            return False
        for index in range(len(expected)):
            if not same_TOKEN(expected[index], found[index]):
                return False
        return True
    if kind is dict or kind is set or kind is frozenset:
        if len(expected) != len(found):
            return False
        keys = {key: key for key in found}
        for key in expected:
            if key not in keys or not same_TOKEN(key, keys[key]):
                return False
            if kind is dict and not same_TOKEN(expected[key], found[key]):
                return False
        return True
    return expected == found or (kind is float and expected != expected and found != found)


def show_TOKEN(value, depth=3, type=type, repr=repr, len=len):
    kind = type(value)
    if kind is not list and kind is not tuple and kind is not dict and kind is not set:
        text = repr(value)
        return text if len(text) <= 60 else text[:59] + "…"
    if not value:
        return repr(value)
    shown = []
    for item in value:
        if len(shown) == 6 or not depth:
            shown.append("…")
            break
        text = show_TOKEN(item, depth - 1)
        shown.append(text + ": " + show_TOKEN(value[item], depth - 1) if kind is dict else text)
    inner = ", ".join(shown)
    if kind is list:
        return "[" + inner + "]"
    if kind is tuple:
        return "(" + inner + ("," if len(value) == 1 else "") + ")"
    return "{" + inner + "}"
"""
"""`same`: whether two values are equal, with True not equal to 1 and NaN equal to itself, in as many steps as the
expected one has parts. `show`: a value in a few words. Both are defined before the judged code, and keep
references to the functions that they use.
"""

NOT_INSTALLED = "pass@1 was not computed: the package pydantic-monty, which runs the functions, is not installed."


class Outcome(StrEnum):
    """The outcome of a function: right in all cases, or the first other result."""

    RIGHT = "right"
    WRONG_VALUE = "wrong value"
    EXCEPTION = "exception"
    LIMIT = "limit"
    NOT_SUPPORTED = "not supported"


@dataclass(frozen=True)
class CodeCase:
    """A test case: the function called with `arguments` must return `expected`, of equal types: True is not 1."""

    arguments: tuple[Any, ...]
    expected: Any


@dataclass(frozen=True)
class Judgement:
    """The judgement of a function. `case`: the index of the deciding case; None if it was its definition, or none.

    detail: a description for the reader; empty if it is right.
    """

    outcome: Outcome
    detail: str = ""
    case: int | None = None


def row_cases(row: Mapping[str, Any]) -> tuple[str, list[CodeCase]]:
    """Return the name of a row's function, and its cases.

    `row`: a text-to-text row whose `source` has the function's head, and with “cases”, [{"arguments": [],
    "expected"}, …]. JSON has no tuples and sets: an expected list is a list.

    Raises:
        ValueError: if there is no head, or the cases are missing or damaged.
    """
    heads = re.findall(r"^def\s+(\w+)", str(row.get("source", "")), re.MULTILINE)
    if not heads:
        raise ValueError("A row of code needs the head of a function in its source: “def name(…):”.")
    try:
        cases = [CodeCase(tuple(case["arguments"]), case["expected"]) for case in row["cases"]]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'The cases of {heads[-1]} are missing or damaged ({error}): write {{"arguments": […], "expected": …}}.'
        ) from error
    if not cases:
        raise ValueError(f"{heads[-1]} has no cases: without one, nothing tells whether it is right.")
    return heads[-1], cases


class CodeJudge:
    """Judges functions; a context manager that keeps one sandbox process.

    Raises (on entering):
        ModuleNotFoundError: if pydantic-monty is not installed.
        FileNotFoundError: if its program is missing.
    """

    def __enter__(self) -> Self:
        import pydantic_monty

        self._monty = pydantic_monty
        self._pool = pydantic_monty.Monty(
            binary_path=_bundled_program(), max_processes=1, request_timeout=MAX_SECONDS + 2
        ).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, traceback)

    def judge(self, source: str, name: str, cases: Sequence[CodeCase]) -> Judgement:
        """Define `source` and call the function `name` for each case, in a new session each, until one is not right."""
        if len(source) > _MAX_SOURCE_CHARACTERS:
            return Judgement(Outcome.LIMIT, f"The function has {len(source):,} characters.")
        for index, case in enumerate(cases):
            judgement = self._judge_case(source, name, case, index)
            if judgement.outcome is not Outcome.RIGHT:
                return judgement
        return Judgement(Outcome.RIGHT)

    def _judge_case(self, source: str, name: str, case: CodeCase, index: int) -> Judgement:
        decided: int | None = None
        token = secrets.token_hex(8)
        same, show, found, expected = (f"{word}_{token}" for word in ("same", "show", "found", "expected"))
        limits: pydantic_monty.ResourceLimits = {
            "max_feed_duration_secs": MAX_SECONDS,
            "max_total_sleep_secs": MAX_SECONDS,
            "max_memory": MAX_BYTES,
        }
        printed = self._monty.CollectString(max_bytes=_MAX_PRINTED_BYTES)
        try:
            with self._pool.checkout(limits=limits) as session:
                session.feed_run(_COMPARING.replace("TOKEN", token))
                session.feed_run(source, print_callback=printed)
                decided = index
                inputs = {f"_argument_{i}": argument for i, argument in enumerate(case.arguments)}
                session.feed_run(f"{found} = {name}({', '.join(inputs)})", inputs=inputs, print_callback=printed)
                if session.feed_run(f"{same}({expected}, {found})", inputs={expected: case.expected}) is True:
                    return Judgement(Outcome.RIGHT)
                detail = f"{show}({found}) + ' instead of ' + {show}({expected})"
                return Judgement(Outcome.WRONG_VALUE, self._shown(session, detail), decided)
        except self._monty.MontyCrashedError as error:
            return Judgement(Outcome.LIMIT, f"The sandbox had to be stopped: {error}", decided)
        except self._monty.MontyError as error:
            inner = error.exception()
            return Judgement(_failure(inner, source), f"{type(inner).__name__}: {inner}", decided)

    def _shown(self, session: pydantic_monty.MontySession, text: str) -> str:
        """Describe a wrong value by an expression in the sandbox, which may fail: Python, for example, does not print
        integers of more than 4,300 digits.
        """
        try:
            return str(session.feed_run(text))
        except self._monty.MontyError:
            return "Another value than the expected one, which cannot be shown."


def score_code(judgements: Sequence[Judgement]) -> Report:
    """Compute pass@1 of functions, one per problem. Those that the sandbox cannot run count as not passed, and the
    note says so.

    Details: `outcomes`, how many of each; `defined`, the share whose definition could be run (None without
    functions).
    """
    n = len(judgements)
    counts = Counter(judgement.outcome for judgement in judgements)
    passed = [judgement.outcome is Outcome.RIGHT for judgement in judgements]
    unsupported = counts[Outcome.NOT_SUPPORTED]
    note = None
    if unsupported:
        rest = f"; of the others, {format_percent(sum(passed) / (n - unsupported), 1)} pass" if unsupported < n else ""
        note = f"{format_percent(unsupported / n, 1)} could not be run by the sandbox and count as not passed{rest}."
    defined = [judgement.outcome is Outcome.RIGHT or judgement.case is not None for judgement in judgements]
    return Report(
        headline="pass_at_1",
        n=n,
        scores={"pass_at_1": proportion(passed, note)},
        details={
            "outcomes": {outcome.value: counts[outcome] for outcome in Outcome},
            "defined": sum(defined) / n if n else None,
        },
        item_scores=tuple(map(float, passed)),
    )


def judge_code(
    rows: Sequence[Mapping[str, Any]], predicted: Sequence[str]
) -> Generator[Event, None, tuple[Report, list[Judgement]]]:
    """Judge the function bodies written for rows (see `row_cases`), with Progress after each.

    Returns:
        The report and a judgement for each row; without the sandbox the report says so, and there are no judgements.

    Raises:
        ValueError: if a row has no cases, or the lengths differ.
    """
    check_lengths(len(rows), len(predicted))
    problems = [row_cases(row) for row in rows]
    judgements: list[Judgement] = []
    try:
        with CodeJudge() as judge:
            for row, body, (name, cases) in zip(rows, predicted, problems, strict=True):
                judgements.append(judge.judge(str(row["source"]) + body, name, cases))
                yield Progress(done=len(judgements), total=len(rows))
    except (ModuleNotFoundError, FileNotFoundError):
        return Report(headline="pass_at_1", n=0, scores={"pass_at_1": Score(value=None, note=NOT_INSTALLED)}), []
    return score_code(judgements), judgements


def _bundled_program() -> Path | None:
    """Return the sandbox's program within a frozen bundle (build.spec); None if pydantic-monty finds it itself."""
    folder = getattr(sys, "_MEIPASS", None)
    return Path(folder) / ("monty.exe" if sys.platform == "win32" else "monty") if folder else None


def _failure(error: BaseException, source: str) -> Outcome:
    """Classify an exception from the sandbox, by its message, because the judged code can raise the same types."""
    text = str(error)
    match error:
        case TimeoutError() | MemoryError() if " limit exceeded" in text:
            return Outcome.LIMIT
        case RecursionError():
            return Outcome.LIMIT
        case NotImplementedError() if "monty" in text.lower():
            return Outcome.NOT_SUPPORTED
        case ModuleNotFoundError() if text.startswith("No module named"):
            return Outcome.NOT_SUPPORTED
        case PermissionError() if text.startswith("Permission denied"):
            return Outcome.NOT_SUPPORTED
        case RuntimeError() if "not supported in this environment" in text:
            return Outcome.NOT_SUPPORTED
        case TypeError() if text.endswith("'list' object is not an iterator") and " for " in source:
            return Outcome.NOT_SUPPORTED  # next(… for …): the sandbox makes a list of a generator expression
        case NameError() | AttributeError() if _exists_in_python(text):
            return Outcome.NOT_SUPPORTED
    return Outcome.EXCEPTION


def _exists_in_python(text: str) -> bool:
    """Whether the name or attribute that was not found exists in CPython."""
    if name := re.match(r"name '(\w+)' is not defined", text):
        return hasattr(builtins, name[1])
    if attribute := re.match(r"(module |type object )?'([\w.]+)' (?:object )?has no attribute '(\w+)'", text):
        owner = sys.modules.get(attribute[2]) if attribute[1] == "module " else getattr(builtins, attribute[2], None)
        return owner is not None and hasattr(owner, attribute[3])
    return False
