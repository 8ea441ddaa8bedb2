"""Preferences of the published forms become rows of one form; what they lose is said, and bad pairs are found."""

from __future__ import annotations

import csv
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import Corpus, Example
from terrarium.models.events import result_of
from terrarium.models.importing import columns
from terrarium.models.importing.cells import EmptyRowError, RowError
from terrarium.models.importing.checks import Checks, check_events
from terrarium.models.importing.importer import import_events
from terrarium.models.importing.inspection import inspect_events
from terrarium.models.importing.plan import FIXES, ImportPlan
from terrarium.models.importing.preference_rows import preference_row
from terrarium.models.importing.task_rows import task_row
from terrarium.models.library.library import Library
from terrarium.models.tasks.seen_example import see_example

Row = dict[str, Any]

ASKED = {"role": "user", "content": "Who is Anna?"}
ROW: Example = {"messages": [ASKED], "chosen": "A friend.", "rejected": "A kite."}


def said(content: str, role: str = "assistant") -> dict[str, str]:
    return {"role": role, "content": content}


FORMS: dict[str, tuple[Row, Example, str]] = {
    "TRL texts": ({"prompt": "Who is Anna?", "chosen": "A friend.", "rejected": "A kite."}, ROW, "texts, as TRL"),
    "TRL texts with the prompt in them": (
        {"chosen": "The sky is blue.", "rejected": "The sky is black."},
        {"messages": [said("The sky is", "user")], "chosen": "blue.", "rejected": "black."},
        "texts with the prompt in them, as TRL",
    ),
    "TRL conversations": (
        {"prompt": [ASKED], "chosen": [said("A friend.")], "rejected": [said("A kite.")]},
        ROW,
        "conversations, as TRL",
    ),
    "TRL conversations with the prompt in them": (
        {"chosen": [ASKED, said("A friend.")], "rejected": [ASKED, said("A kite.")]},
        ROW,
        "conversations, as TRL",
    ),
    "HH": (
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Who is Anna?\n\nAssistant: A friend.",
            "rejected": "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Who is Anna?\n\nAssistant: A kite.",
        },
        {**ROW, "messages": [said("Hi", "user"), said("Hello!"), ASKED]},
        "transcripts, as HH",
    ),
    "UltraFeedback": (
        {
            "prompt": "Who is Anna?",
            "prompt_id": "5",
            "chosen": [ASKED, said("A friend.")],
            "rejected": [ASKED, said("A kite.")],
            "messages": [ASKED, said("A friend.")],
            "score_chosen": 8.5,
            "score_rejected": 6.0,
        },
        {**ROW, "margin": 2.5},
        "as UltraFeedback",
    ),
    "ShareGPT": (
        {
            "conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Who is Anna?"}],
            "chosen": {"from": "gpt", "value": "A friend."},
            "rejected": {"from": "gpt", "value": "A kite."},
        },
        {**ROW, "messages": [said("Be kind.", "system"), ASKED]},
        "as ShareGPT",
    ),
    "Alpaca": (
        {"instruction": "Who is this?", "input": "Anna", "chosen": "A friend.", "rejected": "A kite."},
        {**ROW, "messages": [said("Who is this?\n\nAnna", "user")]},
        "as alpaca",
    ),
    "Alpaca with a list": (
        {"instruction": "Who is Anna?", "input": "", "output": ["A friend.", "A kite."]},
        ROW,
        "the better reply and the worse one in a list, as alpaca",
    ),
    "OpenAI": (
        {
            "input": {"messages": [ASKED], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [said("A friend.")],
            "non_preferred_output": [said("A kite.")],
        },
        ROW,
        "as OpenAI",
    ),
    "ours": (
        {**ROW, "choice": "tie", "source": "person"},
        {**ROW, "choice": "tie", "source": "person"},
        "texts, as TRL",
    ),
}


def write_rows(path: Path, rows: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def plan_of(*paths: Path, **changes: Any) -> ImportPlan:
    info = result_of(inspect_events(paths))
    return replace(ImportPlan(paths=tuple(map(str, paths)), task=info.task, columns=info.roles), **changes)


def checked(library: Library, plan: ImportPlan) -> Checks:
    return result_of(check_events(library, plan))


def imported(library: Library, plan: ImportPlan) -> Corpus:
    return result_of(import_events(library, plan))


def pairs(n: int, start: int = 0) -> list[Row]:
    return [
        {"prompt": f"Tell me about number {i}.", "chosen": f"It is {i}, a fine one.", "rejected": "I do not know."}
        for i in range(start, start + n)
    ]


@pytest.mark.parametrize("name", FORMS)
def test_published_forms_are_recognised(name: str, tmp_path: Path) -> None:
    values, row, form = FORMS[name]
    path = write_rows(tmp_path / "a.jsonl", [values] * 3)
    info = result_of(inspect_events([path]))
    assert info.task == "preference"
    assert info.reason.endswith(f"({form})")
    assert task_row(plan_of(path), info.rows[0]) == row


RATED = {
    "texts": {"prompt": "Who?", "completion": "Anna.", "label": True},
    "conversations": {"prompt": [said("Who?", "user")], "completion": [said("Anna.")], "label": True},
    "with the prompt in them": {"completion": [said("Who?", "user"), said("Anna.")], "label": True},
    "as we have them": {"messages": [said("Who?", "user")], "completion": "Anna.", "label": True},
}


@pytest.mark.parametrize("name", RATED)
def test_lone_replies_are_read_as_trl_has_them(name: str, tmp_path: Path) -> None:
    row = RATED[name]
    path = write_rows(tmp_path / "a.jsonl", [row, {**row, "label": False}, row])
    info = result_of(inspect_events([path]))
    assert (info.task, "TRL's unpaired" in info.reason) == ("unpaired", True)
    plan = ImportPlan(paths=(str(path),), task=info.task, columns=info.roles)
    wanted = {"messages": [said("Who?", "user")], "completion": "Anna.", "label": True}
    assert [task_row(plan, values) for values in info.rows] == [wanted, {**wanted, "label": False}, wanted]


def test_lone_replies_become_a_dataset(library: Library, tmp_path: Path) -> None:
    rows = [{"prompt": f"Who is {i % 20}?", "completion": f"Number {i}.", "label": i % 3 > 0} for i in range(40)]
    rows += [{**rows[0], "completion": " "}, {**rows[0], "label": None}]
    plan = plan_of(write_rows(tmp_path / "thumbs.jsonl", rows), task="unpaired")
    corpus = imported(library, plan)
    assert (corpus.task, sum(len(corpus.rows(split)) for split in corpus.splits)) == ("unpaired", 40)
    assert corpus.rows("train")[0]["source"] == "thumbs.jsonl"
    asked = [{row["messages"][0]["content"] for row in corpus.rows(split)} for split in corpus.splits]
    assert not asked[0] & asked[1], "split by prompt"


def test_a_table_of_pairs_is_one_too(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "chosen", "rejected"])
        writer.writerow([json.dumps([ASKED, said("A friend."), said("Of whom?", "user")]), "Ben's.", "Nobody's."])
    plan = plan_of(tmp_path / "a.csv")
    [row] = result_of(inspect_events([tmp_path / "a.csv"])).rows
    assert [message["role"] for message in task_row(plan, row)["messages"]] == ["user", "assistant", "user"]


def test_what_is_not_kept_is_said(tmp_path: Path) -> None:
    for name, sentence in (
        ("UltraFeedback", "not the columns 'messages', 'prompt_id'."),
        ("HH", "Transcripts are cut at the first reply in which both sides differ"),
        ("TRL texts with the prompt in them", "what both texts begin with, up to a whole word, becomes the user's"),
        ("OpenAI", "not the columns 'input.parallel_tool_calls', 'input.tools'."),
    ):
        info = result_of(inspect_events([write_rows(tmp_path / f"{name}.jsonl", [FORMS[name][0]] * 3)]))
        assert any(sentence in warning for warning in info.warnings), name
    info = result_of(inspect_events([write_rows(tmp_path / "trl.jsonl", [FORMS["TRL texts"][0]] * 3)]))
    assert info.warnings == ()


@pytest.mark.parametrize(
    ("cells", "error", "words"),
    [
        ({"prompt": "Hi", "chosen": "a", "rejected": "a "}, EmptyRowError, "its two replies are the same"),
        ({"prompt": "Hi", "chosen": "a", "rejected": " "}, EmptyRowError, "its rejected reply is empty"),
        ({"prompt": "Hi", "chosen": None, "rejected": [said("a")]}, EmptyRowError, "its chosen side is empty"),
        ({"chosen": "Yes.", "rejected": "No."}, RowError, "say which column is the prompt"),
        ({"prompt": [said("a")], "chosen": "a", "rejected": "b"}, RowError, "does not end with a message of the user"),
        ({"prompt": "Hi", "replies": ["a", "b", "c"]}, RowError, "its replies are no list of two"),
        (
            {"chosen": [said("Hi", "user"), said("a")], "rejected": [said("Ho", "user"), said("b")]},
            RowError,
            "differ before a reply",
        ),
        (
            {"prompt": "Hi", "chosen": [said("a"), said("b")], "rejected": [said("c")]},
            RowError,
            "its chosen side has 2 messages where one reply belongs",
        ),
    ],
)
def test_bad_pairs_are_told_in_a_sentence(cells: Row, error: type[RowError], words: str) -> None:
    with pytest.raises(RowError, match=words) as caught:
        preference_row(cells)
    assert type(caught.value) is error


def test_equal_scores_are_a_tie() -> None:
    cells = {"prompt": "Hi", "chosen": "a", "rejected": "b", "score_chosen": "3", "score_rejected": 3.0}
    assert preference_row(cells)["choice"] == "tie"
    assert preference_row({**cells, "score_rejected": "much"}).keys() == {"messages", "chosen", "rejected"}


def test_a_transcript_is_cut_at_the_first_reply_that_differs() -> None:
    lead = "\n\nHuman: Hi\n\nAssistant: "
    row = preference_row({"chosen": f"{lead}a\n\nHuman: More\n\nAssistant: b", "rejected": f"{lead}c"})
    assert row == {"messages": [said("Hi", "user")], "chosen": "a", "rejected": "c"}


def test_pairs_are_checked_split_by_prompt_and_named_after_their_file(tmp_path: Path, library: Library) -> None:
    rows = pairs(60)
    rows += [{**row, "rejected": "It is a secret."} for row in rows]
    bad = [{"prompt": "Hi", "chosen": "same", "rejected": "same"}, {"prompt": "Hi", "chosen": "a", "rejected": ""}]
    path = write_rows(tmp_path / "mine.jsonl", [*rows, rows[0], *bad])
    plan = plan_of(path)
    checks = checked(library, plan)
    found = {finding.name: finding for finding in checks.findings}
    assert {name: found[name].n for name in ("empty", "duplicates")} == {"empty": 2, "duplicates": 1}
    assert found["empty"].sentence == "2 rows with an empty side, or with two replies that are the same."
    assert "its two replies are the same" in found["empty"].examples[0]
    corpus = imported(library, plan)
    asked = {split: {row["messages"][0]["content"] for row in corpus.rows(split)} for split in corpus.splits}
    assert sum(len(corpus.rows(split)) for split in corpus.splits) == 120
    assert not asked["train"] & (asked["val"] | asked["test"])
    assert (corpus.task, corpus.rows("train")[0]["source"]) == ("preference", "mine.jsonl")


def test_prompts_of_a_given_test_are_left_out_of_training(tmp_path: Path, library: Library) -> None:
    write_rows(tmp_path / "data" / "train.jsonl", pairs(40))
    write_rows(tmp_path / "data" / "test.jsonl", [{**row, "rejected": "Who knows?"} for row in pairs(5)])
    plan = plan_of(tmp_path / "data")
    [leak] = [finding for finding in checked(library, plan).findings if finding.name == "leaks"]
    assert (leak.n, leak.sentence) == (5, "5 rows for training with a prompt of validation or test.")
    corpus = imported(library, replace(plan, fixes=frozenset(FIXES) - {"near-duplicates"}))
    assert len(corpus.rows("train")) + len(corpus.rows("val")) == 35


def test_a_large_file_is_read_with_bounded_memory(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "CHUNK_ROWS", 64)
    monkeypatch.setattr(columns, "BUCKET_ROWS", 128)
    peaks = []
    for n in (200, 900):
        rows = [{**row, "chosen": row["chosen"] + " So it goes." * 240} for row in pairs(n)]
        path = write_rows(tmp_path / f"{n}.jsonl", rows)
        del rows
        plan = plan_of(path)
        tracemalloc.start()
        imported(library, plan)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1_000_000, "700 rows more have 2.1 MB of text"


def test_a_pair_is_shown_as_both_of_its_texts(byte_tokenizer: Tokenizer) -> None:
    seen = see_example("preference", {**ROW, "messages": [said("Hi", "user"), said("Ho"), ASKED]}, byte_tokenizer)
    assert [text.title for text in seen.texts] == ["The better reply", "The worse reply"]
    for text, reply in zip(seen.texts, ("A friend.", "A kite."), strict=True):
        counted = b"".join(text.tokens.pieces[i].bytes for i in sorted(text.tokens.predicted)).decode()
        assert counted.strip().startswith(reply)
        assert "Ho" not in counted
    assert see_example("preference", {**ROW, "choice": "tie"}, byte_tokenizer).texts[0].title == "One reply"
