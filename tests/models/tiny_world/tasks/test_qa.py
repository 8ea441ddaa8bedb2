"""Extractive questions: answers stand where they are said to, and unanswerable ones have none."""

from __future__ import annotations

import re
from collections.abc import Callable

from terrarium.models.tiny_world.tasks.qa import FORMS
from tests.models.tiny_world.tasks.conftest import Splits

Fact = tuple[str, str, str]


def facts(context: str) -> set[Fact]:
    """(kind, subject, value) of each sentence, read by regular expressions."""
    found: set[Fact] = set()
    for sentence in re.findall(r"[^.]+\.", context):
        for kind, pattern, subject, value in (
            ("DoorIs", r"The (\w+) door is (\w+)\.", 1, 2),
            ("DoorIs", r"The door of the (\w+) is (\w+)\.", 1, 2),
            ("DoorIs", r"The (\w+) has the (\w+) door\.", 1, 2),
            ("Lies", r"The (\w+) (?:is|lies) in the (\w+)\.", 1, 2),
            ("Lies", r"In the (\w+) there is the (\w+)\.", 2, 1),
            ("Is", r"(\w+) (?:is|sits) in the (\w+)\.", 1, 2),
            ("Is", r"In the (\w+) one finds (\w+)\.", 2, 1),
            ("Holds", r"(\w+) (?:has|carries) the (\w+)\.", 2, 1),
            ("Holds", r"The (\w+) is with (\w+)\.", 1, 2),
            ("Feels", r"(?:Today )?(\w+) (?:is|feels) (\w+)\.", 1, 2),
        ):
            if match := re.fullmatch(pattern, sentence.strip()):
                found.add((kind, match[subject], match[value]))
                break
        else:
            raise AssertionError(sentence)
    return found


def asked(question: str) -> tuple[str, str]:
    """(kind, subject) of a question."""
    for event, form in FORMS.items():
        for template in form.questions:
            pattern = re.escape(template).replace(rf"\{{{form.subject}\}}", r"(\w+)")
            if match := re.fullmatch(pattern, question):
                return event.__name__, match[1]
    raise AssertionError(question)


def test_answers_are_what_the_text_says(rows: Callable[[str], Splits]) -> None:
    for row in rows("qa")["test"]:
        kind, subject = asked(row["question"])
        said = [value for k, s, value in facts(row["context"]) if (k, s) == (kind, subject)]
        assert said == [answer["text"] for answer in row["answers"]], row
        for answer in row["answers"]:
            assert row["context"][answer["start"] :].startswith(answer["text"])
            assert row["kind"] == kind


def test_a_fifth_has_no_answer(rows: Callable[[str], Splits]) -> None:
    for examples in rows("qa").values():
        without = [row for row in examples if not row["answers"]]
        assert len(without) == len([row for row in examples if row["group"] == "unanswerable"])
        assert 5 * len(without) == len(examples)
    for row in rows("qa")["test"]:
        if not row["answers"]:
            _, subject = asked(row["question"])
            assert (row["kind"] == "unsaid") == bool(re.search(rf"\b{subject}\b", row["context"]))
    kinds = [row["kind"] for row in rows("qa")["test"] if not row["answers"]]
    assert min(kinds.count("unsaid"), kinds.count("absent")) > 0.2 * len(kinds)


def test_no_answer_of_the_test_is_said_in_training(rows: Callable[[str], Splits]) -> None:
    splits = rows("qa")
    trained = {fact for context in {row["context"] for row in splits["train"]} for fact in facts(context)}
    for row in splits["test"]:
        if row["answers"]:
            assert (*asked(row["question"]), row["answers"][0]["text"]) not in trained
    contexts = [{row["context"] for row in splits[split]} for split in ("train", "val", "test")]
    assert not contexts[0] & contexts[1]
    assert not (contexts[0] | contexts[1]) & contexts[2]


def test_the_last_mentioned_one_is_mostly_wrong(rows: Callable[[str], Splits]) -> None:
    answerable = [row for row in rows("qa")["test"] if row["answers"]]
    right = [row["last_mentioned"] == row["answers"][0]["text"] for row in answerable]
    assert sum(right) < 0.4 * len(right)
    assert all(re.search(rf"\b{row['last_mentioned']}\b", row["context"]) for row in answerable)
