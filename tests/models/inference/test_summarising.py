"""Where the context is full, the model's own summary replaces the oldest messages, unless it is not a plausible one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.chat.own_template import Message
from terrarium.models.chat.prompting import Prompt, PromptSettings
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.events import Notice, Phase, ReplyFinished, TokenMade
from terrarium.models.inference import summarising
from terrarium.models.inference.summarising import SummaryCache, prompt_events
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import MIN_VOCAB_SIZE, decode, train_tokenizer
from tests.models.interop.support import drive

SUMMARISE = PromptSettings(when_full="summarise")
SYSTEM = {"role": "system", "content": "Be kind."}


class Writer:
    """Stands in for `generate`: writes what the test wants, and keeps what it was asked."""

    def __init__(self) -> None:
        self.replies: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.tokenizer: Tokenizer | None = None

    def __call__(
        self, model: AnyModel, tokenizer: Tokenizer, ids: Sequence[int], *_: Any, **__: Any
    ) -> Iterator[TokenMade | ReplyFinished]:
        self.asked.append(decode(tokenizer, ids))
        text, reason = self.replies.pop(0)
        for word in text.split(" "):
            yield TokenMade(id=9, text=word + " ", probability=1.0, entropy=0.0, rank=1)
        yield ReplyFinished(reason=reason, n_prompt=len(ids), n_tokens=1, prefill_s=0.0, tokens_per_s=0.0)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    writer = Writer()
    monkeypatch.setattr(summarising, "generate", writer)
    return writer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer((), "byte", MIN_VOCAB_SIZE)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> AnyModel:
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size()
    return build_model(ModelConfig(vocab_size=size, context_length=600, n_layer=1, n_head=2, d_model=16))


def talk(n: int) -> list[Message]:
    """n turns of 50 characters each, and a question."""
    roles = ("user", "assistant")
    said = [{"role": roles[i % 2], "content": f"message {i} ".ljust(50, "x")} for i in range(n)]
    return [*said, {"role": "user", "content": "And now?"}]


def ask(
    model: AnyModel, tokenizer: Tokenizer, messages: list[Message], summaries: SummaryCache
) -> tuple[list[Any], Prompt]:
    return drive(prompt_events(model, tokenizer, messages, SUMMARISE, ChatTemplateConfig(), summaries))


def test_conversations_that_fit_are_not_summarised(model: AnyModel, tokenizer: Tokenizer, writer: Writer) -> None:
    events, prompt = ask(model, tokenizer, talk(4), SummaryCache())
    assert (events, prompt.n_left_out, prompt.summary) == ([], 0, "")


def test_a_summary_replaces_the_oldest_messages_and_is_reused(
    model: AnyModel, tokenizer: Tokenizer, writer: Writer
) -> None:
    summaries = SummaryCache()
    writer.replies = [("They talked.", "stop"), ("They talked about x.", "stop")]  # in two parts, being long
    events, prompt = ask(model, tokenizer, [SYSTEM, *talk(10)], summaries)
    n = prompt.n_left_out
    assert 0 < n < 10
    assert events[0] == Phase(name=f"Summarising the oldest {n} messages")
    assert prompt.summary == "They talked about x."
    assert prompt.messages[0] == SYSTEM
    first = prompt.messages[1]["content"]
    assert first.startswith("(Summary of our conversation before this: They talked about x.)\n\nmessage")
    assert "message 0" in writer.asked[0]
    assert f"message {n} " not in writer.asked[1]
    assert len(prompt.ids) <= 450
    # One turn more: the same summary, no new one.
    events, prompt = ask(model, tokenizer, [SYSTEM, *talk(12)], summaries)
    assert (events, prompt.n_left_out, prompt.summary) == ([], n, "They talked about x.")
    # Until it is full again: the summary and what came after it become one.
    writer.replies = [("More was said.", "stop")] * 2
    events, prompt = ask(model, tokenizer, [SYSTEM, *talk(18)], summaries)
    assert prompt.n_left_out > n
    assert prompt.summary == "More was said."
    assert "Summary of what was said before: They talked about x." in writer.asked[2]
    assert "message 0" not in writer.asked[2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "stop"), ("no end of it", "length"), ("a b c " * 20 + "d.", "stop"), ("y" * 2000 + ".", "stop")],
    ids=["nothing", "no sentence", "in circles", "longer"],
)
def test_implausible_summaries_are_not_used(
    model: AnyModel, tokenizer: Tokenizer, writer: Writer, text: str, reason: str
) -> None:
    summaries = SummaryCache()
    writer.replies = [(text, reason)]
    events, prompt = ask(model, tokenizer, talk(10), summaries)
    assert isinstance(events[-1], Notice)
    assert "oldest messages are left out" in events[-1].sentence
    assert prompt.summary == ""
    assert prompt.n_left_out > 0
    assert prompt.messages[0]["content"].startswith("message")
    # It is not tried again at each message, but said.
    events, _ = ask(model, tokenizer, talk(12), summaries)
    assert [type(event) for event in events] == [Notice]


def test_an_unfinished_summary_keeps_only_whole_sentences(
    model: AnyModel, tokenizer: Tokenizer, writer: Writer
) -> None:
    writer.replies = [("One sentence. Another that", "length")]
    _, prompt = ask(model, tokenizer, talk(10), SummaryCache())
    assert prompt.summary == "One sentence."


def test_long_messages_are_summarised_in_parts(model: AnyModel, tokenizer: Tokenizer, writer: Writer) -> None:
    long = [{"role": role, "content": f"{role} " + "z" * 700} for role in ("user", "assistant")]
    writer.replies = [("Zs.", "stop"), ("Many zs.", "stop")]
    _, prompt = ask(model, tokenizer, [*long, {"role": "user", "content": "Short."}], SummaryCache())
    assert prompt.summary == "Many zs."
    assert "Summary of what was said before: Zs." in writer.asked[1]


def test_the_model_itself_is_asked(model: AnyModel, tokenizer: Tokenizer) -> None:
    events, prompt = ask(model, tokenizer, talk(10), SummaryCache())
    assert isinstance(events[0], Phase)
    assert len(prompt.ids) <= 450


def test_a_newest_message_that_is_too_long(model: AnyModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="newest message is too long"):
        ask(model, tokenizer, [{"role": "user", "content": "x" * 900}], SummaryCache())
