"""Rows as a model reads them: marks, segments, first pieces, windows; and the losses of their answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.corpora import blocks
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.data.batch import Batch
from terrarium.models.events import Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tasks.batches import balanced_weights, count_labels, make_task_batches
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.forward import task_nll
from terrarium.models.tasks.row_reader import Item, marked_tokenizer
from terrarium.models.tasks.rows import check_rows, checked_groups, find_labels
from terrarium.models.tokenizers import SPECIAL_TOKENS, train_tokenizer
from tests.models.tasks.small_tasks import DESIGNS, driven, word_tokenizer

BERT = dataclasses.replace(PRESETS["bert-tiny"], context_length=16, d_model=32, vocab_size=64)


def encode(tokenizer: Tokenizer, config: ModelConfig, task: str, row: dict[str, Any]) -> tuple[list[Item], Batch]:
    encoder = TaskEncoder(config, tokenizer, task, ("O", "B-X"))
    items = encoder.items([row])
    return items, encoder.batch(items)


def test_pairs_have_marks_and_segments_as_bert_has_them(bert_tokenizer: Tokenizer) -> None:
    row = {"text": "the cat", "text_pair": "cat sat", "label": "O"}
    items, batch = encode(bert_tokenizer, BERT, "classification", row)
    theirs = bert_tokenizer.encode("the cat", "cat sat")
    assert list(items[0].ids) == theirs.ids
    assert batch.segments is not None
    assert batch.segments[0].tolist() == theirs.type_ids


def test_the_longer_of_two_texts_is_cut(bert_tokenizer: Tokenizer) -> None:
    row = {"text": "the " * 30, "text_pair": "cat sat", "label": "O"}
    items, _ = encode(bert_tokenizer, BERT, "classification", row)
    tokens = [bert_tokenizer.id_to_token(id) for id in items[0].ids]
    assert tokens == ["[CLS]", *["the"] * 11, "[SEP]", "cat", "sat", "[SEP]"]


def test_what_is_spelled_like_a_mark_is_text(bert_tokenizer: Tokenizer) -> None:
    items, _ = encode(bert_tokenizer, BERT, "classification", {"text": "the [SEP] cat", "label": "O"})
    assert list(items[0].ids).count(3) == 1


def test_tags_stand_at_first_pieces(bert_tokenizer: Tokenizer) -> None:
    row = {"words": ["The", "playing", "cat", "unaing"], "tags": ["O", "B-X", "O", "B-X"]}
    items, batch = encode(bert_tokenizer, BERT, "tagging", row)
    tokens = [bert_tokenizer.id_to_token(id) for id in items[0].ids]
    assert tokens == ["[CLS]", "the", "play", "##ing", "cat", "un", "##a", "##ing", "[SEP]"]
    assert batch.weights[0].tolist() == [0, 1, 1, 0, 1, 1, 0, 0, 0]
    assert batch.targets[0][batch.weights[0] > 0].tolist() == [0, 1, 0, 1]


def test_words_that_do_not_fit_have_no_target(bert_tokenizer: Tokenizer) -> None:
    row = {"words": ["cat"] * 20, "tags": ["B-X"] * 20}
    items, batch = encode(bert_tokenizer, BERT, "tagging", row)
    assert items[0].first_tokens == (*range(1, 16), *[-1] * 5)
    assert batch.weights.sum() == 15


@pytest.mark.parametrize("where", [0, 9, 33])
def test_a_long_context_is_read_in_windows_that_overlap(bert_tokenizer: Tokenizer, where: int) -> None:
    words = ["the"] * 34
    words[where] = "sat"
    context = " ".join(words)
    row = {"question": "who ?", "context": context, "answers": [{"text": "sat", "start": context.index("sat")}]}
    items, batch = encode(bert_tokenizer, BERT, "span", row)
    assert len(items) > 3
    assert all(len(item.ids) <= 16 for item in items)
    seen = [item for item in items if item.target != (0, 0)]
    assert seen
    for item in seen:
        first, last = item.target
        assert first == last
        assert bert_tokenizer.id_to_token(item.ids[first]) == "sat"
        start, end = item.offsets[first - item.context_start]
        assert context[start:end] == "sat"
    covered = {offset for item in items for offset in item.offsets}
    assert len(covered) == len(words), "no word is in no window"
    assert batch.candidates is not None
    assert batch.candidates[:, 0].all()
    assert not batch.candidates[:, 1:4].any(), "the question is no answer"


def test_decoders_read_no_marks_and_pairs_the_source_twice() -> None:
    tokenizer = word_tokenizer()
    row = {"text": "anna smiles", "label": "O"}
    items, batch = encode(tokenizer, DESIGNS["decoder-only"], "classification", row)
    assert [tokenizer.id_to_token(id).strip() for id in items[0].ids] == ["anna", "smiles"]
    assert batch.source is None
    items, batch = encode(tokenizer, DESIGNS["encoder-decoder"], "classification", row)
    assert items[0].ids[-1] == tokenizer.token_to_id("<|end|>")
    assert batch.source is not None
    assert batch.inputs[0, 1:].tolist() == batch.source[0, :-1].tolist()


@pytest.mark.parametrize("kind", ["byte", "char"])
def test_words_of_any_tokenizer_begin_where_they_stand(kind: str) -> None:
    tokenizer = train_tokenizer([" größe straße 東京 a"] * 3, kind, 300)
    assert all(tokenizer.token_to_id(token) is not None for token in SPECIAL_TOKENS)
    words = ["größe", "東京", "a"]
    config = dataclasses.replace(DESIGNS["encoder-only"], context_length=64)
    items, _ = encode(tokenizer, config, "tagging", {"words": words, "tags": ["O", "B-X", "O"]})
    starts = [*items[0].first_tokens, len(items[0].ids) - 1]
    for word, first, end in zip(words, starts, starts[1:], strict=False):
        assert word in tokenizer.decode(list(items[0].ids[first:end]))


@pytest.mark.parametrize("kind", ["word", "bpe", "byte", "wordpiece", "unigram"])
@pytest.mark.parametrize("topology", DESIGNS)
def test_an_exported_tokenizer_reads_texts_as_we_do(kind: str, topology: str) -> None:
    tokenizer = train_tokenizer([" anna smiles in rome and ben cries"] * 5, kind, 300)
    config = dataclasses.replace(DESIGNS[topology], context_length=64, n_segment=2 if topology == "encoder-only" else 0)
    encoder, marked = TaskEncoder(config, tokenizer, "classification"), marked_tokenizer(config, tokenizer)
    for row in ({"text": "anna smiles"}, {"text": "ben cries", "text_pair": "in rome and"}):
        (item,) = encoder.items([row], has_targets=False)
        theirs = marked.encode(*row.values())
        assert theirs.ids == list(item.ids)
        assert theirs.type_ids == [0] * item.n_first + [1] * (len(item.ids) - item.n_first)


def batch_of(task: str, targets: Any, **fields: Any) -> Batch:
    targets = torch.tensor(targets)
    weights = fields.pop("weights", torch.ones(targets.shape[:1] if task != "span" else targets.shape))
    return Batch(torch.zeros(len(targets), 7, dtype=torch.long), targets, weights, task=task, **fields)


def mean_loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    nll, weights = task_nll(logits, batch)
    return (nll * weights).sum() / weights.sum()


def test_losses_are_those_of_torch() -> None:
    logits = torch.randn(4, 3)
    targets = [0, 2, 1, 1]
    expected = torch.nn.CrossEntropyLoss()(logits, torch.tensor(targets))
    torch.testing.assert_close(mean_loss(logits, batch_of("classification", targets)), expected)
    weights = torch.tensor([1.0, 2.0, 0.5])
    weighted = batch_of("classification", targets, weights=weights[targets])
    torch.testing.assert_close(
        mean_loss(logits, weighted), torch.nn.CrossEntropyLoss(weights)(logits, torch.tensor(targets))
    )
    several = [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    expected = torch.nn.BCEWithLogitsLoss()(logits, torch.tensor(several))
    torch.testing.assert_close(mean_loss(logits, batch_of("multi-label", several)), expected)
    scores = [0.5, -1.0, 2.0, 0.0]
    expected = torch.nn.MSELoss()(logits[:, 0], torch.tensor(scores))
    torch.testing.assert_close(mean_loss(logits[:, :1], batch_of("regression", scores)), expected)
    spans = torch.randn(4, 7, 2)
    places = torch.tensor([[0, 0], [1, 3], [6, 6], [2, 5]])
    starts, ends = (torch.nn.CrossEntropyLoss()(spans[..., i], places[:, i]) for i in (0, 1))
    expected = (starts + ends) / 2
    batch = batch_of("span", places.tolist(), candidates=torch.ones(4, 7, dtype=torch.bool))
    torch.testing.assert_close(mean_loss(spans, batch), expected)


def test_balanced_weights_make_labels_count_alike() -> None:
    items = [Item(row=i, ids=(1,), n_first=1, target=target) for i, target in enumerate([0, 0, 0, 1])]
    weights = balanced_weights(count_labels(items, 3))
    assert weights.tolist() == pytest.approx([4 / 9, 4 / 3, 1.0])


@pytest.mark.parametrize("task", ["classification", "span"])
def test_of_a_large_dataset_items_are_made_when_needed(
    task: str, tmp_path: Path, bert_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = [" ".join(["the", "cat", "sat"][: 1 + i % 3] * (3 + i % 9)) for i in range(40)]
    rows = [{"text": text, "label": "AB"[i % 3 == 0]} for i, text in enumerate(contexts)]
    if task == "span":
        rows = [{"question": "who ?", "context": text, "answers": [{"text": "the", "start": 0}]} for text in contexts]
    labels = ("A", "B") if task == "classification" else ()
    train = TrainConfig(batch_size=4, class_weights="balanced")
    made = []
    for name in ("small", "large"):
        corpus = build_examples_corpus(Library(tmp_path / name), rows, rows[:9], name, 1, task=task, labels=labels)
        assert corpus.is_large == (name == "large")
        of_splits = [
            result_of(make_task_batches(corpus, bert_tokenizer, BERT, train, split, labels))
            for split in ("train", "val")
        ]
        made.append([batches.batch(step) for batches in of_splits for step in range(batches.n_batches)])
        monkeypatch.setattr(blocks, "BLOCK_BYTES", 500)
    for small, large in zip(*made, strict=True):
        assert torch.equal(small.inputs, large.inputs)
        assert torch.equal(small.targets, large.targets)
        assert torch.equal(small.weights, large.weights)


def test_labels_that_a_dataset_does_not_list_are_found_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_groups, "__defaults__", (200,))
    rows = [{"text": f"text {i}", "label": "cab"[i % 3]} for i in range(60)]
    corpus = build_examples_corpus(Library(tmp_path), rows, rows[:5], "unlisted", 1, task="classification")
    events, labels = driven(find_labels(corpus))
    assert labels == ("a", "b", "c")
    assert len(events) > 5
    size = corpus.path("train").stat().st_size
    assert events[-1] == Progress(done=size, total=size)
    rows[40] = {"text": "text 40", "label": 3}
    damaged = build_examples_corpus(Library(tmp_path), rows, rows[:5], "damaged", 1, task="classification")
    with pytest.raises(ValueError, match=r"train\.jsonl, row 41: label must be a text, not 3"):
        result_of(find_labels(damaged))


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        ("classification", {"text": "a"}, "it has no column 'label': classification needs text, label"),
        ("classification", {"text": 3, "label": "x"}, "text must be a text, not 3"),
        ("classification", {"text": "a", "label": "y"}, "the label 'y' is none that the model can give"),
        ("multi-label", {"text": "a", "labels": "x"}, "labels must be a list of texts"),
        ("multi-label", {"text": "a", "labels": ["x", "z"]}, "the label 'z' is none"),
        ("regression", {"text": "a", "score": float("nan")}, "score must be a number, not nan"),
        ("regression", {"text": "a", "score": True}, "score must be a number"),
        ("tagging", {"words": ["a", "b"], "tags": ["x"]}, "it has 2 words but 1 tags: give each word one"),
        ("span", {"question": "q", "context": "c d", "answers": [{"text": "d"}]}, "the answer 'd' has no start"),
        (
            "span",
            {"question": "q", "context": "c d", "answers": [{"text": "d", "start": 1}]},
            "the answer 'd' does not stand at character 1",
        ),
        ("text-to-text", ["a"], "it is no object with the columns source, target"),
    ],
)
def test_a_bad_row_is_one_sentence(task: str, row: Any, words: str) -> None:
    good = {"classification": {"text": "a", "label": "x"}}.get(task)
    rows = [row] if good is None else [good, row]
    with pytest.raises(ValueError, match=rf"^mine.jsonl, row {len(rows)}: ") as caught:
        check_rows(task, rows, ("x",), "mine.jsonl")
    assert words in str(caught.value)


def test_no_rows_are_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^mine.jsonl has no rows"):
        check_rows("classification", [], (), "mine.jsonl")
