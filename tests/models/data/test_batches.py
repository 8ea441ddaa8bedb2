"""Batches are a pure function of their step, and an epoch shows everything once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.data.batch import Batch
from terrarium.models.data.batches import Batches, ExampleBatches, TextBatches
from terrarium.models.data.encoded import EncodedSplit
from terrarium.models.data.epoch_permutations import EpochPermutations
from terrarium.models.data.plain_objectives import NextToken
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tokenizers import encode_text
from terrarium.models.training.batches import make_batches

CONTEXT = 16
TRAIN = TrainConfig(batch_size=4, seed=3)
IDS = torch.arange(1000)


def same(one: Batch, other: Batch) -> bool:
    tensors = ("inputs", "targets", "weights")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in tensors)


def text_batches(train: TrainConfig = TRAIN, n: int = 1000, *, shuffled: bool = True) -> TextBatches:
    encoded = EncodedSplit(split="train" if shuffled else "val", n_bytes=3 * n, ids=IDS[:n].numpy())
    return TextBatches(encoded, NextToken(CONTEXT), train)


def examples(n: int = 100) -> list[tuple[list[int], list[bool]]]:
    """Examples of the lengths 2 to 17, each of one token id of its own, the second half of which is a reply."""
    return [([i + 1] * length, [j >= length // 2 for j in range(length)]) for i in range(n) for length in [i % 16 + 2]]


def encoded_examples(split: str, examples: list[tuple[list[int], list[bool]]], n_bytes: int) -> EncodedSplit:
    return EncodedSplit(
        split=split,
        n_bytes=n_bytes,
        ids=np.array([id for ids, _ in examples for id in ids], dtype=np.int64),
        starts=np.cumsum([0, *(len(ids) for ids, _ in examples)]),
        reply=np.array([flag for _, flags in examples for flag in flags]),
    )


def example_batches(train: TrainConfig = TRAIN, n: int = 100, *, shuffled: bool = True) -> ExampleBatches:
    return ExampleBatches(encoded_examples("train" if shuffled else "val", examples(n), 500), NextToken(CONTEXT), train)


@pytest.mark.parametrize("make", [text_batches, example_batches])
def test_a_batch_depends_on_nothing_but_its_step(make: type[Batches]) -> None:
    batches = make()
    forwards = [batches.batch(step) for step in range(60)]
    again = make()
    assert all(same(again.batch(step), forwards[step]) for step in reversed(range(60)))
    assert len({forwards[step].inputs.numpy().tobytes() for step in range(batches.n_batches)}) == batches.n_batches


@pytest.mark.parametrize("make", [text_batches, example_batches])
def test_accumulation_reads_the_same_text_in_smaller_steps(make: type[Batches]) -> None:
    whole, parts = make(TRAIN), make(dataclasses.replace(TRAIN, grad_accum_steps=3))
    for step in range(10):
        assert all(same(parts.batch(step, micro), whole.batch(3 * step + micro)) for micro in range(3))


@pytest.mark.parametrize("make", [text_batches, example_batches])
def test_another_seed_is_another_order(make: type[Batches]) -> None:
    one, other = make(TRAIN), make(dataclasses.replace(TRAIN, seed=4))
    assert not all(same(one.batch(step), other.batch(step)) for step in range(4))


def test_windows_are_consecutive_tokens_and_count_in_full() -> None:
    batches = text_batches()
    for step in range(50):
        batch = batches.batch(step)
        assert batch.inputs.shape == batch.targets.shape == batch.weights.shape == (4, CONTEXT)
        assert batch.inputs.dtype == batch.targets.dtype == torch.long
        assert batch.weights.dtype == torch.float32
        assert torch.equal(batch.targets, batch.inputs + 1)
        assert batch.weights.min() == 1


def test_every_window_once_in_an_epoch_and_other_borders_in_the_next() -> None:
    batches = text_batches(dataclasses.replace(TRAIN, batch_size=1))
    n = batches.n_batches
    starts = [int(batches.batch(step).inputs[0, 0]) for step in range(2 * n)]
    borders = []
    for epoch in (starts[:n], starts[n:]):
        assert len(set(epoch)) == n
        assert {b - a for a, b in zip(sorted(epoch), sorted(epoch)[1:], strict=False)} == {CONTEXT}
        borders.append(min(epoch))
    assert borders[0] != borders[1]
    assert n == (1000 - 1 - CONTEXT) // CONTEXT


def test_validation_reads_every_token_once_in_order() -> None:
    batches = text_batches(n=1003, shuffled=False)
    seen = torch.cat([b.targets[b.weights > 0] for b in (batches.batch(i) for i in range(batches.n_batches))])
    assert torch.equal(seen, IDS[1:1003])


def test_the_shortest_text_that_will_do() -> None:
    for shuffled in (True, False):
        batch = text_batches(n=CONTEXT + 1, shuffled=shuffled).batch(0)
        assert torch.equal(batch.inputs[0], IDS[:CONTEXT])


def test_every_example_once_in_an_epoch() -> None:
    batches = example_batches()
    for epoch in range(3):
        seen = Counter[int]()
        for step in range(epoch * batches.n_batches, (epoch + 1) * batches.n_batches):
            seen.update(batches.batch(step).inputs[:, 0].tolist())
        assert max(seen.values()) == 1
        assert len(seen) > 100 - len(batches.batch(0).inputs)  # at most an incomplete batch waits for another epoch
    validation = example_batches(shuffled=False)
    rows = [id for step in range(validation.n_batches) for id in validation.batch(step).inputs[:, 0].tolist()]
    assert sorted(rows) == list(range(1, 101))


def test_padding_counts_nothing_and_replies_count_in_full() -> None:
    for weight in (0.0, 0.25, 1.0):
        batches = example_batches(dataclasses.replace(TRAIN, context_loss_weight=weight))
        for step in range(batches.n_batches):
            batch = batches.batch(step)
            for inputs, targets, weights in zip(batch.inputs, batch.targets, batch.weights, strict=True):
                id = int(inputs[0])
                length = (id - 1) % 16 + 2
                reply = [weight] * (length // 2 - 1) + [1.0] * (length - length // 2)
                assert weights.tolist() == (reply + [0.0] * 16)[: len(weights)]
                assert targets.tolist() == ([id] * (length - 1) + [0] * 16)[: len(targets)]


def test_batches_of_examples_waste_little_on_padding() -> None:
    batches = example_batches(n=2000)
    shown = [batches.batch(step) for step in range(batches.n_batches)]
    real = sum(float((batch.targets > 0).sum()) for batch in shown)
    assert real / sum(batch.targets.numel() for batch in shown) > 0.8
    assert len({batch.inputs.shape[1] for batch in shown[:10]}) > 1  # and the lengths are mixed over time


def test_examples_are_cut_at_the_context() -> None:
    encoded = encoded_examples("train", [(list(range(50)), [True] * 50)], 99)
    long = ExampleBatches(encoded, NextToken(CONTEXT), TRAIN)
    assert long.batch(7).inputs.tolist() == [list(range(CONTEXT))]
    assert long.batch(7).targets.tolist() == [list(range(1, CONTEXT + 1))]
    assert long.bytes_per_token == 99 / 50


def test_no_examples_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="no examples"):
        ExampleBatches(encoded_examples("train", [], 0), NextToken(CONTEXT), TRAIN)


def test_orders_are_permutations_whatever_was_asked_before() -> None:
    permutations = EpochPermutations(1)
    first = permutations.permutation(0, 50).clone()
    assert sorted(first.tolist()) == list(range(50))
    for epoch in range(1, 9):
        assert not torch.equal(permutations.permutation(epoch, 50), first)
        assert sorted(permutations.permutation(-1 - epoch, 50).tolist()) == list(range(50))
    assert torch.equal(permutations.permutation(0, 50), first)


@pytest.fixture
def config(tiny_config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(tiny_config, context_length=CONTEXT)


def text_corpus(library: Library, folder: Path, text: str) -> Corpus:
    file = folder / "text.txt"
    file.write_text(text, encoding="utf-8")
    return build_text_corpus(library, [file], 0.2)


def test_a_text_corpus(library: Library, tmp_path: Path, byte_tokenizer: Tokenizer, config: ModelConfig) -> None:
    corpus = text_corpus(library, tmp_path, "Grüße aus dem Garten.\n" * 40)
    for split in ("train", "val"):
        batches = make_batches(corpus, byte_tokenizer, config, TRAIN, split)
        assert batches.bytes_per_token == 1
        batch = batches.batch(0)
        whole = encode_text(byte_tokenizer, corpus.read_text(split))
        window = [*batch.inputs[0].tolist(), int(batch.targets[0, -1])]
        assert any(whole[i : i + CONTEXT + 1] == window for i in range(len(whole)))


def test_texts_shorter_than_the_context_are_refused(
    library: Library, tmp_path: Path, byte_tokenizer: Tokenizer, config: ModelConfig
) -> None:
    corpus = text_corpus(library, tmp_path, "Anna sat.\n" * 40)
    longer = dataclasses.replace(config, context_length=512)
    for split, part in (("train", "training text"), ("val", "validation part")):
        with pytest.raises(ValueError, match=rf"The {part} is .* one context needs 513"):
            make_batches(corpus, byte_tokenizer, longer, TRAIN, split)


def test_of_a_text_of_a_few_characters_only_more_text_helps(
    library: Library, tmp_path: Path, byte_tokenizer: Tokenizer, config: ModelConfig
) -> None:
    corpus = text_corpus(library, tmp_path, "abcdef")
    with pytest.raises(ValueError, match=r"only \d tokens?, too few to learn from: use a longer text") as refused:
        make_batches(corpus, byte_tokenizer, config, TRAIN)
    assert "context" not in str(refused.value)


def test_an_examples_corpus(library: Library, byte_tokenizer: Tokenizer, config: ModelConfig) -> None:
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo!"}]
    rows = [{"text": "Ömi"}, {"messages": chat}]
    corpus = build_examples_corpus(library, rows, rows, "little", 0)
    batches = make_batches(corpus, byte_tokenizer, config, dataclasses.replace(TRAIN, context_loss_weight=0.5))
    shown = batches.batch(0)
    end = byte_tokenizer.token_to_id("<|end|>")
    texts = {}
    for inputs, targets, weights in zip(shown.inputs, shown.targets, shown.weights, strict=True):
        ids = [int(inputs[0]), *targets[weights > 0].tolist()]
        texts[byte_tokenizer.decode(ids, skip_special_tokens=False)] = weights[weights > 0].tolist()
    assert texts == {
        " Ömi<|end|>": [1.0] * 5,
        "<|user|> Hi<|end|><|assistant|> Yo!<|end|>": [0.5] * 5 + [1.0] * 5,
    }
    n_tokens = len(encode_messages(byte_tokenizer, chat)[0]) + len(encode_text(byte_tokenizer, " Ömi")) + 1
    assert end is not None
    assert batches.bytes_per_token is None  # the loss is no mean over the whole text
    alike = make_batches(corpus, byte_tokenizer, config, TRAIN)
    assert alike.bytes_per_token == pytest.approx((4 + 2 + 3) / n_tokens)
    plain = build_examples_corpus(library, rows[:1], rows[:1], "plain", 0)
    counted = dataclasses.replace(TRAIN, context_loss_weight=0.5)  # which has no say where there is no context
    assert make_batches(plain, byte_tokenizer, config, counted).bytes_per_token == pytest.approx(4 / 6)
