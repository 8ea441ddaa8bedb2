"""The tokens of a conversation equal those of chat and training."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from terrarium.models.chat.own_template import encode_messages
from terrarium.models.chat.prompting import PromptSettings, truncate_to_fit
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.chat.tokens import chat_tokens
from terrarium.models.tokenizers import train_tokenizer

CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello! <|end|>"},
    {"role": "assistant", "content": "Hi, 👋"},
    {"role": "user", "content": "Who?"},
]


@pytest.fixture(scope="module", params=["byte", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_tokenizer(["Be kind. Hello! Who? " * 9], request.param, 280)


def test_ids_are_those_that_chat_and_training_use(tokenizer: Tokenizer) -> None:
    asked = chat_tokens(tokenizer, CHAT, 1000)
    assert asked.tokens.ids.tolist() == encode_messages(tokenizer, CHAT, add_generation_prompt=True)[0]
    assert asked.counts[-1] == 1
    assert sum(asked.counts) == len(asked.tokens)
    trained = chat_tokens(tokenizer, CHAT, 1000, add_generation_prompt=False)
    ids, is_reply = encode_messages(tokenizer, CHAT)
    assert (trained.tokens.ids.tolist(), trained.is_reply.tolist()) == (ids, is_reply)
    assert trained.counts[-1] == 0
    for number, message in enumerate(CHAT):
        data = b"".join(piece.bytes for piece, of in zip(trained.tokens, trained.messages, strict=True) if of == number)
        assert data.decode() == f"<|{message['role']}|> {message['content']}<|end|>"


def test_left_out_messages_are_not_in_the_prompt(tokenizer: Tokenizer) -> None:
    for context_length in (8, 40, 60, 1000):
        chat = chat_tokens(tokenizer, CHAT, context_length)
        prompt = truncate_to_fit(context_length, tokenizer, CHAT, PromptSettings(), ChatTemplateConfig())
        assert len(chat.left_out) == prompt.n_left_out
        assert chat.tokens.ids[chat.is_given].tolist() == prompt.ids.tolist()


def test_empty_conversations_and_missing_role_tokens(tokenizer: Tokenizer) -> None:
    assert chat_tokens(tokenizer, [], 10).counts == (1,)
    assert len(chat_tokens(tokenizer, [], 10, add_generation_prompt=False).tokens) == 0
    with pytest.raises(ValueError, match="cannot chat"):
        chat_tokens(Tokenizer(BPE()), CHAT, 10)
