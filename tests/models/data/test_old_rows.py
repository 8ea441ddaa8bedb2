"""Old rows mixed into a fine-tuning: their share, their balance, and the same ones at the same step."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.data.batches import Batches
from terrarium.models.data.examples import ExampleForm
from terrarium.models.data.replay_rows import read_old_rows
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tiny_world import corpus as tiny_world
from terrarium.models.tiny_world.corpus import SHARES, build_tiny_world_corpus, row_kinds
from terrarium.models.tokenizers import decode
from terrarium.models.training.batches import make_batches

TRAIN = TrainConfig(batch_size=4, context_loss_weight=0.0, seed=2)
CONFIG = ModelConfig(context_length=64, vocab_size=261, n_layer=1, d_model=16, n_head=2)


def talk(text: str) -> dict[str, list[dict[str, str]]]:
    return {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}]}


NEW = [talk(f"new {i}") for i in range(60)]
OLD = [talk(f"old {i}") for i in range(25)]


@pytest.fixture
def mixed(library: Library, byte_tokenizer: Tokenizer) -> Batches:
    new = build_examples_corpus(library, NEW, NEW[:2], "new", None, task="chat")
    old = build_examples_corpus(library, OLD, OLD[:2], "old", None)
    return make_batches(new, byte_tokenizer, CONFIG, TRAIN, old=old, old_share=0.25)


def shown(tokenizer: Tokenizer, batches: Batches, steps: range) -> list[str]:
    """The replies of some steps."""
    texts = []
    for step in steps:
        batch = batches.batch(step)
        for targets, weights in zip(batch.targets, batch.weights, strict=True):
            texts.append(decode(tokenizer, targets[weights > 0].tolist()).removesuffix("<|end|>").strip())
    return texts


def test_the_share_of_old_rows_is_the_wanted_one_in_each_epoch(mixed: Batches, byte_tokenizer: Tokenizer) -> None:
    n = mixed.n_batches
    epochs = [shown(byte_tokenizer, mixed, range(i * n, (i + 1) * n)) for i in range(5)]
    for texts in epochs:
        n_old = sum(text.startswith("old") for text in texts)
        assert n_old / len(texts) == pytest.approx(0.25, abs=0.06)
        assert max(Counter(text for text in texts if text.startswith("new")).values()) == 1
    counts = Counter(text for texts in epochs for text in texts if text.startswith("old"))
    assert len(counts) == len(OLD)  # each epoch goes on with those that were not shown yet
    assert max(counts.values()) <= 6


def test_old_rows_depend_on_nothing_but_the_step(mixed: Batches, library: Library, byte_tokenizer: Tokenizer) -> None:
    forwards = shown(byte_tokenizer, mixed, range(30))
    new = build_examples_corpus(library, NEW, NEW[:2], "new", None, task="chat")
    old = build_examples_corpus(library, OLD, OLD[:2], "old", None)
    again = make_batches(new, byte_tokenizer, CONFIG, TRAIN, old=old, old_share=0.25)
    assert shown(byte_tokenizer, again, range(20, 30)) == forwards[-len(shown(byte_tokenizer, again, range(20, 30))) :]
    other = make_batches(new, byte_tokenizer, CONFIG, dataclasses.replace(TRAIN, seed=3), old=old, old_share=0.25)
    assert shown(byte_tokenizer, other, range(30)) != forwards


def test_validation_has_no_old_rows(library: Library, byte_tokenizer: Tokenizer, mixed: Batches) -> None:
    new = build_examples_corpus(library, NEW, NEW[:2], "new", None, task="chat")
    old = build_examples_corpus(library, OLD, OLD[:2], "old", None)
    validation = make_batches(new, byte_tokenizer, CONFIG, TRAIN, "val", old=old, old_share=0.25)
    assert sorted(shown(byte_tokenizer, validation, range(validation.n_batches))) == ["new 0", "new 1"]


def test_kinds_of_tiny_world_count_equally(
    library: Library, byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_world, "N_TRAIN", 150)
    monkeypatch.setattr(tiny_world, "N_VAL", 10)
    old = result_of(build_tiny_world_corpus(library, 3))
    kinds = row_kinds(old)
    assert kinds is not None
    rows = old.read_examples("train")
    assert len(kinds) == len(rows) == 150
    assert any(kind == "translation" and "French" in str(row) for kind, row in zip(kinds, rows, strict=True))
    assert all(
        "French" not in row["messages"][0]["content"] for kind, row in zip(kinds, rows, strict=True) if kind == "sums"
    )
    groups = read_old_rows(old, byte_tokenizer, ExampleForm(), 65, at_most=30)
    assert len(groups) == len(SHARES)
    assert {len(group) for group in groups} == {5}
    expected = {tuple(encode_messages(byte_tokenizer, row["messages"])[0]) for row in rows}
    assert all(tuple(ids) in expected for group in groups for ids, _ in group)


def test_rows_of_a_long_text_are_windows_of_it(library: Library, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_text("".join(f"{i} bottles.\n" for i in range(400)), encoding="utf-8")
    old = build_text_corpus(library, [file], 0.1)
    (rows,) = read_old_rows(old, byte_tokenizer, ExampleForm(), 65, at_most=20)
    assert 10 <= len(rows) <= 20
    text = old.read_text("train")
    assert all(decode(byte_tokenizer, ids) in text and all(flags) and len(ids) > 32 for ids, flags in rows)


def test_where_old_rows_cannot_be_mixed_in(library: Library, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    old = build_examples_corpus(library, OLD, OLD[:2], "old", None)
    pairs = [{"source": "a", "target": "b"}]
    new = build_examples_corpus(library, pairs, pairs, "pairs", None, task="text-to-text")
    config = dataclasses.replace(CONFIG, topology="encoder-decoder", position="t5")
    with pytest.raises(ValueError, match=r"learned from 'old' in another way than it learns from 'pairs', so"):
        make_batches(new, byte_tokenizer, config, TRAIN, old=old, old_share=0.5)
