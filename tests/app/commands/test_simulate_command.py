"""`terrarium data simulate`: pairs that the simulated annotator judged, with the settings that the window has."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.models.library.library import Library
from terrarium.models.preferences.store import SIMULATED, Pair, PreferenceSet
from tests.app.small_models import put_model


@pytest.fixture
def talker(library: Library, byte_tokenizer: Tokenizer) -> Library:
    put_model(library, byte_tokenizer, "decoder-only", name="talker", context_length=400)
    return library


def pairs_of(library: Library, name: str) -> list[Pair]:
    return list(PreferenceSet(library, name).read().pairs)


def test_the_pairs_are_added_and_marked(talker: Library, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "simulate", "mine", "talker", "--n", "2", "--seed", "3", "--device", "cpu"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"set": "mine", "pairs": 2}
    first = pairs_of(talker, "mine")
    assert [pair.by for pair in first] == [SIMULATED] * 2
    assert {pair.a.model for pair in first} == {"talker"}
    assert main(words) == 0
    assert capsys.readouterr().out == "2 pairs judged and added to 'mine'.\n"
    assert len(pairs_of(talker, "mine")) == 4


def test_its_settings_decide_the_choice(talker: Library) -> None:
    """With no errors, one that likes whatever is at the left chooses the left, and one that dislikes it the right."""
    words = ["data", "simulate", "--n", "4", "--noise", "0", "--device", "cpu"]
    for name, bias in (("left", "10"), ("right", "-10")):
        assert main([*words, name, "talker", f"--first-bias={bias}"]) == 0
        pairs = pairs_of(talker, name)
        assert pairs
        assert all((pair.choice == pair.left) is (name == "left") for pair in pairs)


def test_what_cannot_be_is_said(talker: Library, byte_tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]) -> None:
    put_model(talker, byte_tokenizer, "encoder-only", name="reader")
    for words, code, sentence in (
        (["mine", "talker", "--noise", "0.9"], 2, "noise is 0.9, but must lie between 0.0 and 0.5"),
        (["mine", "talker", "--n", "0"], 2, "--n must be at least 1"),
        (["mine", "nobody"], 1, "no run called 'nobody'"),
        (["mine", "reader"], 1, "reader does not reply to messages"),
    ):
        assert main(["data", "simulate", *words]) == code
        assert sentence in capsys.readouterr().err
