"""Rows of a corpus as token ids, each with what it counts as: conversations, pairs of texts, and plain texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from models.chat.foreign import encode_foreign_conversations
from models.chat.own_template import Message, encode_conversations
from models.chat.template_config import ChatTemplateConfig
from models.data.corpus import Example
from models.settings.model_config import ModelConfig
from models.tokenizers import encode_text, encode_texts
from models.tokenizers.special_tokens import end_id, text_marks

EncodedExample = tuple[list[int], list[bool]]
"""The ids of an example, with its end token, and whether each belongs to a reply (always True for plain text).

Of a pair of texts for an encoder-decoder, the target is the reply.
"""


@dataclass(frozen=True, kw_only=True)
class ExampleForm:
    """How a model reads examples.

    template: the chat template that it came with; without one, the native format is used. model: its design; None for
    that of a decoder.
    """

    template: ChatTemplateConfig = field(default_factory=ChatTemplateConfig)
    model: ModelConfig | None = None

    @property
    def pairs_apart(self) -> bool:
        """Whether a source and its target are separate texts, and not what a user says and the reply."""
        return self.model is not None and self.model.topology == "encoder-decoder"


def encode_examples(
    examples: Sequence[Example], tokenizer: Tokenizer, form: ExampleForm
) -> tuple[list[EncodedExample], int]:
    """The examples, plain texts first, and how many bytes of text they have.

    Raises:
        ValueError: where the tokenizer has no end token, or a conversation does not suit the chat template.
    """
    end = end_id(tokenizer, form.model)
    if end is None:
        raise ValueError("This tokenizer has no end token, so it cannot separate examples: use another tokenizer.")
    plain = [example["text"] for example in examples if "text" in example]
    pairs = [(example["source"], example["target"]) for example in examples if "target" in example]
    chats: list[Sequence[Message]] = [example["messages"] for example in examples if "messages" in example]
    encoded: list[EncodedExample] = [
        ([*ids, end], [True] * (len(ids) + 1))
        for ids in encode_texts(tokenizer, [" " + text.strip() for text in plain])
    ]
    if form.pairs_apart:
        encoded += [_encode_pair(tokenizer, source, target, end) for source, target in pairs]
    else:
        chats += [pair_as_messages(source, target) for source, target in pairs]
    if form.template.template:
        encoded += encode_foreign_conversations(tokenizer, form.template.template, form.template.named_tokens, chats)
    else:
        encoded += encode_conversations(tokenizer, chats)
    texts = [*plain, *(text for pair in pairs for text in pair)]
    texts += [message["content"] for example in examples for message in example.get("messages", ())]
    return encoded, sum(len(text.encode()) for text in texts)


def pair_as_messages(source: str, target: str) -> list[Message]:
    """How a decoder reads a source and its target: as what a user says, and the reply."""
    return [{"role": "user", "content": source}, {"role": "assistant", "content": target}]


def encode_source(tokenizer: Tokenizer, source: str, end: int) -> list[int]:
    """The ids of an encoder-decoder's source, with its end token: those of models.inference.prompts for plain text."""
    before, after = text_marks(tokenizer)
    return [*before, *encode_text(tokenizer, source), *(after or [end])]


def _encode_pair(tokenizer: Tokenizer, source: str, target: str, end: int) -> EncodedExample:
    read, written = encode_source(tokenizer, source, end), [*encode_text(tokenizer, target), end]
    return [*read, *written], [False] * len(read) + [True] * len(written)


def fit_pair(example: EncodedExample, length: int) -> EncodedExample:
    """A pair, its source and its target cut to `length` tokens: a source keeps its end, a target loses it."""
    ids, is_target = example
    n_source = is_target.index(True)
    source, target = ids[:n_source], ids[n_source:]
    if n_source > length:
        source = [*source[: length - 1], source[-1]]
    target = target[:length]
    return [*source, *target], [False] * len(source) + [True] * len(target)
