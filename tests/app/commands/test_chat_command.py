"""`terrarium chat`: by the model's own template or another, and what it says when the context is full."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer

from terrarium.app.cli import main
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model
from tests.models.chat.test_chat_template import SMOLLM2

Chat = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = train_tokenizer((), "byte", 0)
    made.add_special_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>")])
    return made


@pytest.fixture
def chat(
    library: Library, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Chat:
    put_model(library, tokenizer, "decoder-only", form=ChatTemplateConfig(template=SMOLLM2), context_length=300)

    def talk(said: str, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        code = main(["chat", "decoder-only", "--max-tokens", "3", "--temperature", "0", *options])
        told = capsys.readouterr()
        return code, told.out, told.err

    return talk


def shown(out: str) -> str:
    """The tokens that `/tokens` has printed, of bytes each, as one text."""
    return "".join(line.split(maxsplit=1)[1] for line in out.splitlines() if line[:7].strip().isdigit())


def test_the_models_own_template(chat: Chat) -> None:
    code, out, _ = chat("Hi\n/tokens\n")
    assert code == 0
    text = shown(out)
    assert text.startswith("⟨im_start⟩system⏎You·are·a·helpful")
    assert text.endswith("⟨im_start⟩user⏎Hi⟨im_end⟩⏎⟨im_start⟩assistant⏎")
    _, out, _ = chat("Hi\n/tokens\n", "--system", "Be kind.")
    assert shown(out).startswith("⟨im_start⟩system⏎Be·kind.⟨im_end⟩⏎⟨im_start⟩user")


def test_before_the_first_reply_no_tokens_were_read(chat: Chat) -> None:
    assert chat("/tokens\n")[:2] == (0, "")


def test_another_template(chat: Chat, tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}")
    code, out, _ = chat("Hi\n/tokens\n", "--template", str(file))
    assert (code, shown(out)) == (0, "user:Hi;")
    file.write_text("\n{{ no.such }}")
    code, _, err = chat("Hi\n", "--template", str(file))
    assert (code, "Line 2 of the chat template fails: 'no' is undefined." in err) == (1, True)
    assert chat("Hi\n", "--template", str(tmp_path / "missing"))[0] == 2


def test_a_full_context(chat: Chat) -> None:
    long = "x" * 60 + "\n"
    code, _, err = chat(long * 3)
    assert code == 0
    assert "(The 2 oldest messages no longer fit the model's context.)" in err
    code, _, err = chat(long * 3, "--when-full", "stop")
    assert (code, "The context is full" in err) == (1, True)
    code, out, err = chat(long * 3, "--when-full", "summarise", "--json")
    assert code == 0
    assert "(Summarising the oldest" in err
    assert len(json.loads(out)["messages"]) == 6


def put_judge(library: Library, tokenizer: Tokenizer, context_length: int) -> None:
    """A run called “judge” with a reward model of random weights."""
    put_model(
        library, tokenizer, "decoder-only", context_length=context_length, name="judge", head="sequence", n_label=1
    )


def test_the_best_of_several_replies_is_shown(
    library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train_tokenizer([""], "byte", 0)
    put_model(library, plain, "decoder-only", context_length=300)
    put_judge(library, plain, 300)
    options = ["--best-of", "4", "--reward-model", "judge", "--max-tokens", "3", "--device", "cpu"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n"))
    assert main(["chat", "decoder-only", *options, "--json"]) == 0
    told = capsys.readouterr()
    assert [message["role"] for message in json.loads(told.out)["messages"]] == ["user", "assistant"]
    assert "The best of 4 replies" in told.err


def test_a_reward_model_that_cannot_score_the_replies(chat: Chat, library: Library, tokenizer: Tokenizer) -> None:
    put_judge(library, tokenizer, 64)
    options = ("--best-of", "4", "--reward-model", "judge", "--device", "cpu")
    code, _, err = chat("Hi\n", *options)
    assert code == 1
    assert "reads 64 tokens" in err
    code, _, err = chat("Hi\n", "--best-of", "4", "--reward-model", "decoder-only", "--device", "cpu")
    assert code == 1
    assert "is no reward model" in err


def test_the_best_of_several_is_drawn_from_decoders_only(
    library: Library, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    put_model(library, tokenizer, "encoder-decoder", context_length=64)
    put_judge(library, tokenizer, 64)
    assert main(["chat", "encoder-decoder", "--best-of", "2", "--reward-model", "judge", "--device", "cpu"]) == 1
    assert "drawn from decoders only" in capsys.readouterr().err


def test_best_of_needs_what_scores(chat: Chat) -> None:
    for options in (("--best-of", "4"), ("--reward-model", "judge"), ("--best-of", "0")):
        code, _, err = chat("Hi\n", *options)
        assert code == 2
        assert "give both" in err
