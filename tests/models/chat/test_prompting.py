"""Prompts of conversations: the source of each token, and what happens when the context is full."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken, Tokenizer

from terrarium.models.chat.own_template import Message, encode_messages
from terrarium.models.chat.prompting import PromptSettings, build_prompt, encode_untruncated, truncate_to_fit
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.tokenizers import MIN_VOCAB_SIZE, decode, train_tokenizer
from tests.models.chat.test_chat_template import LLAMA2, NAMED_TOKENS, SMOLLM2

SYSTEM = {"role": "system", "content": "Be kind."}
TURNS = [{"role": role, "content": f"{role} {i}"} for i in range(4) for role in ("user", "assistant")]
TURNS.append({"role": "user", "content": "last"})
OWN, PLAIN = ChatTemplateConfig(), PromptSettings()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = train_tokenizer((), "byte", MIN_VOCAB_SIZE)
    made.add_special_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>", "<s>", "</s>")])
    return made


def texts(
    tokenizer: Tokenizer, messages: list[Message], form: ChatTemplateConfig, prompting: PromptSettings = PLAIN
) -> list[str]:
    """What each message's tokens say: what the template says first, each message, what asks for the reply."""
    prompt = build_prompt(1000, tokenizer, messages, prompting, form)
    indices = range(-1, len(prompt.messages) + 1)
    return [decode(tokenizer, prompt.ids[prompt.sources == index].tolist()) for index in indices]


def test_the_native_format(tokenizer: Tokenizer) -> None:
    prompt = build_prompt(1000, tokenizer, [SYSTEM, *TURNS], PLAIN, OWN)
    assert prompt.ids.tolist() == encode_messages(tokenizer, [SYSTEM, *TURNS], add_generation_prompt=True)[0]
    assert texts(tokenizer, TURNS[-1:], OWN) == ["", "<|user|> last<|end|>", "<|assistant|>"]


def test_the_source_of_each_token(tokenizer: Tokenizer) -> None:
    said = texts(tokenizer, TURNS[:1], ChatTemplateConfig(template=SMOLLM2))
    assert said[0].startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert said[1:] == ["<|im_start|>user\nuser 0<|im_end|>\n", "<|im_start|>assistant\n"]
    said = texts(tokenizer, TURNS[:1], ChatTemplateConfig(template=SMOLLM2), PromptSettings(system="Be brief."))
    assert said[:2] == ["", "<|im_start|>system\nBe brief.<|im_end|>\n"]
    said = texts(tokenizer, TURNS[:3], ChatTemplateConfig(template=LLAMA2, named_tokens=NAMED_TOKENS))
    assert said[1:4] == ["<s>[INST] user 0 [/INST]", " assistant 0 </s>", "<s>[INST] user 1 [/INST]"]


def test_the_system_prompt_of_the_chat_replaces_another(tokenizer: Tokenizer) -> None:
    prompt = build_prompt(1000, tokenizer, [SYSTEM, *TURNS], PromptSettings(system="Be brief."), OWN)
    assert [message["content"] for message in prompt.messages][:2] == ["Be brief.", "user 0"]
    assert build_prompt(1000, tokenizer, TURNS, PromptSettings(system="  "), OWN).messages == tuple(TURNS)


def test_an_edited_template_is_used(tokenizer: Tokenizer) -> None:
    edited = PromptSettings(template="{% for m in messages %}{{ m.content }};{% endfor %}")
    prompt = build_prompt(1000, tokenizer, TURNS[:2], edited, ChatTemplateConfig(template=SMOLLM2))
    assert decode(tokenizer, prompt.ids.tolist()) == "user 0;assistant 0;"


@pytest.mark.parametrize("form", [OWN, ChatTemplateConfig(template=SMOLLM2)], ids=["own", "smollm2"])
@pytest.mark.parametrize("first", [[], [SYSTEM]])
def test_the_oldest_turns_are_left_out_first(
    tokenizer: Tokenizer, form: ChatTemplateConfig, first: list[Message]
) -> None:
    length = 100 if not form.template else 240
    prompt = build_prompt(length, tokenizer, first + TURNS, PLAIN, form)
    assert 0 < prompt.n_left_out < len(TURNS)
    assert prompt.n_left_out % 2 == 0
    assert len(prompt.ids) <= length * 3 // 4
    expected = encode_untruncated(length, tokenizer, first + TURNS[prompt.n_left_out :], PLAIN, form)
    assert prompt.ids.tolist() == expected.ids.tolist()
    one_more = encode_untruncated(length, tokenizer, first + TURNS[prompt.n_left_out - 2 :], PLAIN, form)
    assert len(one_more.ids) > length * 3 // 4
    continued = build_prompt(length, tokenizer, first + TURNS, PLAIN, form, n_prefix=length // 4)
    assert continued.n_left_out > prompt.n_left_out


def test_the_newest_message_is_always_kept(tokenizer: Tokenizer) -> None:
    prompt = truncate_to_fit(8, tokenizer, [SYSTEM, *TURNS], PLAIN, OWN)
    assert prompt.messages == (SYSTEM, TURNS[-1])
    assert prompt.n_left_out == len(TURNS) - 1


def test_stop_raises_and_leaves_nothing_out(tokenizer: Tokenizer) -> None:
    stop = PromptSettings(when_full="stop")
    assert build_prompt(1000, tokenizer, TURNS, stop, OWN).n_left_out == 0
    with pytest.raises(ValueError, match=r"The context is full: the conversation has \d+ of 100 tokens"):
        build_prompt(100, tokenizer, TURNS, stop, OWN)


def test_errors_are_reported(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="no message to reply to"):
        build_prompt(100, tokenizer, [], PromptSettings(system="Be kind."), OWN)
    with pytest.raises(ValueError, match=r"newest message is too long: .* 2,00\d tokens, but .* only 100"):
        build_prompt(100, tokenizer, [{"role": "user", "content": "x" * 2000}], PLAIN, OWN)
    with pytest.raises(ValueError, match=r"The context is full: the newest message and its reply have 1\d\d tokens"):
        build_prompt(100, tokenizer, TURNS, PLAIN, OWN, n_prefix=95)
    with pytest.raises(ValueError, match=r"system prompt is too long: .* 2,00\d tokens, but .* only 100"):
        build_prompt(100, tokenizer, TURNS, PromptSettings(system="x" * 2000), OWN)
    with pytest.raises(ValueError, match="Line 2 of the chat template fails"):
        build_prompt(100, tokenizer, TURNS, PromptSettings(template="\n{{ x.y }}"), OWN)
    with pytest.raises(ValueError, match="use one of slide, summarise, stop"):
        PromptSettings(when_full="explode")
    with pytest.raises(ValueError, match="A message needs a role"):
        build_prompt(100, tokenizer, [{"content": "x"}], PLAIN, OWN)
