"""Encodes rows of a task for a model: token ids, segments, and positions of labels and answers. No torch import.

An encoder reads [CLS] text [SEP], and pairs in two segments; a decoder the plain text; an encoder-decoder the source
with its end token. If the tokenizer adds its own special tokens, those are used. As batches: models.tasks.encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, normalizers, processors

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tasks.rows import LABEL_TASKS, Row, row_labels
from terrarium.models.tokenizers import SPECIAL_TOKENS
from terrarium.models.tokenizers.codec import literal_parts, replace_surrogates
from terrarium.models.tokenizers.special_tokens import end_id, pad_id

_OVERLAP = 3
"""Windows of a long context overlap by one part in 3."""
_MAX_QUESTION = 2
"""A question may take at most one part in 2 of the available tokens."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One input of a model: a row, or one window of a row's context.

    row: its index. ids: its tokens. n_first: how many of them are of the first segment. target: the index of its
    label (classification), the indices of its labels (multi-label), its score (regression), its tag at each token or
    −1 (tagging), or the positions of the first and last token of its answer (span). first_tokens: tagging, the
    position of each word's first token, −1 if it is cut off. context_start, offsets: span, the position of the
    window's first token, and the characters (start, end) of each of its tokens.
    """

    row: int
    ids: tuple[int, ...]
    n_first: int
    target: Any = None
    first_tokens: tuple[int, ...] = ()
    context_start: int = 0
    offsets: tuple[tuple[int, int], ...] = ()


class RowReader:
    """Encodes the rows of one task for one model. `labels`: in the order of its outputs."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer, task: str, labels: Sequence[str] = ()) -> None:
        """Raises ValueError if an encoder's tokenizer has no token to mark the start of a text."""
        assert task in LABEL_TASKS
        self.task, self.labels = task, tuple(labels)
        self._config, self._tokenizer = config, tokenizer
        self._index = {label: i for i, label in enumerate(labels)}
        self._before, self._between, self._after = _marks(config, tokenizer)
        # Training texts of Terrarium's own tokenizers begin with a space, so that each word has its usual token.
        self._lead = " " if _is_own(tokenizer) else ""
        self._pad = pad_id(tokenizer) or 0

    def items(self, rows: Sequence[Row], *, has_targets: bool = True, first_row: int = 0) -> list[Item]:
        """Encode rows as items, in order: one each, but several windows if a context is too long.

        first_row: the index of the first of these rows.
        """
        encode = {"tagging": self._tagged, "span": self._windows}.get(self.task, self._text)
        return [item for i, row in enumerate(rows, first_row) for item in encode(i, row, has_targets)]

    def _text(self, i: int, row: Row, has_targets: bool) -> list[Item]:
        first = self._encode(self._lead + row["text"].strip())[0]
        pair = row.get("text_pair")
        second = None if pair is None else self._encode(self._lead + pair.strip())[0]
        room = self._config.context_length - len(self._before) - len(self._after)
        if second is None:
            ids = [*self._before, *first[: max(0, room)], *self._after]
            n_first = len(ids)
        else:
            room = max(0, room - len(self._between))
            n_second = min(len(second), max(room - len(first), room // 2))  # the longer one is cut
            ids = [*self._before, *first[: room - n_second], *self._between]
            n_first = len(ids)
            ids += [*second[:n_second], *self._after]
        ids = ids or [self._pad]
        return [Item(row=i, ids=self._cut(ids), n_first=n_first, target=self._label(row) if has_targets else None)]

    def _label(self, row: Row) -> Any:
        if self.task == "regression":
            return float(row["score"])
        indices = [self._index[label] for label in row_labels(self.task, row)]
        return indices if self.task == "multi-label" else indices[0]

    def _tagged(self, i: int, row: Row, has_targets: bool) -> list[Item]:
        words, spans, end = row["words"], [], len(self._lead)
        for word in words:
            spans.append((end, end + len(word)))
            end += len(word) + 1
        ids, offsets = self._encode(self._lead + " ".join(words))
        first_tokens, at = [], 0
        for start, stop in spans:
            while at < len(ids) and offsets[at][1] <= start:
                at += 1
            found = at < len(ids) and offsets[at][0] < stop
            first_tokens.append(len(self._before) + at if found else -1)
            at += found
        whole = self._cut([*self._before, *ids, *self._after] or [self._pad])
        first_tokens = [position if position < len(whole) else -1 for position in first_tokens]
        target = None
        if has_targets:
            target = [-1] * len(whole)
            for position, tag in zip(first_tokens, row["tags"], strict=True):
                if position >= 0:
                    target[position] = self._index[tag]
        return [Item(row=i, ids=whole, n_first=len(whole), target=target, first_tokens=tuple(first_tokens))]

    def _windows(self, i: int, row: Row, has_targets: bool) -> list[Item]:
        room = self._config.context_length - len(self._before) - len(self._between) - len(self._after)
        question = self._encode(self._lead + row["question"].strip())[0][: max(0, room // _MAX_QUESTION)]
        ids, offsets = self._encode(self._lead + row["context"])
        offsets = [(max(0, start - len(self._lead)), end - len(self._lead)) for start, end in offsets]
        size = max(1, room - len(question))
        stride = max(1, size - size // _OVERLAP)
        head = [*self._before, *question, *self._between]
        answer = row["answers"][0] if has_targets and row["answers"] else None
        found = []
        for first in range(0, max(1, len(ids) - (size - stride)), stride):
            window = offsets[first : first + size]
            whole = self._cut([*head, *ids[first : first + size], *self._after] or [self._pad])
            found.append(
                Item(
                    row=i,
                    ids=whole,
                    n_first=len(head),
                    target=_answer_tokens(window, answer, len(head)) if has_targets else None,
                    context_start=len(head),
                    offsets=tuple(window[: max(0, len(whole) - len(head))]),
                )
            )
        return found

    def _cut(self, ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(ids[: self._config.context_length])

    def _encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return ids, and the characters of each. The text of a special token is encoded as plain text."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        done = 0
        for part in literal_parts(self._tokenizer, replace_surrogates(text)):
            encoding = self._tokenizer.encode(part, add_special_tokens=False)
            ids += encoding.ids
            offsets += [(done + start, done + end) for start, end in encoding.offsets]
            done += len(part)
        return ids, offsets


def marked_tokenizer(config: ModelConfig, tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer that encodes texts and pairs like RowReader without further code, for other programs.

    A foreign tokenizer is returned unchanged; one of Terrarium's own gets the leading space and the special tokens.
    The end token marks both begin and end.
    """
    if not _is_own(tokenizer):
        return tokenizer
    before, between, after = _marks(config, tokenizer)
    marked = Tokenizer.from_str(tokenizer.to_str())
    prepend = normalizers.Prepend(" ")
    marked.normalizer = prepend if marked.normalizer is None else normalizers.Sequence([marked.normalizer, prepend])
    marks = {id: str(tokenizer.id_to_token(id)) for id in (*before, *between, *after)}
    if not marks:
        return marked
    first = [*(f"{marks[id]}:0" for id in before), "$A:0"]
    second = [*(f"{marks[id]}:0" for id in between), "$B:1", *(f"{marks[id]}:1" for id in after)]
    template = processors.TemplateProcessing(
        single=[*first, *(f"{marks[id]}:0" for id in after)],
        pair=[*first, *second],
        special_tokens=[(token, id) for id, token in marks.items()],
    )
    is_alone = marked.post_processor is None
    marked.post_processor = template if is_alone else processors.Sequence([marked.post_processor, template])
    return marked


def _is_own(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer was trained by Terrarium."""
    return all(tokenizer.token_to_id(token) is not None for token in SPECIAL_TOKENS)


def _answer_tokens(window: Sequence[tuple[int, int]], answer: Any, start: int) -> tuple[int, int]:
    """Return the positions of the first and last token of an answer, (0, 0) if the window lacks part of it."""
    if answer is None or not window:
        return 0, 0
    first, end = answer["start"], answer["start"] + len(answer["text"])
    inside = [i for i, (begin, stop) in enumerate(window) if begin < end and stop > first]
    is_whole = inside and window[inside[0]][0] <= first and window[inside[-1]][1] >= end
    return (start + inside[0], start + inside[-1]) if is_whole else (0, 0)


def _marks(config: ModelConfig, tokenizer: Tokenizer) -> tuple[list[int], list[int], list[int]]:
    """Return the special tokens before a text, between two, and after: the tokenizer's own, else its end token."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    one, two = tokenizer.encode("a").ids, tokenizer.encode("a", "a").ids
    n = len(plain)
    at = next((i for i in range(len(one) - n + 1) if one[i : i + n] == plain), None)
    if at is not None and len(one) > n:
        after = one[at + n :]
        return one[:at], two[at + n : len(two) - n - len(after)], after
    end = end_id(tokenizer, config)
    marks = [] if end is None else [end]
    if config.topology == "encoder-only" and not marks:
        raise ValueError("This tokenizer has no token to mark where a text begins: use another tokenizer.")
    before = marks if config.topology == "encoder-only" else []
    return before, marks, [] if config.topology == "decoder-only" else marks
