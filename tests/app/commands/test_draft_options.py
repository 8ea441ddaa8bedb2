"""Speculative decoding on the command line: the same greedy text, what was accepted, and a sentence for a bad draft."""

from __future__ import annotations

import io
import json
import sys

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model
from tests.models.chat.test_chat_template import SMOLLM2

GREEDY = ("--temperature", "0", "--max-tokens", "12")


@pytest.fixture
def runs(library: Library, byte_tokenizer: Tokenizer) -> Library:
    form = ChatTemplateConfig(template=SMOLLM2)
    for name, more in (("large", {}), ("small", {"n_kv_head": 1})):
        put_model(library, byte_tokenizer, "decoder-only", name=name, form=form, context_length=300, **more)
    return library


def test_the_text_is_the_same(runs: Library, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "large", "--prompt", "The cat", *GREEDY]
    assert main(words) == 0
    plain = capsys.readouterr()
    assert main([*words, "--draft", "small"]) == 0
    drafted = capsys.readouterr()
    assert drafted.out == plain.out
    assert "drafted tokens accepted" in drafted.err
    assert "per pass of the model" in drafted.err
    assert "drafted" not in plain.err


def test_json_has_the_counts(runs: Library, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "large", "--prompt", "The cat", *GREEDY, "--json"]
    assert main([*words, "--draft", "small", "--draft-tokens", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_tokens"] == found["n_accepted"] + found["n_passes"]
    assert main(words) == 0
    assert "n_drafted" not in json.loads(capsys.readouterr().out)


def test_chat_says_what_was_accepted(
    runs: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for more in ([], ["--draft", "small"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\nAgain\n"))
        assert main(["chat", "large", *GREEDY, *more]) == 0
        told.append(capsys.readouterr())
    assert told[0].out == told[1].out
    assert told[1].err.count("accepted") == 2
    assert "tokens/s" in told[1].err


def test_a_bad_draft_is_refused_in_a_sentence(runs: Library, capsys: pytest.CaptureFixture[str]) -> None:
    put_model(runs, train_tokenizer(["some other words"] * 9, "bpe", 300), "decoder-only", name="stranger")
    put_model(runs, train_tokenizer([], "byte", 0), "encoder-only", name="encoder")
    words = ["generate", "large", "--prompt", "The cat", *GREEDY]
    for more, sentence, code in (
        (["--draft", "stranger"], "another tokenizer", 1),
        (["--draft", "encoder"], "not a decoder", 1),
        (["--draft", "large"], "the model itself", 2),
        (["--draft-tokens", "3"], "needs --draft", 2),
        (["--draft", "small", "--draft-tokens", "16"], "must be 1 to 15", 2),
        (["--draft", "small", "--beams", "2"], "leave out --draft", 2),
    ):
        assert main([*words, *more]) == code, more
        assert sentence in capsys.readouterr().err
    assert main(["generate", "encoder", "--prompt", "A [MASK]", "--draft", "small"]) == 1
    assert "Only a decoder" in capsys.readouterr().err
    assert main(["generate", "small", "--prompt", "The cat", *GREEDY, "--draft", "large"]) == 0
    assert "will not be faster" in capsys.readouterr().err


def test_the_bench_compares_with_the_model_alone(runs: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "draft", "large", "--draft", "small", "--draft-tokens", "3", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [each["name"].split(",")[0] for each in results] == ["draft", "accepted", "draft", "accepted"]
    assert all(each["ratio"] > 0 for each in results if each["name"].startswith("draft"))
    assert all(0 <= each["ours"] <= 100 for each in results if each["name"].startswith("accepted"))
    for words in (["bench", "draft", "large"], ["bench", "decode", "--draft", "small"]):
        assert main(words) == 2
        assert "needs --draft" in capsys.readouterr().err
