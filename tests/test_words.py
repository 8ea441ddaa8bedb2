"""Names of the field instead of a private language: words that were given up do not come back."""

from __future__ import annotations

import io
import re
import tokenize

import pytest

from tests import ROOT

GIVEN_UP = {
    "Alarm": "Alert",
    "Arena": "PairView",
    "Contest": "PairRequest",
    "DrawnReplies": "CandidateReplies",
    "Extras": "AdvancedSettings",
    "FactReader": "WindowStateReader",
    "GrownModel": "ModelSummary",
    "Look": "EvalPoint",
    "OldRows": "ReplayRows",
    "PairMaker": "PairSampler",
    "Refit": "RelayoutOnResize",
    "TurningSplitter": "AdaptiveSplitter",
    "about_cut_replies": "warn_truncated_replies",
    "about_new_turns": "warn_new_turn_tokens",
    "allow_forgetting": "reserve_rollback",
    "bet": "guess",
    "bets": "guesses",
    "deed": "instruction, check",
    "deeds": "instructions, checks",
    "has_gone_off": "is_triggered",
    "is_meant": "gold_success",
    "looking_back": "with_previous_token_heads",
    "mend": "fix",
    "mended": "fixed",
    "mends": "fixes",
    "of_judge": "judge_tensors",
    "of_parent": "parent_curves",
    "of_stage": "stage_tensors",
    "sees_itself": "target_is_visible",
    "takes_few": "supports_short",
    "what_is_new": "describe_new_parameters",
}
"""A name that says nothing to a reader who knows the field → what it is called now."""
PARTS = {word for name in GIVEN_UP for word in (name, f"_{name}")}


def names_in(code: str) -> set[str]:
    """The identifiers of a module; what stands in strings, as the keys of files do, is no identifier."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def test_names_are_found_but_not_in_strings() -> None:
    assert names_in("bet = record['bets']  # a deed") == {"bet", "record"}


@pytest.mark.parametrize("root", ["app", "models", "tools"])
def test_no_name_that_was_given_up_comes_back(root: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name} is called {GIVEN_UP[name.removeprefix('_')]}"
        for path in (ROOT / root).rglob("*.py")
        for name in names_in(path.read_text(encoding="utf-8")) & PARTS
    }
    assert found == set()


def test_there_is_one_stage_of_each_kind() -> None:
    """Four classes were called Stage: of the guide, of lineage, of a training and of sampling."""
    files = (path.read_text(encoding="utf-8") for root in ("app", "models") for path in (ROOT / root).rglob("*.py"))
    assert not any(re.search(r"^class Stage\b", text, re.MULTILINE) for text in files)
