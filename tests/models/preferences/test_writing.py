"""Preferences are written in the forms of others, read again as they were, and what is lost is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.models.corpora.corpus import Example
from terrarium.models.events import result_of
from terrarium.models.importing.inspection import inspect_events
from terrarium.models.importing.plan import ImportPlan
from terrarium.models.importing.task_rows import task_row
from terrarium.models.preferences.writing import PREFERENCE_FORMS, Written, unpaired, write_preferences

ASKED = {"role": "user", "content": "Who is\nAnna?"}
PLAIN: Example = {
    "messages": [ASKED],
    "chosen": "A friend.\n\nOf Ben.",
    "rejected": "A “kite”, no?",
    "source": "person",
}
TURNS: Example = {**PLAIN, "messages": [ASKED, {"role": "assistant", "content": "Who?"}, ASKED]}
SYSTEM: Example = {**PLAIN, "messages": [{"role": "system", "content": "Be kind."}, ASKED]}
TIE: Example = {**PLAIN, "choice": "tie"}
ROWS = [PLAIN, TURNS, SYSTEM, TIE]

TIES = "Left behind: 1 pair about equal, since this form has no ties."
TURNS_LEFT = "Left behind: 1 row with several turns, since its prompts are single texts."
NO_SYSTEM, WHO = "Not kept: the system prompt of 1 row.", "Not kept: who chose."
KEPT = {
    "trl": (3, (TIES, WHO)),
    "trl-text": (2, (TIES, TURNS_LEFT, NO_SYSTEM, WHO)),
    "trl-unpaired": (6, (TIES, WHO)),
    "trl-unpaired-text": (4, (TIES, TURNS_LEFT, NO_SYSTEM, WHO)),
    "hh": (3, (TIES, NO_SYSTEM, WHO)),
    "ultrafeedback": (4, (WHO,)),
    "sharegpt": (3, (TIES, WHO)),
    "alpaca": (2, (TIES, TURNS_LEFT, WHO)),
    "openai": (3, (TIES, WHO)),
    "csv": (4, ()),
}


def written(rows: list[Example], form: str, path: Path) -> Written:
    return result_of(write_preferences(rows, len(rows), form, path))


@pytest.mark.parametrize("form", PREFERENCE_FORMS)
def test_there_and_back(form: str, tmp_path: Path) -> None:
    known = PREFERENCE_FORMS[form]
    path = tmp_path / f"out{known.suffix}"
    found = written(ROWS, form, path)
    n, notes = KEPT[form]
    assert (found.n, found.notes) == (n, notes)
    info = result_of(inspect_events([path]))
    plan = ImportPlan(paths=(str(path),), task=info.task, columns=info.roles)
    back = [task_row(plan, values) for values in info.rows]
    assert info.task == ("preference" if known.is_paired else "unpaired")
    wanted = [
        {
            **({} if not known.has_source else {"source": "person"}),
            **({"choice": "tie"} if row is TIE else {"margin": 1.0} if form == "ultrafeedback" else {}),
            "messages": [each for each in row["messages"] if each["role"] != "system" or known.has_system],
            "chosen": row["chosen"],
            "rejected": row["rejected"],
        }
        for row in ROWS
        if (row is not TURNS or known.has_turns) and (row is not TIE or known.has_ties)
    ]
    assert back == (wanted if known.is_paired else [each for row in wanted for each in unpaired(row)])


def test_rated_replies_are_written_where_no_pair_is_needed(tmp_path: Path) -> None:
    rated = [{"messages": [ASKED], "completion": f"Reply {i}.", "label": i > 0, "source": "person"} for i in range(3)]
    for form, known in PREFERENCE_FORMS.items():
        path = tmp_path / f"{form}{known.suffix}"
        if known.is_paired:
            with pytest.raises(ValueError, match="3 replies rated without another one, since this form has pairs"):
                written(rated, form, path)
            continue
        assert written(rated, form, path) == Written(n=3, notes=(WHO,))
        info = result_of(inspect_events([path]))
        plan = ImportPlan(paths=(str(path),), task=info.task, columns=info.roles)
        assert [task_row(plan, values) for values in info.rows] == [
            {name: value for name, value in row.items() if name != "source"} for row in rated
        ]
    briefed = {**rated[0], "messages": SYSTEM["messages"]}
    found = written([briefed], "trl-unpaired-text", tmp_path / "briefed.jsonl")
    assert found.notes == (NO_SYSTEM, WHO), "a rated reply is no pair"
    found = written([PLAIN, rated[0]], "trl", tmp_path / "mixed.jsonl")
    assert (found.n, found.notes[0]) == (
        1,
        "Left behind: 1 reply rated without another one, since this form has pairs.",
    )


def test_transcripts_cannot_hold_what_looks_like_a_turn(tmp_path: Path) -> None:
    row = {**PLAIN, "chosen": "He said:\n\nHuman: hello"}
    found = written([PLAIN, row], "hh", tmp_path / "out.jsonl")
    assert (found.n, found.notes[0]) == (
        1,
        "Left behind: 1 row with texts that would be read as turns (“Human:”, “Assistant:”).",
    )


def test_nothing_is_written_where_no_row_fits(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("mine")
    with pytest.raises(ValueError, match="No row can be written as TRL, texts: left behind: 2 rows with several turns"):
        written([TURNS, TURNS], "trl-text", path)
    with pytest.raises(ValueError, match="There is no form 'xml' of preferences"):
        written([PLAIN], "xml", path)
    events = write_preferences([PLAIN] * 2000, 2000, "trl", path)
    next(events)
    next(events)
    events.close()
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]
