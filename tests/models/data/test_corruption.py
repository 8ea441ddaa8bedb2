"""The objectives: BERT's masking statistics, T5's spans that give the text back, and what no objective trains."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.data.batch import Batch, Rows
from terrarium.models.data.batches import Batches
from terrarium.models.data.objectives import make_objective
from terrarium.models.data.plain_objectives import MaskedTokens, SpanCorruption, draw_spans, fill_sentinels
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tokenizers import encode_text, train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens, mask_id, sentinel_ids, start_id
from terrarium.models.training.batches import make_batches

ENCODER = ModelConfig(topology="encoder-only", vocab_size=294, context_length=256)
PAIR = ModelConfig(topology="encoder-decoder", position="t5", vocab_size=294, context_length=256)
TRAIN = TrainConfig(batch_size=4, seed=3)
END = 1


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """One token per byte, with all the roles: 0…4 and 261…293 are special."""
    tokenizer = train_tokenizer((), "byte", 0)
    add_missing_special_tokens(tokenizer, "encoder-only")
    add_missing_special_tokens(tokenizer, "encoder-decoder")
    return tokenizer


def make_rows(lengths: list[int], seed: int = 0, specials: bool = False) -> Rows:
    """Random text of the given lengths, padded; every tenth token is special where wanted, and replies weigh 1."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    ids = torch.randint(5, 261, shape, generator=generator)
    if specials:
        ids = torch.where(torch.rand(shape, generator=generator) < 0.1, ids % 5, ids)
    real = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
    weights = (0.5 + torch.rand(shape, generator=generator)) * real
    return Rows(ids * real, weights, real)


def all_tensors(batch: Batch) -> list[torch.Tensor]:
    return [value for value in vars(batch).values() if isinstance(value, torch.Tensor)]


def test_masking_has_the_shares_of_bert(tokenizer: Tokenizer) -> None:
    rows = make_rows([200] * 400, specials=True)
    batch = MaskedTokens(ENCODER, tokenizer).batch(rows, 1)
    special = rows.ids < 5
    hidden = batch.weights > 0
    assert not (hidden & special).any()
    assert torch.equal(batch.targets, rows.ids)
    assert torch.equal(batch.inputs[~hidden], rows.ids[~hidden])
    assert torch.equal(batch.weights[hidden], rows.weights[hidden])
    assert hidden.sum() / (~special).sum() == pytest.approx(0.15, abs=0.001)
    inputs, truth = batch.inputs[hidden], rows.ids[hidden]
    masked, kept = inputs == mask_id(tokenizer), inputs == truth
    assert masked.float().mean() == pytest.approx(0.8, abs=0.015)
    assert kept.float().mean() == pytest.approx(0.1 + 0.1 / 256, abs=0.012)
    replaced = inputs[~masked & ~kept]
    assert ((replaced >= 5) & (replaced < 261)).all()  # never by a special token
    assert len(replaced.unique()) > 200
    assert batch.mask is None
    assert batch.n_tokens == 400 * 200
    counts = hidden.sum(1) / (~special).sum(1)
    assert counts.max() - counts.min() < 0.012  # each row has its share


def test_masking_leaves_padding_alone_and_hides_something_in_every_row(tokenizer: Tokenizer) -> None:
    rows = make_rows([1, 2, 5, 60])
    for seed in range(30):
        batch = MaskedTokens(ENCODER, tokenizer).batch(rows, seed)
        assert (batch.weights.count_nonzero(dim=1) >= 1).all()
        assert not batch.weights[~rows.real].any()
        assert not batch.inputs[~rows.real].any()
        assert batch.mask is not None
        assert torch.equal(batch.mask, rows.real)
        assert batch.n_tokens == 68
    only_specials = Rows(torch.ones(1, 4, dtype=torch.long), torch.ones(1, 4), torch.ones(1, 4, dtype=torch.bool))
    assert not MaskedTokens(ENCODER, tokenizer).batch(only_specials, 0).weights.any()


@given(
    lengths=st.lists(st.integers(1, 255), min_size=1, max_size=5), seed=st.integers(0, 10**6), specials=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_sources_and_targets_give_back_the_text(
    tokenizer: Tokenizer, lengths: list[int], seed: int, specials: bool
) -> None:
    rows = make_rows(lengths, seed, specials)
    batch = SpanCorruption(PAIR, tokenizer).batch(rows, seed)
    assert batch.source is not None
    real = torch.ones_like(batch.source, dtype=torch.bool) if batch.source_mask is None else batch.source_mask
    assert batch.source.size(1) <= PAIR.context_length
    assert batch.inputs.size(1) <= PAIR.context_length
    sentinels = sentinel_ids(tokenizer)
    n_real = 0
    for row, length in enumerate(lengths):
        source = batch.source[row][real[row]].tolist()
        n = int(batch.weights[row].count_nonzero())
        target = batch.targets[row, :n].tolist()
        assert fill_sentinels(source, target, sentinels, END) == rows.ids[row, :length].tolist()
        assert source[-1] == target[-1] == END
        assert batch.inputs[row, :n].tolist() == [start_id(PAIR, tokenizer), *target[:-1]]
        used = [id for id in source if id in sentinels]
        assert used == [id for id in target if id in sentinels] == list(sentinels[: len(used)])
        assert specials or used
        assert not any(id < 5 for id in target[:-1])  # nothing special is hidden
        assert not batch.source[row][~real[row]].any()
        n_real += len(source) + n
    assert batch.n_tokens == n_real


def test_spans_have_the_shares_of_t5() -> None:
    rng = random.Random(0)
    spans = [draw_spans(200, 32, rng) for _ in range(2000)]
    for row in spans:
        assert sum(stop - start for start, stop in row) == 30
        assert len(row) == 10
        assert all(before[1] < after[0] for before, after in itertools.pairwise(row))  # they never touch
        assert all(0 <= start < stop <= 200 for start, stop in row)
    hidden = torch.zeros(200)
    for row in spans:
        for start, stop in row:
            hidden[start:stop] += 1
    share = hidden / 2000
    assert share[10:190].sub(0.15).abs().max() < 0.035
    assert share.min() > 0.03  # the ends are in fewer spans, but in some (in T5's own code never the first token)
    assert len(draw_spans(10_000, 32, rng)) == 32
    assert draw_spans(0, 32, rng) == []
    assert draw_spans(1, 32, rng) == [(0, 1)]


def test_a_target_weighs_what_its_text_does(tokenizer: Tokenizer) -> None:
    rows = make_rows([100])
    batch = SpanCorruption(PAIR, tokenizer).batch(rows, 0)
    by_id = dict(zip(rows.ids[0].tolist(), rows.weights[0].tolist(), strict=True))
    targets, weights = batch.targets[0].tolist(), batch.weights[0].tolist()
    unique = [id for id in targets if rows.ids[0].tolist().count(id) == 1]
    assert unique
    assert all(weights[targets.index(id)] == pytest.approx(by_id[id]) for id in unique)
    sentinel = targets.index(sentinel_ids(tokenizer)[0])
    assert weights[sentinel] == weights[sentinel + 1]


def test_what_a_target_does_not_name_stays_a_gap() -> None:
    assert fill_sentinels([7, 90, 8, 91, END], [90, 5, 6, END, 91], [90, 91], END) == [7, 5, 6, 8, 91]
    assert fill_sentinels([7], [3, 4], [90], None) == [7]


@pytest.mark.parametrize("config", [ENCODER, PAIR], ids=lambda config: config.topology)
@pytest.mark.parametrize("kind", ["text", "examples"])
def test_corruption_follows_from_seed_and_step(
    library: Library, tokenizer: Tokenizer, config: ModelConfig, kind: str
) -> None:
    config = dataclasses.replace(config, context_length=32)
    if kind == "text":
        path = library.home / "a.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {n} of {n * n}\n" for n in range(200)), encoding="utf-8")
        corpus = build_text_corpus(library, [path], 0.2)
    else:
        examples = [{"text": f"number {n} " * (n % 4 + 1)} for n in range(90)]
        corpus = build_examples_corpus(library, examples[:70], examples[70:], "n", 0)

    def batches(split: str = "train", **changes: int) -> Batches:
        return make_batches(corpus, tokenizer, config, dataclasses.replace(TRAIN, **changes), split)

    ours, again = batches(grad_accum_steps=2), batches(grad_accum_steps=2)
    whole = [ours.batch(step, micro_step) for step in range(20) for micro_step in range(2)]
    for i in reversed(range(40)):
        pairs = zip(all_tensors(whole[i]), all_tensors(again.batch(i // 2, i % 2)), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    other = batches(seed=4).batch(0)
    assert other.inputs.shape != whole[0].inputs.shape or not torch.equal(other.inputs, whole[0].inputs)
    one, two = batches("val"), batches("val", seed=9)  # a validation is the same for all runs
    assert one.n_batches == two.n_batches > 1
    for i in range(one.n_batches):
        pairs = zip(all_tensors(one.batch(i)), all_tensors(two.batch(i)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert one.bytes_per_token is None


def test_the_same_window_is_corrupted_otherwise_in_every_epoch(library: Library, tokenizer: Tokenizer) -> None:
    examples = [{"text": "the same text again"}] * 2
    corpus = build_examples_corpus(library, examples, examples, "n", 0)
    batches = make_batches(corpus, tokenizer, dataclasses.replace(ENCODER, context_length=32), TRAIN)
    assert len({batches.batch(step).inputs.numpy().tobytes() for step in range(20)}) > 15


def test_an_epoch_of_an_encoder_reads_each_token_of_the_validation_once(library: Library, tokenizer: Tokenizer) -> None:
    path = library.home / "a.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"line {n}\n" for n in range(300)), encoding="utf-8")
    corpus = build_text_corpus(library, [path], 0.2)
    batches = make_batches(corpus, tokenizer, dataclasses.replace(ENCODER, context_length=32), TRAIN, "val")
    whole = [batches.batch(i) for i in range(batches.n_batches)]
    masks = [torch.ones_like(batch.targets, dtype=torch.bool) if batch.mask is None else batch.mask for batch in whole]
    read = torch.cat([batch.targets[mask] for batch, mask in zip(whole, masks, strict=True)])
    assert read.tolist() == encode_text(tokenizer, corpus.read_text("val"))


def test_chats_end_once(library: Library, tokenizer: Tokenizer) -> None:
    chat = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello you"}]}
    corpus = build_examples_corpus(library, [chat, {"text": "plain"}], [chat], "hi", 0)
    batch = make_batches(corpus, tokenizer, PAIR, TRAIN, "val").batch(0)
    assert batch.source is not None
    assert batch.source[0].tolist().count(END) == 2  # behind the question and the answer
    assert batch.source[0, -1] == batch.targets[0, -1] == END


def test_what_no_plain_objective_trains_is_refused(byte_tokenizer: Tokenizer, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="head 'token' cannot learn from plain text"):
        make_objective(dataclasses.replace(ENCODER, head="token"), tokenizer)
    with pytest.raises(ValueError, match="a larger context_length"):
        make_objective(dataclasses.replace(PAIR, context_length=2), tokenizer)
    with pytest.raises(ValueError, match="no mask token"):
        make_objective(ENCODER, byte_tokenizer)
    with pytest.raises(ValueError, match="no sentinels"):
        make_objective(PAIR, byte_tokenizer)
