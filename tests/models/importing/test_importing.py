"""From a source to a dataset: what is guessed, found, fixed, split and stored."""

from __future__ import annotations

import csv
import json
import random
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrarium.models.corpora.corpus import Corpus, Example, find_dataset, list_corpora
from terrarium.models.events import Phase, Progress, result_of
from terrarium.models.importing import columns, scan
from terrarium.models.importing.cells import RowError
from terrarium.models.importing.checks import Checks, check_events, revise_events
from terrarium.models.importing.formats.rows import ReadOptions, Row
from terrarium.models.importing.importer import import_events
from terrarium.models.importing.inspection import inspect_events
from terrarium.models.importing.near_duplicates import MinHash, components, near_groups
from terrarium.models.importing.plan import FIXES, ImportPlan, source_name
from terrarium.models.importing.task_rows import task_row, to_iob2
from terrarium.models.library.library import Library
from terrarium.models.settings.tasks import JUDGED_BY, TASKS
from terrarium.models.tasks.judging import judges_of

WORDS = ("win", "money", "free", "hello", "friend", "meeting", "lunch", "offer", "click", "please", "report", "key")


def write_rows(path: Path, rows: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def mails(n: int, seed: int = 1) -> list[Row]:
    """Different mails, two in three of them ham."""
    draw = random.Random(seed)
    return [
        {"text": f"{' '.join(draw.choices(WORDS, k=12))} {seed}-{index}", "label": ("ham", "spam", "ham")[index % 3]}
        for index in range(n)
    ]


def plan_of(*paths: Path, **changes: Any) -> ImportPlan:
    """What is guessed of a source."""
    info = result_of(inspect_events(paths))
    plan = ImportPlan(paths=tuple(map(str, paths)), task=info.task, columns=info.roles)
    return replace(plan, **changes)


def check(library: Library, plan: ImportPlan) -> Checks:
    return result_of(check_events(library, plan))


def imported(library: Library, plan: ImportPlan) -> Corpus:
    return result_of(import_events(library, plan))


def rows_of(corpus: Corpus) -> dict[str, list[Example]]:
    return {split: list(corpus.rows(split)) for split in corpus.splits}


def found(checks: Checks) -> dict[str, int]:
    return {finding.name: finding.n for finding in checks.findings}


GUESSED: dict[str, tuple[list[Row], str, dict[str, str], Example]] = {
    "mails": (
        [{"id": index, "text": f"mail {index}", "label": "ab"[index % 2]} for index in range(9)],
        "classification",
        {"text": "text", "label": "label"},
        {"text": "mail 0", "label": "a"},
    ),
    "pairs of sentences": (
        [{"premise": f"a {i}", "hypothesis": f"b {i}", "label": i % 3} for i in range(9)],
        "classification",
        {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        {"text": "a 0", "text_pair": "b 0", "label": "0"},
    ),
    "many labels": (
        [{"text": f"film {index}", "genres": ["a", "b"]} for index in range(9)],
        "multi-label",
        {"text": "text", "labels": "genres"},
        {"text": "film 0", "labels": ["a", "b"]},
    ),
    "scores": (
        [{"text": f"film {index}", "score": index / 7} for index in range(9)],
        "regression",
        {"text": "text", "score": "score"},
        {"text": "film 0", "score": 0.0},
    ),
    "alpaca": (
        [{"instruction": f"Add {index}", "input": "1 2", "output": "3"} for index in range(9)],
        "chat",
        {"prompt": "instruction", "input": "input", "reply": "output"},
        {"messages": [{"role": "user", "content": "Add 0\n\n1 2"}, {"role": "assistant", "content": "3"}]},
    ),
    "ShareGPT": (
        [
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": f"Yo {index}"}]}
            for index in range(9)
        ],
        "chat",
        {"messages": "conversations"},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo 0"}]},
    ),
    "OpenAI": (
        [
            {
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": [{"type": "text", "text": f"Hi {index}"}]},
                    {"role": "assistant", "content": "Yo"},
                    {"role": "user", "content": "Bye"},
                ]
            }
            for index in range(9)
        ],
        "chat",
        {"messages": "messages"},
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hi 0"},
                {"role": "assistant", "content": "Yo"},
            ]
        },
    ),
    "names": (
        [{"tokens": ["Ann", "ran"], "ner_tags": ["I-PER", "O"]} for _ in range(9)],
        "tagging",
        {"words": "tokens", "tags": "ner_tags"},
        {"words": ["Ann", "ran"], "tags": ["B-PER", "O"]},
    ),
    "SQuAD of the hub": (
        [
            {"question": f"Who {i}?", "context": "It is Ann.", "answers": {"text": ["Ann"], "answer_start": [6]}}
            for i in range(9)
        ],
        "span",
        {"question": "question", "context": "context", "answers": "answers"},
        {"question": "Who 0?", "context": "It is Ann.", "answers": [{"text": "Ann", "start": 6}]},
    ),
    "translations": (
        [{"translation": {"fr": f"clé {index}", "en": f"key {index}"}} for index in range(9)],
        "text-to-text",
        {"source": "translation.en", "target": "translation.fr"},
        {"source": "key 0", "target": "clé 0"},
    ),
    "summaries": (
        [{"article": f"long text {index}", "highlights": f"short {index}"} for index in range(30)],
        "text-to-text",
        {"source": "article", "target": "highlights"},
        {"source": "long text 0", "target": "short 0"},
    ),
    "groups": (
        [{"source": f"open {index}", "target": f"ouvrir {index}", "skeleton": f"s{index}"} for index in range(40)],
        "text-to-text",
        {"source": "source", "target": "target", "group": "skeleton"},
        {"source": "open 0", "target": "ouvrir 0"},
    ),
    "texts": ([{"text": f"once {index}"} for index in range(9)], "language", {"text": "text"}, {"text": "once 0"}),
}


@pytest.mark.parametrize("name", GUESSED)
def test_task_and_roles_are_guessed(name: str, tmp_path: Path) -> None:
    rows, task, roles, example = GUESSED[name]
    path = write_rows(tmp_path / "a.jsonl", rows)
    info = result_of(inspect_events([path]))
    assert (info.task, dict(info.roles)) == (task, roles)
    assert info.reason
    plan = plan_of(path)
    assert task_row(plan, info.rows[0]) == example
    assert set(TASKS[task].columns) <= example.keys()


def test_folders_are_labels_only_where_all_texts_are_in_some(tmp_path: Path) -> None:
    for index in range(12):
        label = ("ham", "spam")[index % 2]
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{index}.txt").write_text(f"mail {index}")
    info = result_of(inspect_events([tmp_path]))
    assert (info.task, dict(info.roles)) == ("classification", {"text": "text", "label": "folder"})
    for index in range(4):
        (tmp_path / f"{index}.txt").write_text(f"read me {index}")
    assert result_of(inspect_events([tmp_path])).task == "language"


def test_a_source_is_described(tmp_path: Path) -> None:
    rows = [*mails(30), {"text": None, "label": "spam", "note": [1]}]
    info = result_of(inspect_events([write_rows(tmp_path / "a.jsonl", rows)]))
    assert (info.format, info.n_rows, info.n_seen, info.is_estimate, len(info.rows)) == ("jsonl", 31, 31, False, 20)
    assert info.reason == "“label” has 2 values (ham, spam)"
    text, label, note = info.columns
    assert (text.name, text.type, text.n_missing, text.n_unique) == ("text", "text", 1, 30)
    assert text.lengths[0] <= text.lengths[1] <= text.lengths[2]
    assert sum(text.histogram) == 30
    assert (label.n_unique, label.examples) == (2, ("ham", "spam"))
    assert (note.type, note.n_missing) == ("list", 30)


def test_of_a_large_source_only_the_beginning_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "some words,a\nother words,b\n" * 15_000)
    info = result_of(inspect_events([path]))
    assert info.is_estimate
    assert info.n_seen == 20_000
    assert 20_000 < info.n_rows < 40_000


def test_what_is_wrong_is_counted_with_file_and_line_and_fixed(tmp_path: Path, library: Library) -> None:
    good = mails(200)
    bad = [
        good[0],
        {**good[1], "text": good[1]["text"].upper() + "  "},
        {"text": " ", "label": "ham"},
        {"text": "no label"},
        {**good[3], "label": "spam"},
        {**good[2], "text": good[2]["text"] + " !"},
        {"text": "a label of its own", "label": "rare"},
        {"text": ["no text"], "label": "ham"},
    ]
    path = write_rows(tmp_path / "a.jsonl", good + bad)
    plan = plan_of(path)
    checks = check(library, plan)
    assert found(checks) == {
        "empty": 2,
        "invalid": 1,
        "duplicates": 2,
        "near-duplicates": 1,
        "contradictions": 2,
        "rare-labels": 1,
    }
    by_name = {finding.name: finding for finding in checks.findings}
    assert by_name["empty"].examples[0] == f"{path}, line 203: its text is empty."
    assert "line 207: a label of its own (rare)" in by_name["rare-labels"].examples[0]
    assert by_name["duplicates"].is_fixed
    assert not by_name["near-duplicates"].is_fixed
    with pytest.raises(ValueError, match=r"a\.jsonl, line 208: its text is no text but \['no text'\]"):
        imported(library, plan)
    assert list(library.corpora.glob("*")) == []
    plan = replace(plan, fixes=frozenset(FIXES))
    again = result_of(revise_events(plan, checks.scan))
    corpus = result_of(import_events(library, plan, again))
    rows = rows_of(corpus)
    assert sum(map(len, rows.values())) == 200 - 1  # the one that is contradicted
    assert {split: len(each) for split, each in rows.items()} == dict(again.splits)
    assert corpus.labels == ("ham", "spam")
    assert (corpus.task, corpus.metric, corpus.label) == ("classification", "macro_f1", "a")
    assert "2 exact duplicates left out" in again.sentence


def test_the_split_is_stratified_and_depends_on_the_seed_alone(tmp_path: Path, library: Library) -> None:
    rows = mails(300)
    path = write_rows(tmp_path / "a.jsonl", rows)
    plan = plan_of(path, val_fraction=0.2, test_fraction=0.1)
    split = rows_of(imported(library, plan))
    assert {name: len(each) for name, each in split.items()} == {"train": 210, "val": 60, "test": 30}
    assert [sum(row["label"] == "spam" for row in split[name]) for name in split] == [70, 20, 10]
    shuffled = random.Random(3).sample(rows, len(rows))
    again = rows_of(imported(library, plan_of(write_rows(tmp_path / "b.jsonl", shuffled), val_fraction=0.2)))
    assert {row["text"] for row in again["val"]} == {row["text"] for row in split["val"]}
    other = rows_of(imported(library, replace(plan, seed=2, name="c")))
    assert {row["text"] for row in other["val"]} != {row["text"] for row in split["val"]}


def test_rows_of_a_group_stay_together(tmp_path: Path, library: Library) -> None:
    rows = [{**row, "author": f"author {index // 10}"} for index, row in enumerate(mails(300))]
    plan = plan_of(write_rows(tmp_path / "a.jsonl", rows))
    plan = replace(plan, columns={**plan.columns, "group": "author"})
    authors = {row["text"]: row["author"] for row in rows}
    split = {name: {authors[row["text"]] for row in each} for name, each in rows_of(imported(library, plan)).items()}
    assert split["train"] & split["val"] == split["train"] & split["test"] == set()
    assert len(split["val"]) == 3


def test_almost_the_same_rows_stay_together(tmp_path: Path, library: Library) -> None:
    rows = mails(100)
    rows += [{**row, "text": row["text"] + "."} for row in rows]
    split = rows_of(imported(library, plan_of(write_rows(tmp_path / "a.jsonl", rows))))
    held_out = {row["text"].rstrip(".") for row in split["val"] + split["test"]}
    assert not held_out & {row["text"].rstrip(".") for row in split["train"]}


def near_duplicates(library: Library, plan: ImportPlan) -> str:
    """What the checks say of them."""
    return next(each.sentence for each in check(library, plan).findings if each.name == "near-duplicates")


def test_whether_almost_the_same_rows_stay_together_is_said(tmp_path: Path, library: Library) -> None:
    rows = mails(100)
    pairs = write_rows(tmp_path / "pairs.jsonl", rows + [{**row, "text": row["text"] + "."} for row in rows])
    known = "100 rows with 80\xa0% or more of their wording in common with an earlier one."
    kept = f"{known} If you keep them, none is in training while its like is held out."
    assert near_duplicates(library, plan_of(pairs)) == kept
    assert near_duplicates(library, plan_of(pairs, fixes=frozenset({"near-duplicates"}))) == known, "they go"
    form = "Dear customer, your parcel is waiting at the counter of our office number"
    rows += [{"text": f"{form} {i}.", "label": "spam"} for i in range(40)]
    plan = plan_of(write_rows(tmp_path / "form.jsonl", rows))
    assert "So many are alike that they are not kept on one side of the split" in near_duplicates(library, plan)
    split = rows_of(imported(library, plan))
    for side in (split["train"], split["val"] + split["test"]):
        assert any(row["text"].startswith(form) for row in side)


def test_a_given_split_is_never_touched(tmp_path: Path, library: Library) -> None:
    rows = mails(60)
    test = [*mails(20, seed=2), *mails(2, seed=2), rows[0], {"text": "new", "label": "never seen"}]
    write_rows(tmp_path / "data" / "train.jsonl", rows)
    write_rows(tmp_path / "data" / "test.jsonl", test)
    plan = plan_of(tmp_path / "data", fixes=frozenset(FIXES))
    checks = check(library, plan)
    assert checks.given == ("test",)
    assert found(checks) == {"leaks": 1, "unseen-labels": 1}
    assert checks.offer == "Of its rows, 10\xa0% for validation, by a hash of each (seed 1)."
    split = rows_of(imported(library, plan))
    assert split["test"] == test
    assert len(split["train"]) + len(split["val"]) == 59
    assert rows[0] not in split["train"] + split["val"]


def test_questions_on_one_context_stay_together(tmp_path: Path, library: Library) -> None:
    rows = [
        {
            "question": f"Who {i}?",
            "context": f"It is Ann {i // 5} {WORDS[i % 12]}.".replace(WORDS[i % 12], "x"),
            "answers": ["Ann"],
        }
        for i in range(200)
    ]
    plan = plan_of(write_rows(tmp_path / "a.jsonl", rows))
    split = {name: {row["context"] for row in each} for name, each in rows_of(imported(library, plan)).items()}
    assert split["train"] & split["val"] == set()


def test_lengths_and_unknown_tokens_are_counted(tmp_path: Path, library: Library, byte_tokenizer_name: str) -> None:
    rows = [*mails(50), {"text": "long " * 100, "label": "ham"}]
    plan = plan_of(write_rows(tmp_path / "a.jsonl", rows), tokenizer=byte_tokenizer_name, context=200)
    checks = check(library, plan)
    assert checks.n_tokens == sum(len(row["text"].encode()) for row in rows)
    assert found(checks) == {"too-long": 1}
    with pytest.raises(ValueError, match="There is no tokenizer"):
        check(library, replace(plan, tokenizer="none of these"))


def test_one_label_for_nearly_all_is_said(tmp_path: Path, library: Library) -> None:
    rows = [{**row, "label": "spam" if index < 5 else "ham"} for index, row in enumerate(mails(100))]
    assert "imbalance" in found(check(library, plan_of(write_rows(tmp_path / "a.jsonl", rows))))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": "juggling"}, "no task 'juggling'"),
        ({"columns": {"text": "text"}}, "needs a column as 'label'"),
        ({"columns": {"text": "text", "label": "label", "colour": "x"}}, "no role 'colour'"),
        ({"fixes": frozenset({"magic"})}, "no fix 'magic'"),
        ({"val_fraction": 0.7, "test_fraction": 0.3}, "leave nothing to train on"),
        ({"val_fraction": 0.0}, "leaves no row for validation"),
        ({"read": ReadOptions(format="csv2")}, "no format 'csv2'"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(
    changes: dict[str, Any], sentence: str, tmp_path: Path, library: Library
) -> None:
    plan = plan_of(write_rows(tmp_path / "a.jsonl", mails(30)))
    with pytest.raises(ValueError, match=sentence):
        imported(library, replace(plan, **changes))
    assert list_corpora(library) == []


def test_a_name_is_given_once(tmp_path: Path, library: Library) -> None:
    plan = plan_of(write_rows(tmp_path / "a.jsonl", mails(30)), name="mails")
    corpus = imported(library, plan)
    assert find_dataset(library, "mails") == corpus
    with pytest.raises(ValueError, match="There is a dataset called 'mails' already"):
        imported(library, plan)


def test_many_rows_are_compared_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*mails(120), *mails(40), *({**row, "label": "ham"} for row in mails(20)), *mails(80, seed=2)]
    rows = [{**row, "number": index // 7} for index, row in enumerate(rows)]
    train, test = write_rows(tmp_path / "train.jsonl", rows), write_rows(tmp_path / "test.jsonl", rows[100:130])
    grouped = {"text": "text", "label": "label", "group": "number"}
    plans = [plan_of(train), plan_of(train, fixes=frozenset(FIXES) - {"rare-labels"}), plan_of(train, test)]
    plans.append(plan_of(train, columns=grouped, fixes=frozenset[str]()))
    at_once = [imported(Library(tmp_path / f"whole-{i}"), plan) for i, plan in enumerate(plans)]
    monkeypatch.setattr(columns, "CHUNK_ROWS", 24)
    monkeypatch.setattr(columns, "BUCKET_ROWS", 40)
    in_parts = [imported(Library(tmp_path / f"parts-{i}"), plan) for i, plan in enumerate(plans)]
    assert [corpus.sha for corpus in in_parts] == [corpus.sha for corpus in at_once]


def test_nothing_stays_of_an_import_that_was_cancelled_or_failed(tmp_path: Path, library: Library) -> None:
    path = write_rows(tmp_path / "a.jsonl", mails(1000))
    plan = plan_of(path)
    checks = check(library, plan)
    work = import_events(library, plan, checks)
    next(event for event in work if event == Phase(name="Importing the rows"))
    next(work)
    assert any(library.corpora.iterdir())
    work.close()
    assert list(library.corpora.iterdir()) == []
    phases = ("Checking the rows", "Comparing the rows", "Importing the rows")
    for phase in phases:
        work = import_events(library, plan)
        next(event for event in work if event == Phase(name=phase))
        assert isinstance(next(work), Progress)
        work.close()
        assert list(library.corpora.iterdir()) == []
    path.write_text(path.read_text() + "{broken\n")
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1001: it is no valid JSON"):
        imported(library, plan)
    assert list(library.corpora.glob("*")) == []


def test_long_rows_are_read_with_as_many_events(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a cancellation would wait for a hundred of them, of up to 16 MiB each."""
    monkeypatch.setattr(scan, "PROGRESS_BYTES", 1 << 16)
    path = write_rows(tmp_path / "a.jsonl", [{"text": f"{index} " + "word " * 4_000} for index in range(200)])
    plan = plan_of(path)
    seen, phase = dict[str, list[Progress]](), ""
    for event in import_events(library, plan):
        if isinstance(event, Phase):
            phase = event.name
        elif isinstance(event, Progress):
            seen.setdefault(phase, []).append(event)
    for phase in ("Checking the rows", "Importing the rows"):
        done = [event.done for event in seen[phase] if event.total == path.stat().st_size]
        assert len(done) > 20
        assert max(after - before for before, after in pairwise(done)) < 3 << 16


def test_a_source_is_not_held_in_memory(tmp_path: Path, library: Library) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("w") as file:
        for index in range(200):
            file.write(json.dumps({"text": f"{index} " + "abcdefghi " * 2_500}) + "\n")
    plan = plan_of(path)
    tracemalloc.start()
    checks = check(library, plan)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6 < path.stat().st_size
    assert result_of(import_events(library, plan, checks)).n_bytes > 4.9e6


@pytest.mark.parametrize(
    ("task", "values", "sentence"),
    [
        ("regression", {"text": "a", "score": "good"}, "its score is no number but 'good'"),
        ("regression", {"text": "a", "score": "inf"}, "which no model can learn"),
        ("regression", {"text": "a", "score": None}, "its score is empty"),
        ("multi-label", {"text": "a", "labels": [["x"]]}, "no list of labels"),
        ("tagging", {"words": ["a", "b"], "tags": ["O"]}, "2 words but 1 tags"),
        ("tagging", {"words": [], "tags": []}, "no words"),
        ("tagging", {"words": [{}], "tags": ["O"]}, "no list of texts"),
        ("span", {"question": "q", "context": "abc", "answers": ["x"]}, "does not contain the answer 'x'"),
        ("span", {"question": "q", "context": "abc", "answers": [{"text": "b", "start": 2}]}, "not the answer 'b' at"),
        ("span", {"question": "q", "context": "abc", "answers": {"text": ["b"], "answer_start": []}}, "as many starts"),
        ("span", {"question": "q", "context": "abc", "answers": [3]}, "an answer is no text but 3"),
        ("chat", {"messages": "Hi"}, "no list but 'Hi'"),
        ("chat", {"messages": ["Hi"]}, "no object with role and content"),
        ("chat", {"messages": [{"role": "tool", "content": "Hi"}]}, "by 'tool', which is none"),
        ("chat", {"messages": [{"role": "user", "content": None}]}, "no text but None"),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "parts that are no text"),
        ("chat", {"messages": [{"role": "user", "content": "Hi"}]}, "no reply"),
        ("chat", {"messages": []}, "no messages"),
        ("text-to-text", {"source": "a", "target": ""}, "its target is empty"),
        ("text-to-text", {"source": "a", "target": "b", "cases": "[1"}, "cases are no JSON but"),
        ("text-to-text", {"source": "a", "target": "b", "cases": [{"arguments": 1}]}, "cases are not .*expected"),
        ("text-to-text", {"source": "a", "target": "b", "cases": []}, "it has no cases"),
        ("text-to-text", {"source": "a", "target": "b", "facts": ["x"]}, "facts are not lists of texts"),
        ("text-to-text", {"source": "a", "target": "b", "fields": {"x": 1}}, "fields are not"),
    ],
)
def test_a_record_that_is_no_row_of_the_task_is_refused(task: str, values: Row, sentence: str) -> None:
    plan = ImportPlan(paths=("a",), task=task, columns={name: name for name in values})
    with pytest.raises(RowError, match=sentence):
        task_row(plan, values)


def test_half_a_character_is_no_text(tmp_path: Path, library: Library) -> None:
    path = write_rows(tmp_path / "a.jsonl", [*mails(30), {"text": "\ud83d", "label": "ham"}])
    assert found(check(library, plan_of(path))) == {"invalid": 1}
    with pytest.raises(ValueError, match=r"line 31: it has half of a character"):
        imported(library, plan_of(path))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-A I-A O I-A I-B", "B-A I-A O B-A B-B"),  # IOB1
        ("I-A B-A I-A", "B-A B-A I-A"),
        ("B-A I-A O", "B-A I-A O"),  # IOB2
        ("B-A I-A L-A U-B L-A", "B-A I-A I-A B-B B-A"),  # BILOU
        ("B-A E-A S-A I-A", "B-A I-A B-A B-A"),  # BIOES
        ("DET NOUN", "DET NOUN"),
    ],
)
def test_entity_tags_become_iob2(tags: str, expected: str) -> None:
    assert to_iob2(tags.split()) == expected.split()


@given(st.lists(st.sampled_from(["O", *(f"{mark}-{kind}" for mark in "BILUES" for kind in "AB")])))
def test_iob2_is_valid_and_stays_as_it_is(tags: list[str]) -> None:
    new = to_iob2(tags)
    for before, tag in zip(["O", *new], new, strict=False):
        assert tag[0] != "I" or before[2:] == tag[2:]
    assert to_iob2(new) == new
    assert [tag[2:] for tag in new] == [tag[2:] for tag in tags]


def test_the_share_of_equal_hashes_estimates_the_similarity() -> None:
    hashes = MinHash()
    base = "".join(random.Random(1).choices("abcdefghijklmnop", k=500))
    for cut in (20, 100, 250):
        other = base[cut:] + "".join(random.Random(2).choices("qrstuvwxyz", k=cut))
        first, second = ({text[i : i + 5] for i in range(496)} for text in (base, other))
        truth = len(first & second) / len(first | second)
        estimate = (hashes.signature(base) == hashes.signature(other)).mean()
        assert abs(estimate - truth) < 0.12
    texts = ("", base, "x", base + "!", base[5:], "")
    groups = result_of(near_groups(np.stack([hashes.signature(text) for text in texts])))
    assert groups.tolist() == [0, 1, 2, 1, 1, 0]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_components_are_those_of_the_graph(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    groups = components(first, second)
    reached = np.equal.outer(first, first) | np.equal.outer(second, second)
    for _ in range(5):
        reached = reached @ reached
    assert groups.tolist() == [int(np.flatnonzero(row)[0]) for row in reached]


def test_files_line_by_line_are_one_source_with_one_name(tmp_path: Path, library: Library) -> None:
    paths = [tmp_path / "x.en", tmp_path / "x.fr"]
    for path in paths:
        path.write_text("".join(f"{path.suffix} line {n}\n" for n in range(40)), encoding="utf-8")
    info = result_of(inspect_events(paths))
    assert (info.n_files, info.n_rows) == (2, 40)
    plan = ImportPlan(paths=tuple(map(str, paths)), task=info.task, columns=info.roles)
    assert imported(library, plan).label == "x"
    assert source_name([str(tmp_path / "a.b.jsonl.gz"), "c.jsonl"]) == "a and 1 more"
    assert source_name([str(tmp_path)]) == tmp_path.name


@pytest.mark.parametrize(
    ("judged", "metric"),
    [
        ({"cases": [{"arguments": [1], "expected": 2}]}, "pass_at_1"),
        ({"facts": [["Anna", "in", "mill"]]}, "facts_right"),
        ({"fields": {"name": "str", "n": "int"}}, "valid_form"),
        ({"language": "German"}, "exact_match"),
    ],
)
@pytest.mark.parametrize("is_table", [False, True])
def test_what_texts_are_judged_by_is_kept(
    judged: Row, metric: str, is_table: bool, tmp_path: Path, library: Library
) -> None:
    rows = [{"source": f"def add{i}(x):", "target": f"    return x + {i}", **judged} for i in range(60)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    if is_table:
        path = tmp_path / "a.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            cells = ([value if isinstance(value, str) else json.dumps(value) for value in row.values()] for row in rows)
            csv.writer(file).writerows([list(rows[0]), *cells])
    corpus = imported(library, plan_of(path))
    kept = [row for split in rows_of(corpus).values() for row in split]
    assert all(row.items() >= judged.items() for row in kept)
    assert corpus.metric == metric
    assert set(judges_of(kept)) == {JUDGED_BY[name] for name in judged}
