"""What is shown of a run's data before it starts: the same batches, with what is hidden and what is predicted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tasks.seen_example import TokenRow
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens
from terrarium.models.training.batches import make_batches
from terrarium.models.training.estimates import preview as preview_module
from terrarium.models.training.estimates.findings import DataPreview
from terrarium.models.training.estimates.preview import N_EXAMPLES, preview_data
from terrarium.models.training.prepare import PreparedData
from tests.models.training.support import result_of

TRAIN = TrainConfig(batch_size=4, steps=50, seed=3)
DECODER = ModelConfig(context_length=32, n_layer=1, d_model=32, n_head=2)
ENCODER = dataclasses.replace(DECODER, topology="encoder-only")
PAIR = dataclasses.replace(DECODER, topology="encoder-decoder", position="t5")
DENOISER = dataclasses.replace(PAIR, position="learned")


@pytest.fixture
def corpus(library: Library, tmp_path: Path) -> Corpus:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"Anna has {n} apples.\n" for n in range(300)), encoding="utf-8")
    return build_text_corpus(library, [path], 0.1)


def look(corpus: Corpus, byte_tokenizer: Tokenizer, model: ModelConfig) -> tuple[DataPreview, Tokenizer, ModelConfig]:
    tokenizer = Tokenizer.from_str(byte_tokenizer.to_str())
    add_missing_special_tokens(tokenizer, model.topology, masks=model.position == "learned")
    model = dataclasses.replace(model, vocab_size=tokenizer.get_vocab_size())
    spec = RunSpec(name="small", model=model, tokenizer=TokenizerSpec(), data=DataSpec(), train=TRAIN)
    return result_of(preview_data(PreparedData(spec=spec, tokenizer=tokenizer, corpus=corpus))), tokenizer, model


def ids(row: TokenRow | None) -> list[int]:
    assert row is not None
    return [piece.id for piece in row.pieces]


def text(row: TokenRow | None, places: frozenset[int] | None = None) -> str:
    assert row is not None
    return b"".join(piece.bytes for i, piece in enumerate(row.pieces) if places is None or i in places).decode()


def test_a_decoder_predicts_every_token_but_the_first(corpus: Corpus, byte_tokenizer: Tokenizer) -> None:
    preview, tokenizer, model = look(corpus, byte_tokenizer, DECODER)
    assert preview.objective == "next-token"
    assert len(preview.examples) == N_EXAMPLES
    batch = make_batches(corpus, tokenizer, model, TRAIN).batch(0)
    first = preview.examples[0]
    assert first.source is None
    assert ids(first.target) == [int(batch.inputs[0, 0]), *batch.targets[0].tolist()]
    assert first.target.predicted == frozenset(range(1, 33))


def test_an_encoder_reads_masks_and_predicts_what_they_hide(corpus: Corpus, byte_tokenizer: Tokenizer) -> None:
    preview, tokenizer, model = look(corpus, byte_tokenizer, ENCODER)
    batch = make_batches(corpus, tokenizer, model, TRAIN).batch(0)
    first = preview.examples[0]
    assert first.source is not None
    assert ids(first.source) == batch.inputs[0].tolist()
    assert ids(first.target) == batch.targets[0].tolist()
    assert first.target.predicted == frozenset(batch.weights[0].nonzero().flatten().tolist())
    assert text(first.source, first.source.hidden) == "<|mask|>" * len(first.source.hidden)
    assert any(example.source.hidden for example in preview.examples if example.source is not None)
    assert first.source.hidden | first.source.changed <= first.target.predicted


def test_gaps_are_hidden_and_the_whole_target_is_predicted(corpus: Corpus, byte_tokenizer: Tokenizer) -> None:
    preview, *_ = look(corpus, byte_tokenizer, PAIR)
    first = preview.examples[0]
    assert first.source is not None
    assert text(first.source, first.source.hidden).startswith("<|extra_0|>")
    assert text(first.target).startswith("<|extra_0|>")
    assert text(first.target).endswith("<|end|>")
    assert len(first.target.predicted) == len(first.target.pieces)


def test_a_denoiser_restores_the_whole_text(corpus: Corpus, byte_tokenizer: Tokenizer) -> None:
    preview, *_ = look(corpus, byte_tokenizer, DENOISER)
    first = preview.examples[0]
    assert preview.objective == "denoising"
    assert first.source is not None
    assert "<|mask|>" in text(first.source, first.source.hidden)
    assert "Anna" in "".join(text(example.target) for example in preview.examples)
    assert "<|mask|>" not in text(first.target)


def test_the_size_of_the_text_is_reported(corpus: Corpus, byte_tokenizer: Tokenizer) -> None:
    preview, *_ = look(corpus, byte_tokenizer, DECODER)
    train, val = preview.splits
    assert train.n_tokens == train.n_bytes == len(corpus.read_text("train"))
    assert val.n_tokens == len(corpus.read_text("val"))
    assert train.n_examples == 0
    assert preview.lengths.unit == "lines"
    assert sum(preview.lengths.counts) == corpus.read_text("train").strip().count("\n") + 1
    assert preview.lengths.longest == len("Anna has 100 apples.")
    windows = (train.n_tokens - 1 - 32) // 32
    assert preview.epochs == pytest.approx(50 / -(-windows // 4))
    assert preview.problems == ()


def test_examples_and_truncated_ones_are_counted(library: Library, byte_tokenizer: Tokenizer) -> None:
    texts = [{"text": "word " * n} for n in range(1, 21)]
    corpus = build_examples_corpus(library, texts, texts[:5], "words", 0)
    preview, *_ = look(corpus, byte_tokenizer, DECODER)
    assert preview.splits[0].n_examples == 20
    assert preview.lengths.unit == "examples"
    assert sum(preview.lengths.counts) == 20
    assert preview.lengths.longest == 5 * 20 + 1
    assert preview.lengths.n_cut == sum(5 * n + 1 > 33 for n in range(1, 21))
    assert preview.lengths.limit == 32
    target = preview.examples[0].target
    assert target.pieces[0].bytes == b" "
    assert all(piece.bytes != b"<|pad|>" for piece in target.pieces)


def test_what_is_counted_in_a_sample_is_called_so(
    library: Library, tmp_path: Path, byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_module, "_MAX_EXAMPLES", 10)
    texts = [{"text": "word " * n} for n in range(1, 21)]
    shown, *_ = look(build_examples_corpus(library, texts, texts[:5], "words", 0), byte_tokenizer, DECODER)
    assert (shown.lengths.unit, sum(shown.lengths.counts)) == ("sampled examples", 10)
    assert shown.lengths.n_cut == sum(5 * n + 1 > 33 for n in range(1, 21)), "of all"
    path = tmp_path / "lines.txt"
    path.write_text("Anna\n" * 30_000, encoding="utf-8")
    shown, *_ = look(build_text_corpus(library, [path], 0.1), byte_tokenizer, DECODER)
    assert (shown.lengths.unit, sum(shown.lengths.counts)) == ("sampled lines", 13_500)


def test_a_too_short_validation_split_is_reported_and_the_rest_shown(
    library: Library, tmp_path: Path, byte_tokenizer: Tokenizer
) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Anna has apples.\n" * 20, encoding="utf-8")
    preview, *_ = look(build_text_corpus(library, [path], 0.06), byte_tokenizer, DECODER)
    assert preview.examples
    assert "validation part" in preview.problems[0]
