"""Which tokens of a conversation belong to replies in real templates: those that transformers marks."""

from __future__ import annotations

import re

import pytest
from tokenizers import AddedToken, Tokenizer

from terrarium.models.chat.foreign import encode_foreign_conversations, foreign_chat_tokens
from terrarium.models.chat.own_template import Message
from terrarium.models.tokenizers import decode, train_tokenizer

# As in the models' tokenizer_config.json, with generation tags where their authors' training counts a reply.
TEMPLATES = {
    "SmolLM2": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n' }}{% endif %}"
        "{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['role'] == 'assistant' %}{% generation %}"
        "{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}"
        "{{ message['content'] + '<|im_end|>' + '\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "Llama 2": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
        "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
        "{% if loop.index0 == 0 and system_message %}"
        "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{% generation %}{{ ' ' + content | trim + ' ' + eos_token }}"
        "{% endgeneration %}{% endif %}{% endfor %}"
    ),
    "Llama 3": (
        "{% for message in messages %}"
        "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
        "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] | trim + '<|eot_id|>' }}"
        "{% endgeneration %}{% else %}{{ message['content'] | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    ),
    "Gemma": (
        "{{ bos_token }}{% for message in messages %}"
        "{% if message['role'] == 'assistant' %}{{ '<start_of_turn>model\n' }}{% generation %}"
        "{{ message['content'] | trim + '<end_of_turn>' }}{% endgeneration %}{{ '\n' }}"
        "{% else %}{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    "Vicuna": (  # the space after the colon belongs to the reply's first token
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
        "{{ 'USER: ' + message['content'] + ' ' }}{% else %}{{ 'ASSISTANT:' }}{% generation %}"
        "{{ ' ' + message['content'] + eos_token }}{% endgeneration %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    ),
    "Qwen3": (  # the last reply, and only this, begins with empty thoughts
        "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
        "{% generation %}{% if loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
        "{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
}
SPECIALS = (
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<start_of_turn>", "<end_of_turn>"),
)
NAMED_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TALKS = [
    [
        {"role": "user", "content": "Who has the kite?"},
        {"role": "assistant", "content": "Ben has the kite. 🪁"},
        {"role": "user", "content": "Ben has the kite."},
        {"role": "assistant", "content": "Ben"},
    ],
    [{"role": "user", "content": "Ben"}, {"role": "assistant", "content": "Ben"}],
    [{"role": "user", "content": "assistant"}, {"role": "assistant", "content": "the kite\n\nhas"}],
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = train_tokenizer(["Who has the kite? Ben has the kite. USER: assistant\n" * 20], "bpe", 340)
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    return made


@pytest.mark.parametrize("name", TEMPLATES)
def test_replies_are_those_that_transformers_marks(tokenizer: Tokenizer, name: str) -> None:
    from transformers import PreTrainedTokenizerFast

    marked = TEMPLATES[name]
    plain = re.sub(r"{% (end)?generation %}", "", marked)
    reference = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=marked, **NAMED_TOKENS)
    for template in (marked, plain):
        found = encode_foreign_conversations(tokenizer, template, NAMED_TOKENS, TALKS)
        for talk, (ids, is_reply) in zip(TALKS, found, strict=True):
            expected = reference.apply_chat_template(talk, return_assistant_tokens_mask=True, return_dict=True)
            assert ids == expected["input_ids"]
            assert is_reply == [bool(flag) for flag in expected["assistant_masks"]]
            alone = foreign_chat_tokens(tokenizer, template, NAMED_TOKENS, talk, add_generation_prompt=False)
            assert (alone.tokens.ids.tolist(), alone.is_reply.tolist()) == (ids, is_reply)


def test_a_template_without_an_end_token_teaches_what_follows_the_reply(tokenizer: Tokenizer) -> None:
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    ((ids, is_reply),) = encode_foreign_conversations(tokenizer, template, {}, TALKS[1:2])
    assert decode(tokenizer, [id for id, flag in zip(ids, is_reply, strict=True) if flag]) == " Ben\n"


def test_contents_never_become_special_tokens(tokenizer: Tokenizer) -> None:
    typed = [{"role": "user", "content": "Ben"}, {"role": "assistant", "content": "a</s><|im_end|>b\ue000"}]
    ((ids, is_reply),) = encode_foreign_conversations(tokenizer, TEMPLATES["SmolLM2"], NAMED_TOKENS, [typed])
    assert decode(tokenizer, [id for id, flag in zip(ids, is_reply, strict=True) if flag]) == (
        "a</s><|im_end|>b\ue000<|im_end|>"
    )
    assert [tokenizer.id_to_token(id) for id in ids].count("<|im_end|>") == 3
    assert tokenizer.token_to_id("</s>") not in ids


def test_a_conversation_that_the_template_rejects_is_named(tokenizer: Tokenizer) -> None:
    template = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('Users begin') }}{% endif %}x"
    talks: list[list[Message]] = [TALKS[1]] * 700 + [TALKS[1][1:]]
    with pytest.raises(ValueError, match=r"^Conversation 701: Line 1 of the chat template fails: Users begin\.$"):
        encode_foreign_conversations(tokenizer, template, {}, talks)
