"""Functions are judged in the sandbox: five outcomes apart, and no attack gets further than an outcome."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import pytest

from terrarium.models.events import Progress, result_of
from terrarium.models.tasks import code_judge
from terrarium.models.tasks.code_judge import CodeCase, CodeJudge, Outcome, judge_code, row_cases, score_code


@pytest.fixture(scope="module")
def judge() -> Iterator[CodeJudge]:
    with CodeJudge() as judge:
        yield judge


def _outcome(judge: CodeJudge, body: str, expected: Any = None, *arguments: Any) -> Outcome:
    parameters = ", ".join("abc"[: len(arguments)])
    source = f"def f({parameters}):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return judge.judge(source, "f", [CodeCase(arguments, expected)]).outcome


@pytest.mark.parametrize(
    ("body", "expected", "arguments"),
    [
        ("return sorted(name for name in a if name != 'Tom')", ["Ann", "Lily"], (["Tom", "Lily", "Ann"],)),
        ("return (a, {a: [b]}, None)", (1, {1: ["x"]}, None), (1, "x")),
        ("return {1, 2} | a", {1, 2, 3}, ({3},)),
        ("return float('nan')", float("nan"), ()),
        ("import math, re, json\nreturn math.gcd(a, 6)", 3, (9,)),
        ("print('words')\nreturn a", "kept", ("kept",)),
    ],
)
def test_right(judge: CodeJudge, body: str, expected: Any, arguments: tuple[Any, ...]) -> None:
    assert _outcome(judge, body, expected, *arguments) is Outcome.RIGHT


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return True", 1),
        ("return 1.0", 1),
        ("return [1, True]", [1, 1]),
        ("return {True: 'a'}", {1: "a"}),
        ("return (1, 2)", [1, 2]),
        ("return None", 0),
        ("pass", "x"),
        ("class Same:\n    def __eq__(self, other):\n        return True\nreturn Same()", 1),
        ("a = []\nfor _ in range(100000):\n    a = [a]\nreturn a", [[]]),
    ],
)
def test_a_wrong_value_or_type(judge: CodeJudge, body: str, expected: Any) -> None:
    assert _outcome(judge, body, expected) is Outcome.WRONG_VALUE


@pytest.mark.parametrize(
    "body",
    [
        "return 1 / 0",
        "return [][0]",
        "return missing",
        "return (",
        "raise MemoryError('by itself')",
        "raise NotImplementedError('to do')",
        "return 'a'.no_such_method()",
    ],
)
def test_an_exception(judge: CodeJudge, body: str) -> None:
    assert _outcome(judge, body) is Outcome.EXCEPTION


ATTACKS = {
    "endless loop": ("while True:\n    pass", Outcome.LIMIT),
    "endless loop that catches everything": (
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        Outcome.LIMIT,
    ),
    "huge power": ("return 10**10**9", Outcome.LIMIT),
    "huge number as a result": ("return 7**100000", Outcome.WRONG_VALUE),
    "memory bomb": ("x = 'a'\nwhile True:\n    x += x", Outcome.LIMIT),
    "endless printing": ("while True:\n    print('x' * 10000)", Outcome.LIMIT),
    "recursion": ("def g():\n    return g()\nreturn g()", Outcome.LIMIT),
    "sleep": ("import time\ntime.sleep(100)", Outcome.LIMIT),
    "reading a file": ("return open('/etc/passwd').read()", Outcome.NOT_SUPPORTED),
    "writing a file": ("open('escaped', 'w').write('x')", Outcome.NOT_SUPPORTED),
    "sockets": ("import socket", Outcome.NOT_SUPPORTED),
    "ctypes": ("import ctypes", Outcome.NOT_SUPPORTED),
    "a command": ("import os\nreturn os.system('echo x')", Outcome.NOT_SUPPORTED),
    "the environment": ("import os\nreturn os.environ['PATH']", Outcome.NOT_SUPPORTED),
    "all classes": ("return ().__class__.__bases__[0].__subclasses__()", Outcome.NOT_SUPPORTED),
    "an import by name": ("return __import__('os')", Outcome.NOT_SUPPORTED),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_end_in_an_outcome(judge: CodeJudge, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body, outcome = ATTACKS[attack]
    with monkeypatch.context() as patch:
        if outcome is Outcome.LIMIT:
            patch.setattr(code_judge, "MAX_SECONDS", 0.1)
        assert _outcome(judge, body) is outcome
    assert _outcome(judge, "return 1", 1) is Outcome.RIGHT


@pytest.mark.parametrize(
    "body",
    [
        "yield 1",
        "class A(dict):\n    pass\nreturn A()",
        "import string\nreturn string.digits",
        "return input()",
        "return list(map(str.upper, ['a']))",
        "counts = {'a': 1}\nreturn min(counts, key=counts.get)",
        "return next((x for x in [1, 2] if x > 1), None)",
    ],
)
def test_what_the_sandbox_does_not_know(judge: CodeJudge, body: str) -> None:
    assert _outcome(judge, body) is Outcome.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a = [1]\nfor _ in range(40):\n    a = [a, a]\nreturn a", [[1]]),
        ("a = {}\nfor _ in range(40):\n    a = {'x': a, 'y': a}\nreturn a", {"x": {}, "y": {}}),
        ("a = []\na.append(a)\nreturn a", [[]]),
        ("a = (1,)\nfor _ in range(40):\n    a = (a, a)\nreturn [{a}, 1]", [{1}, 2]),
    ],
    ids=["lists", "dicts", "itself", "hashed"],
)
def test_a_value_that_repeats_itself_is_compared_within_the_limits(judge: CodeJudge, body: str, expected: Any) -> None:
    assert _outcome(judge, body, expected) is Outcome.WRONG_VALUE


def test_the_judged_code_cannot_change_how_it_is_compared(judge: CodeJudge) -> None:
    source = "def type(x):\n    return int\ndef len(x):\n    return 0\nrepr = len\ndef f():\n    return [1]\n"
    assert judge.judge(source, "f", [CodeCase((), [2])]) == code_judge.Judgement(
        Outcome.WRONG_VALUE, "[1] instead of [2]", 0
    )


def test_cases_know_nothing_of_one_another(judge: CodeJudge) -> None:
    source = "seen = []\ndef f(a):\n    seen.append(a)\n    return len(seen)\n"
    assert judge.judge(source, "f", [CodeCase((1,), 1), CodeCase((2,), 1)]).outcome is Outcome.RIGHT


def test_the_case_that_decides_is_named(judge: CodeJudge) -> None:
    judgement = judge.judge("def f(a):\n    return a\n", "f", [CodeCase((1,), 1), CodeCase((2,), 3)])
    assert (judgement.case, judgement.detail) == (1, "2 instead of 3")


ROW = {"source": 'def add_2(a):\n    """Add 2."""\n', "cases": [{"arguments": [1], "expected": 3}]}


def test_pass_at_1_of_rows() -> None:
    bodies = ["    return a + 2\n", "    return a\n", "    yield a\n", "    return a +\n"]
    report, judgements = result_of(judge_code([ROW] * 4, bodies))
    assert report.value == 0.25
    assert report.details["outcomes"] == {
        "right": 1, "wrong value": 1, "exception": 1, "limit": 0, "not supported": 1,
    }  # fmt: skip
    assert report.details["defined"] == 0.5
    assert report.notes == ("25.0\u00a0% could not be run by the sandbox and count as not passed; of the others, "
                            "33.3\u00a0% pass.",)  # fmt: skip
    assert judgements[0].outcome is Outcome.RIGHT


def test_judging_tells_its_progress() -> None:
    events = list(judge_code([ROW] * 2, ["    return a + 2\n"] * 2))
    assert events == [Progress(done=1, total=2), Progress(done=2, total=2)]


def test_without_the_package_the_metric_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_monty(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pydantic_monty":
            raise ModuleNotFoundError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_monty)
    report, judgements = result_of(judge_code([ROW], ["    return a + 2\n"]))
    assert (report.value, judgements) == (None, [])
    assert "pydantic-monty" in report.notes[0]


def test_no_functions_give_a_sentence() -> None:
    assert score_code([]).notes == ("There are no items.",)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"source": "x = 1", "cases": []}, "head of a function"),
        ({"source": "def f():"}, "missing or damaged"),
        ({"source": "def f():", "cases": [1]}, "missing or damaged"),
        ({"source": "def f():", "cases": []}, "no cases"),
    ],
)
def test_rows_without_cases_are_refused(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        row_cases(row)
