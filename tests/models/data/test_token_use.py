"""Which tokens a run's training text uses, counted over all of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from terrarium.models.corpora import token_use
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.corpora.token_use import TokenUse, count_training_tokens
from terrarium.models.events import Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import encode_text, read_tokenizer
from tests.models.training.support import make_run

CHAT = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna <|system|>."}]}


def run_on(corpus: Corpus, parent: dict[str, str] | None = None) -> Any:
    """A run that learned from this."""
    lineage = {"corpus": {"sha256": corpus.sha}, "parent": parent}
    return SimpleNamespace(lineage=lineage, made_from=lambda what: lineage[what]["sha256"])


def counted(library: Library, run: Any, tokenizer: Tokenizer) -> TokenUse:
    found = result_of(count_training_tokens(library, run, tokenizer))
    assert found is not None
    return found


def test_the_tokens_of_a_text(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    tokenizer = read_tokenizer(run.tokenizer_file)
    found = counted(library, run, tokenizer)
    corpus = library.corpora / run.made_from("corpus")[:12]
    ids = encode_text(tokenizer, (corpus / "train.txt").read_text("utf-8"))
    expected = np.bincount(ids, minlength=len(found.counts))
    assert (found.counts[5:] == expected[5:]).all(), "special tokens aside"
    assert found.is_whole
    steps = list(count_training_tokens(library, run, tokenizer))
    assert all(isinstance(step, Progress) for step in steps)


def test_conversations_have_the_special_tokens_of_their_form(library: Library, byte_tokenizer: Tokenizer) -> None:
    run = run_on(build_examples_corpus(library, [CHAT], [CHAT], "chats", None))
    found = counted(library, run, byte_tokenizer).counts
    name = byte_tokenizer.token_to_id
    assert found[name("<|user|>")] > 0
    assert found[name("<|assistant|>")] > 0
    assert found[name("<|end|>")] > 0
    assert found[name("<|system|>")] == found[name("<|pad|>")] == 0, "one that was written is plain text"


def test_a_run_from_weights_has_also_seen_what_they_learned_from(
    library: Library, tiny_config: ModelConfig, byte_tokenizer: Tokenizer
) -> None:
    parent = make_run(library, tiny_config)
    rows = [{"text": "Zoe"}]
    corpus = build_examples_corpus(library, rows, rows, "new", None)
    alone = counted(library, run_on(corpus), byte_tokenizer).counts
    both = counted(library, run_on(corpus, {"kind": "weights", "run": parent.id}), byte_tokenizer).counts
    before = counted(library, parent, byte_tokenizer).counts
    assert (both == alone + before).all()
    elsewhere = run_on(corpus, {"kind": "weights", "path": "model.gguf"})
    assert result_of(count_training_tokens(library, elsewhere, byte_tokenizer)) is None


def test_a_text_that_is_gone_is_not_known(library: Library, byte_tokenizer: Tokenizer) -> None:
    corpus = build_examples_corpus(library, [CHAT], [CHAT], "chats", None)
    lost = run_on(corpus)
    lost.lineage["corpus"]["sha256"] = "0" * 64
    assert result_of(count_training_tokens(library, lost, byte_tokenizer)) is None
    imported = SimpleNamespace(lineage={"parent": None}, made_from=lambda what: {}[what])
    assert result_of(count_training_tokens(library, imported, byte_tokenizer)) is None  # type: ignore[arg-type]


def test_a_very_long_text_is_counted_in_part(
    library: Library, tiny_config: ModelConfig, byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_use, "MAX_BYTES", 100)
    assert not counted(library, make_run(library, tiny_config), byte_tokenizer).is_whole
