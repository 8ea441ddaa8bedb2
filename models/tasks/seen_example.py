"""A dataset row as a model reads it: its tokens, which of them are predicted, its labels. No torch import."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.chat.template_config import ChatTemplateConfig, template_to_teach
from terrarium.models.data.examples import ExampleForm, encode_examples
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.row_reader import Item, RowReader
from terrarium.models.tasks.rows import LABEL_TASKS, row_labels
from terrarium.models.tokenizers.codec import Piece, pieces_of
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder
from terrarium.models.tokenizers.special_tokens import mask_id

MAX_TOKENS = 600
"""The maximum tokens shown of each text, about a screenful."""

_MAX_CONTEXT = 1 << 20
"""The context length is unknown because the model is not chosen yet: nothing is truncated."""


@dataclass(frozen=True, kw_only=True)
class TokenRow:
    """A row of tokens; `predicted`, `hidden` and `changed` (replaced by another one) are positions in `pieces`."""

    pieces: tuple[Piece, ...]
    predicted: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    n_left_out: int = 0
    """How many more tokens follow that are not shown."""


@dataclass(frozen=True, kw_only=True)
class SeenText:
    """One text that the model reads or writes."""

    title: str
    tokens: TokenRow


@dataclass(frozen=True, kw_only=True)
class SeenExample:
    """A row as a model reads it. what_counts: what is learned from it, in a sentence. answers: its labels."""

    texts: tuple[SeenText, ...]
    what_counts: str
    answers: tuple[str, ...] = ()


def see_example(
    task: str,
    row: Mapping[str, Any],
    tokenizer: Tokenizer,
    labels: Sequence[str] = (),
    template: ChatTemplateConfig | None = None,
) -> SeenExample:
    """Encode a row in the form of its task (models.settings.tasks) as a model of `tokenizer` reads it in training.

    The topology is derived from the tokenizer: a mask token means an encoder. A source with a target is read by an
    encoder-decoder.

    Args:
        labels: in the order of the model's outputs, as far as known.
        template: the model's chat template; without one, the template that a model of this tokenizer is taught.

    Raises:
        ValueError: if the tokenizer lacks a token that the task needs.
    """
    if task in LABEL_TASKS:
        return _labelled(task, row, tokenizer, labels)
    topology = "encoder-decoder" if task == "text-to-text" else "decoder-only"
    config = ModelConfig(topology=topology, context_length=_MAX_CONTEXT)
    form = ExampleForm(template=template_to_teach(template or ChatTemplateConfig(), config, tokenizer), model=config)
    if task == "preference":
        return _compared(row, tokenizer, form)
    if task == "unpaired":
        return _rated(row, tokenizer, form)
    [(ids, counts)], _ = encode_examples([dict(row)], ManyTextsEncoder(tokenizer), form)
    predicted = {i for i, each in enumerate(counts) if each}
    if task == "language":
        return SeenExample(
            texts=(SeenText(title="The text", tokens=token_row(tokenizer, ids, predicted=predicted - {0})),),
            what_counts="Each token but the first is predicted from those before it.",
        )
    if task == "chat":
        return SeenExample(
            texts=(SeenText(title="The conversation", tokens=token_row(tokenizer, ids, predicted=predicted)),),
            what_counts=f"Replies and their end tokens count: {len(predicted):,} of {len(ids):,} tokens. The rest is "
            "only read.",
        )
    if task == "prompts":
        return SeenExample(
            texts=(SeenText(title="The prompt", tokens=token_row(tokenizer, ids)),),
            what_counts="The model draws replies to it, and learns from what each of them earns.",
        )
    source, target = ids[: -len(predicted)], ids[-len(predicted) :]
    return SeenExample(
        texts=(
            SeenText(title="Reads", tokens=token_row(tokenizer, source)),
            SeenText(title="Writes", tokens=token_row(tokenizer, target, predicted=range(len(target)))),
        ),
        what_counts=f"The {len(target):,} tokens that it writes count, its end included. The {len(source):,} before "
        "are only read.",
    )


def _rated(row: Mapping[str, Any], tokenizer: Tokenizer, form: ExampleForm) -> SeenExample:
    what = "good" if row["label"] else "bad"
    return SeenExample(
        texts=_replies({f"A {what} reply": row["completion"]}, row, tokenizer, form),
        what_counts=f"The reply with its end token: it was called {what}. The prompt is only read.",
    )


def _compared(row: Mapping[str, Any], tokenizer: Tokenizer, form: ExampleForm) -> SeenExample:
    is_tie = row.get("choice") == "tie"
    titles = ("One reply", "The other") if is_tie else ("The better reply", "The worse reply")
    replies = dict(zip(titles, (row["chosen"], row["rejected"]), strict=True))
    what = "neither is better" if is_tie else "the first one is better"
    return SeenExample(
        texts=_replies(replies, row, tokenizer, form),
        what_counts=f"Both replies to one prompt, each with its end token: {what}. The prompt is only read.",
    )


def _replies(
    replies: Mapping[str, str], row: Mapping[str, Any], tokenizer: Tokenizer, form: ExampleForm
) -> tuple[SeenText, ...]:
    """Return replies (title → reply) to a row's prompt as texts, in which only the reply's own tokens count."""
    sides = [{"messages": [*row["messages"], {"role": "assistant", "content": reply}]} for reply in replies.values()]
    read, _ = encode_examples(sides, ManyTextsEncoder(tokenizer), form)
    return tuple(
        SeenText(title=title, tokens=token_row(tokenizer, ids, predicted=_last_counted(counts)))
        for title, (ids, counts) in zip(replies, read, strict=True)
    )


def _last_counted(counts: Sequence[bool]) -> range:
    """Return the positions of the last reply.

    All replies of a conversation count, but a preference is about the last one. A template may continue after it,
    with a line break.
    """
    end = max((i for i, each in enumerate(counts) if each), default=-1) + 1
    return range(max((i for i, each in enumerate(counts[:end]) if not each), default=-1) + 1, end)


def _labelled(task: str, row: Mapping[str, Any], tokenizer: Tokenizer, labels: Sequence[str]) -> SeenExample:
    topology = "decoder-only" if mask_id(tokenizer) is None else "encoder-only"
    config = ModelConfig(topology=topology, context_length=_MAX_CONTEXT)
    in_row = row_labels(task, row) if TASKS[task].label_column else ()
    reader = RowReader(config, tokenizer, task, tuple(dict.fromkeys((*labels, *in_row))))
    (item,) = reader.items([row])
    counted = answer_tokens(task, item)
    if task == "tagging":
        what_counts = (
            f"The first token of each word gets the word's tag: {len(counted):,} of {len(item.ids):,} tokens count."
        )
        tags = zip(row["words"], row["tags"], strict=True)
        answers = [f"{word}: {tag}" for word, tag in tags if tag != "O"] or ["no word with a tag but O"]
    elif task == "span":
        what = "its first and its last token count" if counted else "it has no answer, which counts too"
        what_counts = f"The model points at the answer: {what}."
        answers = [f"“{answer['text']}”" for answer in row["answers"][:1]] or ["no answer"]
    elif task == "regression":
        what_counts = "The whole text gives one number; how far it is from the score counts."
        answers = item_labels(reader, item)
    else:
        each = "each counts" if task == "multi-label" else "that of the right one counts"
        what_counts = f"The whole text gives a probability for each label, and {each}."
        answers = [
            f"{label} (output {labels.index(label) + 1} of {len(labels)})" if label in labels else label
            for label in item_labels(reader, item)
        ]
    tokens = token_row(tokenizer, item.ids, predicted=counted)
    return SeenExample(texts=(SeenText(title="Reads", tokens=tokens),), what_counts=what_counts, answers=tuple(answers))


def answer_tokens(task: str, item: Item) -> set[int]:
    """Return the positions of an item's tokens that carry an answer: the first tokens of words, or all of a span."""
    if task == "tagging":
        return {position for position in item.first_tokens if position >= 0}
    if task == "span" and item.target[1]:
        return set(range(item.target[0], item.target[1] + 1))
    return set()


def item_labels(reader: RowReader, item: Item) -> list[str]:
    """Return the labels of an item (not of a span), its score, or the tags of its words that are not cut off."""
    if reader.task == "regression":
        return [f"{item.target:g}"]
    if reader.task == "tagging":
        return [reader.labels[item.target[position]] for position in sorted(answer_tokens("tagging", item))]
    return [reader.labels[i] for i in (item.target if reader.task == "multi-label" else [item.target])]


def token_row(
    tokenizer: Tokenizer,
    ids: Sequence[int],
    *,
    predicted: Collection[int] = (),
    hidden: Collection[int] = (),
    changed: Collection[int] = (),
) -> TokenRow:
    """Return the first MAX_TOKENS tokens, with marks at these positions."""

    def shown(positions: Collection[int]) -> frozenset[int]:
        return frozenset(i for i in positions if i < MAX_TOKENS)

    return TokenRow(
        pieces=tuple(pieces_of(tokenizer, ids[:MAX_TOKENS])),
        predicted=shown(predicted),
        hidden=shown(hidden),
        changed=shown(changed),
        n_left_out=max(0, len(ids) - MAX_TOKENS),
    )
