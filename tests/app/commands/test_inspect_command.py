"""terrarium inspect: the stages of one token, as the window shows them."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.library.library import Library
from tests.app.small_models import put_model
from tests.models.chat.test_chat_template import SMOLLM2

SETTINGS = ("--seed", "3", "--max-tokens", "8", "--temperature", "0.7", "--top-k", "20")


@pytest.fixture
def runs(library: Library, byte_tokenizer: Tokenizer) -> Library:
    form = ChatTemplateConfig(template=SMOLLM2)
    put_model(library, byte_tokenizer, "decoder-only", name="talker", form=form, context_length=300)
    for topology in ("decoder-only", "encoder-only", "encoder-decoder"):
        put_model(library, byte_tokenizer, topology)
    return library


@pytest.mark.parametrize("name", ["decoder-only", "encoder-decoder"])
def test_the_numbers_are_those_of_the_reply(runs: Library, capsys: pytest.CaptureFixture[str], name: str) -> None:
    words = [name, "--prompt", "The cat", *SETTINGS, "--json"]
    assert main(["generate", *words]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert main(["inspect", *words, "--token", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["token"]["id"] == reply["ids"][2] == found["draw"]["lands_on"]
    assert found["draw"]["how"] == "drawn"
    assert found["draw"]["n_left"] <= 20
    assert len(found["layers"]) == 2
    last = found["layers"][-1]
    assert last["probability"] == pytest.approx(found["token"]["probability"])
    parts = [part["site"].rpartition(".")[2] for part in last["parts"]]
    between = ["cross_attention"] if name == "encoder-decoder" else []
    assert parts == ["attention", *between, "feed_forward"]
    assert found["sentence"].endswith(".")
    assert main(["inspect", *words[:-1]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("would say" in line for line in lines)
    assert "draw" in lines[-1]


def test_a_model_that_can_chat_answers_a_message(runs: Library, capsys: pytest.CaptureFixture[str]) -> None:
    for more, is_chat in ((["--chat"], True), ([], False)):
        assert main(["inspect", "talker", "--prompt", "Hi", *SETTINGS, "--json", *more]) == 0
        text = "".join(json.loads(capsys.readouterr().out)["text"])
        assert ("user" in text) == is_chat


def test_a_mask_of_an_encoder(runs: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "encoder-only", "--prompt", "The [MASK] sat", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["draw"]["how"] == "masked"
    assert found["token"]["id"] == found["layers"][-1]["would_say"][0]["id"]
    assert main(["inspect", "encoder-only", "--prompt", "The cat sat"]) == 1
    assert "[MASK]" in capsys.readouterr().err


def test_a_token_that_is_not_there_is_refused(runs: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "decoder-only", "--prompt", "The cat", *SETTINGS, "--token", "99"]) == 2
    assert "counted from 1" in capsys.readouterr().err
