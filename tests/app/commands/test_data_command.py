"""`terrarium data`: checking, importing, listing and showing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.corpora.corpus import find_dataset
from terrarium.models.library.library import Library
from terrarium.models.library.run_notes import set_correction
from terrarium.models.preferences.store import PreferenceSet
from tests.models.preferences.support import make_pair, make_thumb


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    path = tmp_path / "mails.csv"
    lines = [
        f"{index},mail number {index} of {index * 7919 % 1000} \x1b[31m,{'ham' if index % 3 else 'spam'}"
        for index in range(60)
    ]
    path.write_text("\n".join(["id,body,kind", *lines, lines[0], "60,,ham"]))
    return path


def test_data_are_checked_imported_listed_and_shown(
    mails: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "list"]) == 0
    assert "no datasets yet" in capsys.readouterr().out
    assert main(["data", "check", str(mails)]) == 0
    out = capsys.readouterr().out
    assert "62 rows in 1 file" in out
    assert "classification (text=body, label=kind), since “kind” has 2 values (spam, ham)" in out
    assert "mails.csv, line 63: its text is empty." in out
    assert "\x1b" not in out
    assert list(library.corpora.glob("*")) == []

    assert main(["data", "import", str(mails), "--name", "my mails", "--split", "0.2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["dataset"]["labels"] == ["ham", "spam"]
    assert facts["dataset"]["rows"] == facts["checks"]["splits"] == {"train": 42, "val": 12, "test": 6}
    assert {finding["name"] for finding in facts["checks"]["findings"]} >= {"duplicates", "empty"}

    assert main(["data", "list", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["datasets"]] == ["my mails"]
    assert main(["data", "show", "my mails", "--rows", "1"]) == 0
    out = capsys.readouterr().out
    assert "Labels: ham, spam" in out
    assert "val: 12 rows" in out
    assert "\x1b" not in out
    assert main(["data", "show", "my mails", "--rows", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["examples"]["test"]) == 2


def test_rows_that_cannot_be_read_are_told_and_left_out_on_request(
    mails: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = mails.read_text().splitlines()
    lines[9] = lines[19] = "ham"
    mails.write_text("\n".join(lines))
    assert main(["data", "check", str(mails)]) == 0
    out = capsys.readouterr().out
    assert "- 2 rows that cannot be read. Correct the file and check again, or leave out what is wrong. [--skip" in out
    assert 'mails.csv, line 20: it has one value ("ham"), but there are three columns: id, body, kind.' in out
    assert main(["data", "import", str(mails)]) != 0
    said = capsys.readouterr().err
    assert "2 rows cannot be read." in said
    assert "line 10: " in said
    assert "line 20: " in said
    assert "Leave them out with --skip-bad-rows." in said
    assert main(["data", "import", str(mails), "--skip-bad-rows", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert sum(facts["dataset"]["rows"].values()) == 58
    assert [row["line"] for row in facts["source"]["bad_rows"]] == [10, 20]


def test_roles_and_task_can_be_said(mails: Path, library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--task", "regression", "--role", "text=body", "--role", "score=id", "--fix", "none", "--json"]
    assert main(["data", "check", str(mails), *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["task"], facts["roles"]) == ("regression", {"text": "body", "score": "id"})
    assert not any(finding["is_fixed"] for finding in facts["checks"]["findings"])
    assert main(["data", "check", str(mails), "--role", "label=id", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["roles"] == {"text": "body", "label": "id"}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--fix", "none"], 1, "mails.csv, line 63: its text is empty."),
        (["--role", "label=colour"], 1, "has no column 'colour': it has id, body, kind."),
        (["--role", "label"], 2, "--role label says no column"),
        (["--fix", "magic"], 1, "There is no fix 'magic'"),
        (["--delimiter", "ab"], 1, "use one character"),
        (["--task", "span"], 1, "needs a column as 'question' and 'context' and 'answers'"),
    ],
)
def test_mistakes_are_said_in_a_sentence(
    arguments: list[str], code: int, sentence: str, mails: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", str(mails), *arguments]) == code
    assert sentence in capsys.readouterr().err
    assert list(library.corpora.glob("*")) == []


def test_what_is_to_be_learned_must_be_said_where_it_is_open(
    tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"one": f"text {index}", "two": f"more {index}"}) + "\n" for index in range(30)))
    assert main(["data", "check", str(path)]) == 0
    assert "say it with --task and --role" in capsys.readouterr().out
    assert main(["data", "import", str(path)]) == 1
    assert "say it with --task and --role" in capsys.readouterr().err


def test_judged_pairs_become_a_dataset_and_a_file(
    tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "pairs"]) == 0
    assert "no sets yet" in capsys.readouterr().out
    PreferenceSet(library, "happy").add(make_pair(i, ("a", "b", "tie", "bad")[i % 4]) for i in range(20))
    assert main(["data", "pairs"]) == 0
    assert capsys.readouterr().out == "happy: 20 by you\n"
    assert main(["data", "pairs", "sad"]) == 1
    assert "There is no preference set called 'sad': there are 'happy'." in capsys.readouterr().err
    assert main(["data", "pairs", "happy"]) == 0
    out = capsys.readouterr().out
    assert "Left behind: 5 pairs both bad" in out
    assert "Dataset 'happy, 15 pairs'" in out
    target = tmp_path / "hh.jsonl"
    assert main(["data", "export", "happy, 15 pairs", str(target), "--form", "hh"]) == 0
    out = capsys.readouterr().out
    assert "Left behind: 5 pairs about equal, since this form has no ties." in out
    assert f"{target}: 10 rows" in out
    assert target.read_text().count("\n") == 10
    assert main(["data", "export", "happy, 15 pairs", str(target), "--split", "test"]) == 1
    assert "has no rows for test: it has train, val" in capsys.readouterr().err


def test_thumbs_become_a_dataset_and_sets_are_renamed_and_deleted(
    tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    PreferenceSet(library, "happy").add_thumbs(make_thumb(i, is_good=i < 7) for i in range(10))
    assert main(["data", "pairs"]) == 0
    assert capsys.readouterr().out == "happy: no pairs; thumbs: 7 up, 3 down\n"
    assert main(["data", "pairs", "happy", "--thumbs"]) == 0
    assert "Dataset 'happy, 10 thumbs'" in capsys.readouterr().out
    target = tmp_path / "kto.jsonl"
    assert main(["data", "export", "happy, 10 thumbs", str(target), "--form", "trl-unpaired"]) == 0
    assert f"{target}: 10 rows" in capsys.readouterr().out
    assert main(["data", "import", str(target), "--name", "back"]) == 0
    assert "Task: unpaired" in capsys.readouterr().out
    assert main(["data", "pairs", "happy", "--rename", "merry"]) == 0
    assert main(["data", "pairs", "merry", "--delete", "--json"]) == 0
    token = json.loads(capsys.readouterr().out.splitlines()[-1])["trash"]
    assert main(["data", "pairs", "--delete"]) == 2
    assert main(["trash", "list"]) == 0
    assert "preference set" in capsys.readouterr().out
    assert main(["trash", "restore", token]) == 0
    assert main(["data", "pairs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["thumbs"] == {"merry": {"up": 7, "down": 3}}


def test_corrections_of_labels_become_a_dataset(learned_library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    def corrections(*options: str) -> int:
        return main(["data", "corrections", "classification encoder-only", *options])

    assert corrections("--label", "sad") == 2
    assert corrections("--text", "anna smiles", "--label", "bored") == 2
    assert "has no label 'bored': use one of angry, glad, sad" in capsys.readouterr().err
    assert corrections("--dataset") == 1
    assert "correct a text first" in capsys.readouterr().err
    assert corrections("--text", "anna smiles", "--label", "angry", "--json") == 0
    own = json.loads(capsys.readouterr().out.splitlines()[-1])["own"]
    assert corrections("--text", "anna smiles", "--label", own) == 0
    out = capsys.readouterr().out
    assert out == f"The model's own label is “{own}”, so this is no correction.\n", "it takes one back"
    wrong, other = (label for label in ("angry", "glad", "sad") if label != own)
    assert corrections("--text", "anna smiles", "--label", wrong) == 0
    assert f"The model's own label is “{own}”.\n{wrong}: anna smiles\n" in capsys.readouterr().out
    assert corrections("--text", "ben cries", "--second", "so loud", "--label", "none") == 2
    run = Library().find_run("classification encoder-only")
    set_correction(run, {"text": "ben cries", "text_pair": "so loud"}, other)
    assert corrections("--dataset", "--json") == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert made["dataset"] == "Corrections of classification encoder-only, 2 texts"
    assert [row["label"] for row in made["corrections"]] == [wrong, other]
    corpus = find_dataset(learned_library, made["dataset"])
    old = [row for row in corpus.rows("train") if row not in made["corrections"]]
    assert set(Counter(row["label"] for row in old)) == {"angry", "glad", "sad"}, "what it knew is mixed in"
    assert corrections("--text", "ben cries", "--second", "so loud", "--json") == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["corrections"]) == 1
