"""Rows that cannot be read among many that can: each is told with its line and its text, and can be left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.models.events import result_of
from terrarium.models.importing.checks import check_events, revise_events
from terrarium.models.importing.formats.registry import open_source
from terrarium.models.importing.formats.rows import MAX_BAD_ROWS, BadRecord
from terrarium.models.importing.importer import import_events
from terrarium.models.importing.inspection import inspect_events
from terrarium.models.importing.plan import DEFAULT_FIXES, ImportPlan
from terrarium.models.library.library import Library

BAD = {40: "positive", 121: "good, but long,positive", 200: '"a film" they say,negative'}


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A table of 300 rows, of which three are wrong: a cell missing, a comma too many, a quotation mark in a cell."""
    lines = [f"review {index} of a film that I saw,{('positive', 'negative')[index % 2]}" for index in range(2, 302)]
    for line, text in BAD.items():
        lines[line - 2] = text
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def plan_of(path: Path, **changes: object) -> ImportPlan:
    columns = {"text": "text", "label": "label"}
    return ImportPlan(paths=(str(path),), task="classification", columns=columns, **changes)  # type: ignore[arg-type]


def bad_rows(path: Path) -> list[BadRecord]:
    return [item for item in open_source([path]).items() if isinstance(item, BadRecord)]


def test_each_is_told_with_its_line_its_text_and_what_to_do(reviews: Path) -> None:
    found = bad_rows(reviews)
    assert {row.line: row.text for row in found} == BAD
    missing, more, quoted = (row.sentence for row in found)
    assert missing == (
        f'{reviews}, line 40: it has one value ("positive"), but there are two columns: text, label. Add the label, or '
        "leave the line out."
    )
    assert 'line 121: it has three values ("good", " but long", "positive"), but there are' not in more
    assert 'line 121: it has three values ("good", "but long", "positive"), but there are two columns' in more
    assert "Put quotation marks around a value that has a comma in it, or leave the line out." in more
    assert "line 200: a quotation mark is opened here and not closed, or text follows the one that closes it" in quoted


def test_a_look_at_the_source_goes_on_after_them(reviews: Path) -> None:
    info = result_of(inspect_events([reviews]))
    assert (info.n_rows, [row.line for row in info.bad_rows]) == (297, [40, 121, 200])
    assert info.task == "classification"
    assert "3 rows cannot be read (lines 40, 121, 200)." in info.warnings


def test_they_are_left_out_on_request_only(reviews: Path, library: Library) -> None:
    checks = result_of(check_events(library, plan_of(reviews)))
    finding = next(finding for finding in checks.findings if finding.name == "damaged")
    assert (finding.n, finding.can_fix, finding.is_fixed) == (3, True, False)
    assert finding.sentence.startswith("3 rows that cannot be read.")
    for line, text, example in zip(BAD, BAD.values(), finding.examples, strict=True):
        assert f"line {line}: " in example
        assert example.endswith(f"\n    {text}")
    with pytest.raises(ValueError, match="3 rows cannot be read") as caught:
        result_of(import_events(library, plan_of(reviews), checks))
    assert all(f"line {line}: " in str(caught.value) for line in BAD)
    plan = plan_of(reviews, fixes=DEFAULT_FIXES | {"damaged"}, val_fraction=0.2)
    checks = result_of(revise_events(plan, checks.scan))
    assert "3 that cannot be read left out" in checks.sentence
    corpus = result_of(import_events(library, plan, checks))
    texts = {row["text"] for split in corpus.splits for row in corpus.rows(split)}
    assert len(texts) == 297
    assert texts.isdisjoint(BAD.values())


def test_a_single_one_is_told_as_before(reviews: Path, library: Library) -> None:
    reviews.write_text("text,label\na film,x\nb\nanother,y\n")
    with pytest.raises(ValueError, match=r"reviews\.csv, line 3: it has one value") as caught:
        result_of(import_events(library, plan_of(reviews)))
    assert "\n" not in str(caught.value)


def test_rows_that_a_quotation_mark_has_swallowed_are_read(reviews: Path) -> None:
    reviews.write_text('text,label\na,x\n"b,y\nc,z\n"d e",x\nf,y\n"g,y\nh,x\n')
    items = list(open_source([reviews]).items())
    assert [(item.line, isinstance(item, BadRecord)) for item in items if item is not None] == [
        (2, False), (3, True), (4, False), (5, False), (6, False), (7, True), (8, False),
    ]  # fmt: skip


def test_a_quotation_mark_that_swallows_very_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\na,x\n"b,y\n' + "c,z\n" * 1500)
    with pytest.raises(ValueError, match=r"a\.csv, line 3: a quotation mark is opened here and never closed"):
        bad_rows(path)


def test_lines_that_are_no_json_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": \n[1]\n{"text": "b"}\n')
    assert [(row.line, row.text) for row in bad_rows(path)] == [(2, '{"text": '), (3, "[1]")]


def test_a_file_of_nothing_else_and_one_with_very_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("hello\nyou\n")
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1: it is no valid JSON"):
        bad_rows(path)
    path.write_text('{"text": "a"}\n' + "hello\n" * (MAX_BAD_ROWS + 1))
    with pytest.raises(
        ValueError, match=rf"line {MAX_BAD_ROWS + 2}: .* {MAX_BAD_ROWS:,} rows before it are wrong, too"
    ):
        bad_rows(path)
