"""Token ids on disk: the same batches as in memory, written once, and gone on with after an interruption."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora import blocks
from terrarium.models.corpora.corpus import Corpus, CorpusWriter, open_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.data import batches as batches_module
from terrarium.models.data import encoded
from terrarium.models.data.batch import Batch
from terrarium.models.data.batches import Batches, ExampleBatches, objective_batches
from terrarium.models.data.encoded import EncodedSplit, FileArray, TokenArray, encode_split, encode_split_events
from terrarium.models.data.epoch_permutations import EpochPermutations, FeistelPermutations
from terrarium.models.data.examples import ExampleForm
from terrarium.models.data.plain_objectives import NextToken, SpanCorruption
from terrarium.models.events import Event, Phase, Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tokenizers import encode_text, train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens

TRAIN = TrainConfig(batch_size=4, seed=3, context_loss_weight=0.5)
STORIES = [f"Anna und Björn {'liefen ' * (i % 5)}zum Haus {i}. <|end|> steht da." for i in range(300)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large corpus has more than 4,000 bytes, and is encoded in parts of 500."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4000)
    monkeypatch.setattr(blocks, "CHUNK_BYTES", 700)
    monkeypatch.setattr(encoded, "GROUP_BYTES", 500)
    monkeypatch.setattr(encoded, "COMMIT_BYTES", 2000)


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(STORIES, "bpe", 400)


def chat(i: int) -> dict[str, object]:
    question, reply = f"Wo ist {i}?", f"{i} ist dort, {'weit ' * (i % 4)}weg."
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]}


def example_corpus(library: Library, *, chats: bool) -> Corpus:
    with CorpusWriter(library) as writer:
        for i, story in enumerate(STORIES):
            writer.add("val" if i % 4 == 3 else "train", chat(i) if chats else {"text": story})
        return writer.finish("stories")


def text_corpus(library: Library, folder: Path) -> Corpus:
    file = folder / "stories.txt"
    file.write_text("\n".join(STORIES), "utf-8")
    return build_text_corpus(library, [file], 0.2)


def small(corpus: Corpus) -> Corpus:
    """The same corpus as if it were small."""
    return dataclasses.replace(corpus, blocks={})


def same(one: Batch, other: Batch) -> bool:
    names = ("inputs", "targets", "weights", "mask", "source", "source_mask")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a is b for a, b in pairs)


def all_equal(one: Batches, other: Batches, n: int = 40) -> bool:
    steps = range(min(n, one.n_batches))
    return one.n_batches == other.n_batches and all(same(one.batch(step), other.batch(step)) for step in steps)


@pytest.fixture
def same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large sets in the order of small ones, so that their batches can be compared."""
    monkeypatch.setattr(batches_module, "FeistelPermutations", EpochPermutations)


@pytest.mark.parametrize("kind", ["text", "examples", "chats"])
def test_batches_from_disk_are_those_from_memory(
    library: Library, tmp_path: Path, bpe: Tokenizer, same_order: None, kind: str
) -> None:
    corpus = text_corpus(library, tmp_path) if kind == "text" else example_corpus(library, chats=kind == "chats")
    assert corpus.is_large
    for split in ("train", "val"):
        on_disk, in_memory = encode_split(corpus, bpe, split), encode_split(small(corpus), bpe, split)
        assert on_disk.on_disk
        assert not in_memory.on_disk
        assert isinstance(on_disk.ids, FileArray)
        assert (values(on_disk.ids), on_disk.n_bytes) == (values(in_memory.ids), in_memory.n_bytes)
        one, other = (objective_batches(part, NextToken(16), 16, TRAIN) for part in (on_disk, in_memory))
        if split == "train" or kind == "text":  # the rows for validation are sorted in pools, not all at once
            assert all_equal(one, other)
        else:
            seen = [torch.cat([b.batch(i).inputs.flatten() for i in range(b.n_batches)]) for b in (one, other)]
            assert torch.equal(*(ids[ids > 0].sort().values for ids in seen))
        assert one.bytes_per_token == other.bytes_per_token


def test_objectives_that_end_texts_themselves(library: Library, bpe: Tokenizer, same_order: None) -> None:
    tokenizer = Tokenizer.from_str(bpe.to_str())
    add_missing_special_tokens(tokenizer, "encoder-decoder")
    config = dataclasses.replace(
        PRESETS["terrarium-tiny"],
        topology="encoder-decoder",
        vocab_size=tokenizer.get_vocab_size(),
        context_length=24,
    )
    corpus = example_corpus(library, chats=False)
    objective = SpanCorruption(config, tokenizer)
    splits = [encode_split(corpus, tokenizer, "train"), encode_split(small(corpus), tokenizer, "train")]
    one, other = (objective_batches(part, objective, 24, TRAIN) for part in splits)
    assert all_equal(one, other)


def test_large_sets_show_everything_once_in_an_epoch(library: Library, bpe: Tokenizer) -> None:
    part = encode_split(example_corpus(library, chats=False), bpe, "train")
    batches = objective_batches(part, NextToken(64), 64, TRAIN)
    for epoch in range(2):
        steps = range(epoch * batches.n_batches, (epoch + 1) * batches.n_batches)
        padded = [torch.nn.functional.pad(batches.batch(step).inputs, (0, 64))[:, :64] for step in steps]
        rows = [tuple(row) for row in torch.cat(padded).tolist()]
        assert len(rows) == len(set(rows)) > 0.9 * part.n_examples
    text = EncodedSplit(split="train", n_bytes=1000, ids=np.arange(1000), on_disk=True)
    one, again = (objective_batches(text, NextToken(16), 16, TRAIN) for _ in range(2))
    starts = [start for step in range(one.n_batches) for start in one.batch(step).inputs[:, 0].tolist()]
    assert starts == [start for step in range(one.n_batches) for start in again.batch(step).inputs[:, 0].tolist()]
    epoch_0 = starts[: (1000 - 1 - 16) // 16]
    assert len(set(epoch_0)) == len(epoch_0)
    assert {b - a for a, b in zip(sorted(epoch_0), sorted(epoch_0)[1:], strict=False)} == {16}


def test_all_examples_that_are_cut_are_counted(
    library: Library, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "_MAX_COUNTED", 10)
    monkeypatch.setattr(encoded, "TAKE_SIZE", 7)
    corpus = example_corpus(library, chats=False)
    on_disk, in_memory = (encode_split(each, bpe, "train") for each in (corpus, small(corpus)))
    counts = [on_disk.n_longer(20), in_memory.n_longer(20)]
    assert counts == [int((in_memory.lengths(in_memory.n_examples) > 20).sum())] * 2
    assert 0 < counts[0] < on_disk.n_examples
    batches = objective_batches(on_disk, NextToken(19), 19, TRAIN)
    assert isinstance(batches, ExampleBatches)
    assert batches.n_cut == counts[0]


@pytest.mark.parametrize("kind", ["text", "chats"])
def test_an_interrupted_encoding_goes_on_where_it_was(
    library: Library, tmp_path: Path, bpe: Tokenizer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = text_corpus(library, tmp_path) if kind == "text" else example_corpus(library, chats=True)
    whole = encode_split(small(corpus), bpe, "train")
    work = encode_split_events(corpus, bpe, "train")
    assert next(work) == Phase(name="Encoding the text")
    total = corpus.path("train").stat().st_size
    run_to(work, total // 2)
    work.close()
    folder = next((corpus.folder / "encoded").iterdir())
    about = json.loads((folder / "train.json").read_text())
    assert 0 < about["offset"] <= total // 2 + 500
    assert not about["done"]
    # A kill may also leave more ids than train.json knows of.
    with (folder / "train.ids").open("ab") as file:
        file.write(b"\x07\x07\x07")
    work = encode_split_events(corpus, bpe, "train")
    assert next(work) == Phase(name="Encoding the text")
    assert next(work) == Progress(done=about["offset"], total=total)
    found = result_of(work)
    assert values(found.ids) == values(whole.ids)
    assert found.n_bytes == whole.n_bytes
    assert values(found.starts) == values(whole.starts)
    assert values(found.reply) == values(whole.reply)
    with pytest.raises(StopIteration):  # nothing to show: it is there
        next(encode_split_events(corpus, bpe, "train"))


@pytest.mark.parametrize("damage", ["about", "ids"])
def test_damaged_files_are_made_anew(library: Library, tmp_path: Path, bpe: Tokenizer, damage: str) -> None:
    corpus = text_corpus(library, tmp_path)
    ids = values(encode_split(corpus, bpe, "train").ids)
    folder = next((corpus.folder / "encoded").iterdir())
    if damage == "about":
        (folder / "train.json").write_text("{")
    else:
        data = (folder / "train.ids").read_bytes()
        (folder / "train.ids").write_bytes(data[:-2])
    assert values(encode_split(corpus, bpe, "train").ids) == ids


def test_a_damaged_block_of_the_text_is_named(library: Library, tmp_path: Path, bpe: Tokenizer) -> None:
    corpus = text_corpus(library, tmp_path)
    data = bytearray(corpus.path("train").read_bytes())
    data[5000] ^= 1
    corpus.path("train").write_bytes(data)
    with pytest.raises(ValueError, match=r"train\.txt was changed between byte 4,000 and 8,000"):
        encode_split(open_corpus(library, corpus.sha), bpe, "train")


def test_one_writes_and_the_others_wait(
    library: Library, tmp_path: Path, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    corpus = text_corpus(library, tmp_path)
    first, second = (encode_split_events(corpus, bpe, "train") for _ in range(2))
    run_to(first, 1)
    for _ in range(5):
        assert isinstance(next(second), Phase | Progress)
    ids = result_of(first).ids
    assert isinstance(result_of(second).ids, FileArray)
    assert values(encode_split(corpus, bpe, "train").ids) == values(ids)
    folder = next((corpus.folder / "encoded").iterdir())
    with FileLock(folder / "train.lock"):  # nobody needs it any more
        encode_split(corpus, bpe, "train")


def test_a_disk_without_room_is_a_sentence(
    library: Library, tmp_path: Path, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = text_corpus(library, tmp_path)
    monkeypatch.setattr(blocks, "_SPARE_BYTES", 1 << 62)
    with pytest.raises(ValueError, match=r"The encoded text needs .* left: delete something"):
        encode_split(corpus, bpe, "train")


@pytest.mark.parametrize(("highest", "dtype"), [(65_535, np.uint16), (65_536, np.uint32)])
def test_ids_take_as_few_bytes_as_the_vocabulary_allows(library: Library, highest: int, dtype: type) -> None:
    vocabulary = {"<|end|>": 1, "Anna": highest, "?": 2}
    tokenizer = Tokenizer.from_str(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [
                    {"id": 1, "content": "<|end|>", "special": True, "single_word": False, "lstrip": False}
                    | {"rstrip": False, "normalized": False}
                ],
                "pre_tokenizer": {"type": "WhitespaceSplit"},
                "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "?"},
            }
        )
    )
    with CorpusWriter(library) as writer:
        for _ in range(1000):
            writer.add("train", {"text": "Anna"})
        corpus = writer.finish("names")
    part = encode_split(corpus, tokenizer, "train")
    assert part.ids.take(np.array([0])).dtype == dtype
    assert values(part.ids) == [highest, 1] * 1000
    batch = objective_batches(part, NextToken(4), 4, TRAIN).batch(0)
    assert batch.inputs.dtype == torch.long
    assert set(batch.inputs.flatten().tolist()) == {highest}


def test_a_tokenizer_that_cannot_be_cut_is_cut_after_lines(library: Library, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(STORIES, "unigram", 300)
    corpus = text_corpus(library, tmp_path)
    found = values(encode_split(corpus, tokenizer, "train").ids)
    whole = encode_text(tokenizer, corpus.read_text("train"))
    assert tokenizer.decode(found).split() == tokenizer.decode(whole).split()


@given(n=st.integers(1, 3000), seed=st.integers(0, 2**31), epoch=st.integers(-5, 5))
@settings(deadline=None, max_examples=60)
def test_a_feistel_network_permutes(n: int, seed: int, epoch: int) -> None:
    order = FeistelPermutations(seed)
    taken = order.take(epoch, n, torch.arange(n))
    assert taken.dtype == torch.long
    assert sorted(taken.tolist()) == list(range(n))
    some = torch.tensor([0, n // 2, n - 1])
    assert torch.equal(FeistelPermutations(seed).take(epoch, n, some), taken[some])


def test_a_feistel_network_shuffles() -> None:
    n = 10_000
    orders = [FeistelPermutations(seed).take(epoch, n, torch.arange(n)) for seed in (0, 1) for epoch in (0, 1)]
    for i, one in enumerate(orders):
        for other in [torch.arange(n), *orders[:i]]:
            assert abs(float(torch.corrcoef(torch.stack([one, other]).double())[0, 1])) < 0.04
            assert int((one == other).sum()) < 10
        assert abs(float(torch.corrcoef(torch.stack([one[:-1], one[1:]]).double())[0, 1])) < 0.04
    large = FeistelPermutations(0).take(0, 10**12, torch.arange(1000))
    assert len(set(large.tolist())) == 1000
    assert 0.4 < float((large.double() / 10**12).mean()) < 0.6


def test_numbers_of_a_file_are_taken_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "TAKE_SIZE", 7)
    numbers = np.arange(100, dtype=np.int64) ** 2
    (tmp_path / "numbers").write_bytes(numbers.tobytes())
    array = FileArray(tmp_path / "numbers", np.dtype(np.int64))
    for wanted in (np.array([[99, 0, 5], [7, 7, 1], [3, 98, 50]]), np.arange(100), np.array([], np.int64)):
        assert np.array_equal(array.take(wanted), numbers[wanted])
    split = EncodedSplit(split="train", n_bytes=0, ids=array, starts=array, on_disk=True)
    assert np.array_equal(split.lengths(1000), np.diff(numbers))
    assert np.array_equal(split.lengths(10), np.diff(numbers)[::10])


def values(array: TokenArray | None) -> list[int]:
    taken: list[int] = [] if array is None else array.take(np.arange(len(array))).tolist()
    return taken


def run_to(work: Generator[Event, None, EncodedSplit], done: int) -> None:
    for event in work:
        if isinstance(event, Progress) and event.done >= done:
            return


@pytest.mark.parametrize("is_large", [True, False])
def test_a_row_that_the_template_refuses_is_named_by_its_number(
    library: Library, bpe: Tokenizer, is_large: bool
) -> None:
    refusing = (
        "{% for m in messages %}{{ m.content }}{% if '148' in m.content %}{{ raise_exception('No.') }}{% endif %}"
    )
    form = ExampleForm(template=ChatTemplateConfig(template=refusing + "{% endfor %}"))
    corpus = example_corpus(library, chats=True)  # of four rows each three are for training
    with pytest.raises(ValueError, match=r"^Conversation 112: .*No\."):
        encode_split(corpus if is_large else small(corpus), bpe, "train", form)
