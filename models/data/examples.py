"""Rows of a corpus as token ids, each marked as reply or not: conversations, pairs of texts, and plain texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from terrarium.models.chat.foreign import encode_foreign_conversations
from terrarium.models.chat.own_template import Message, encode_conversations
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora.corpus import Example
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import encode_text
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder
from terrarium.models.tokenizers.special_tokens import end_id, text_marks

EncodedExample = tuple[list[int], list[bool]]
"""The ids of an example, with its end token, and whether each belongs to a reply (always True for plain text).

In a pair of texts for an encoder-decoder, the target is the reply.
"""


Integers = npt.NDArray[Any]


class PackedExamples(NamedTuple):
    """Concatenated examples: ids (n,), starts (examples + 1,), reply (n,) uint8; and the bytes of their text."""

    ids: Integers
    starts: Integers
    reply: Integers
    n_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ExampleForm:
    """How a model reads examples.

    template: the model's own chat template; without one, the native format is used. model: the model's design; None
    means a decoder.
    """

    template: ChatTemplateConfig = field(default_factory=ChatTemplateConfig)
    model: ModelConfig | None = None

    @property
    def pairs_apart(self) -> bool:
        """Whether a source and its target are encoded as separate texts instead of a user's message and its reply."""
        return self.model is not None and self.model.topology == "encoder-decoder"


def encode_examples(
    examples: Sequence[Example], encoder: ManyTextsEncoder, form: ExampleForm, numbers: Sequence[int] = ()
) -> tuple[list[EncodedExample], int]:
    """Encode examples, plain texts first; returns them with the size of their text in bytes.

    Args:
        numbers: the numbers of the examples in error messages; by default counted from 1.

    Raises:
        ValueError: if the tokenizer has no end token, or a conversation does not suit the chat template.
    """
    plain = encode_plain_texts([example for example in examples if "text" in example], encoder, form)
    ids = [plain.ids[start:end].tolist() for start, end in pairwise(plain.starts.tolist())]
    others, n_bytes = _encode_others(
        {n: example for n, example in zip(numbers or count(1), examples, strict=False) if "text" not in example},
        encoder,
        form,
    )
    return [*((each, [True] * len(each)) for each in ids), *others], plain.n_bytes + n_bytes


def encode_plain_texts(examples: Sequence[Example], encoder: ManyTextsEncoder, form: ExampleForm) -> PackedExamples:
    """Encode examples that are plain texts. Raises ValueError as `encode_examples`."""
    texts = [" " + example["text"].strip() for example in examples]
    ids, starts = encoder.encode(texts, _end_of(encoder.tokenizer, form))
    n_bytes = sum(len(example["text"].encode()) for example in examples)
    return PackedExamples(ids, starts, np.ones(len(ids), np.uint8), n_bytes)


def encode_own_chats(examples: Sequence[Example], encoder: ManyTextsEncoder) -> PackedExamples:
    """Encode examples that are conversations, in the native format. Raises ValueError as `encode_examples`."""
    ids, reply, starts = encode_conversations(encoder, [example["messages"] for example in examples])
    n_bytes = sum(len(message["content"].encode()) for example in examples for message in example["messages"])
    return PackedExamples(ids, starts, reply, n_bytes)


def pack_examples(examples: Sequence[EncodedExample], n_bytes: int = 0) -> PackedExamples:
    """Concatenate examples into arrays, with ids as int64."""
    return PackedExamples(
        ids=np.array([id for ids, _ in examples for id in ids], dtype=np.int64),
        starts=np.array([0, *accumulate(len(ids) for ids, _ in examples)], dtype=np.int64),
        reply=np.array([flag for _, reply in examples for flag in reply], dtype=np.uint8),
        n_bytes=n_bytes,
    )


def _encode_others(
    examples: Mapping[int, Example], encoder: ManyTextsEncoder, form: ExampleForm
) -> tuple[list[EncodedExample], int]:
    """Encode conversations and pairs, given by their numbers, as `encode_examples`."""
    tokenizer, end = encoder.tokenizer, _end_of(encoder.tokenizer, form)
    pairs = {n: (example["source"], example["target"]) for n, example in examples.items() if "target" in example}
    chats: dict[int, Sequence[Message]]
    chats = {n: example["messages"] for n, example in examples.items() if "messages" in example}
    encoded = list[EncodedExample]()
    if form.pairs_apart:
        encoded += _encode_pairs(encoder, [*pairs.values()], end)
    else:
        chats |= {n: pair_as_messages(source, target) for n, (source, target) in pairs.items()}
    talks, template = [*chats.values()], form.template
    if template.template:
        encoded += encode_foreign_conversations(
            tokenizer, template.template, template.named_tokens, talks, numbers=[*chats]
        )
    else:
        ids, reply, starts = encode_conversations(encoder, talks)
        spans = pairwise(starts.tolist())
        encoded += [(ids[start:end].tolist(), reply[start:end].astype(bool).tolist()) for start, end in spans]
    texts = [text for pair in pairs.values() for text in pair]
    texts += [message["content"] for example in examples.values() for message in example.get("messages", ())]
    return encoded, sum(len(text.encode()) for text in texts)


def _end_of(tokenizer: Tokenizer, form: ExampleForm) -> int:
    end = end_id(tokenizer, form.model)
    if end is None:
        raise ValueError("This tokenizer has no end token, so it cannot separate examples: use another tokenizer.")
    return end


def pair_as_messages(source: str, target: str) -> list[Message]:
    """Return a source and its target as a decoder reads them: a user's message and the reply."""
    return [{"role": "user", "content": source}, {"role": "assistant", "content": target}]


def encode_source(tokenizer: Tokenizer, source: str, end: int) -> list[int]:
    """Encode an encoder-decoder's source, with its end token, as models.inference.prompts encodes plain text."""
    before, after = text_marks(tokenizer)
    return [*before, *encode_text(tokenizer, source), *(after or [end])]


def _encode_pairs(encoder: ManyTextsEncoder, pairs: Sequence[tuple[str, str]], end: int) -> list[EncodedExample]:
    """Encode pairs as a batch: each source as by `encode_source`, each target with the end token."""
    before, after = text_marks(encoder.tokenizer)
    ids, starts = encoder.encode([text for pair in pairs for text in pair])
    texts = [ids[start:stop].tolist() for start, stop in pairwise(starts.tolist())]
    encoded = list[EncodedExample]()
    for source, target in zip(texts[::2], texts[1::2], strict=True):
        read, written = [*before, *source, *(after or [end])], [*target, end]
        encoded.append(([*read, *written], [False] * len(read) + [True] * len(written)))
    return encoded


def fit_source(ids: list[int], length: int) -> list[int]:
    """Truncate a source to `length` tokens, keeping its last token."""
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def fit_pair(example: EncodedExample, length: int) -> EncodedExample:
    """Truncate a pair's source and target to `length` tokens each: a source keeps its end token, a target loses it."""
    ids, is_target = example
    n_source = is_target.index(True)
    source, target = fit_source(ids[:n_source], length), ids[n_source:][:length]
    return [*source, *target], [False] * len(source) + [True] * len(target)
