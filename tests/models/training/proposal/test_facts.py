"""What is known of the data before a run is the same that the run then reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import result_of
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.parents import parent_config
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.training.batches import make_batches
from terrarium.models.training.prepare import prepare_trial
from terrarium.models.training.proposal.facts import read_facts
from tests.models.interop.test_gguf import bpe
from tests.models.interop.test_parents import hugging_face, tuned

__all__ = ["bpe"]


@pytest.mark.parametrize("is_imported", [False, True])
def test_conversations_have_the_lengths_and_replies_that_the_run_reads(
    library: Library, tmp_path: Path, bpe: Tokenizer, is_imported: bool
) -> None:
    """Each row in the chat template of the model that learns it, wherever that comes from."""
    parent = str(hugging_face(tmp_path, bpe))
    if is_imported:
        parent = result_of(import_model(Path(parent), library)).name
    asked = {"role": "user", "content": "Anna has 1 apple?"}
    chats = [{"messages": [asked, {"role": "assistant", "content": "7 " * n}]} for n in (1, 1, 2, 2, 3, 3)]
    corpus = build_examples_corpus(library, chats, chats[:2], "talk", 0, task="chat")
    spec = tuned(library, parent, batch_size=2, context_loss_weight=0.0)
    assert spec.tune is not None
    spec = dataclasses.replace(
        spec,
        tune=dataclasses.replace(spec.tune, max_length=64),
        model=parent_config(library, parent),
        data=DataSpec(source="dataset", dataset=corpus.sha, task="chat"),
    )
    facts = result_of(read_facts(library, spec))
    assert facts is not None
    prepared = result_of(prepare_trial(library, spec))
    batches = make_batches(
        prepared.corpus,
        prepared.tokenizer,
        prepared.spec.batch_model,
        dataclasses.replace(prepared.spec.train, batch_size=100),  # all in one
        template=prepared.template,
    )
    batch = batches.batch(0)
    assert batch.inputs.shape[0] == len(facts.lengths) == 6
    # Of the longest rows the last token is predicted, but not read.
    assert facts.lengths[-1] == batch.inputs.shape[1] + 1
    assert facts.n_tokens == batch.count_tokens(padded=True) + facts.lengths.count(facts.lengths[-1])
    assert facts.reply_share == pytest.approx(int(batch.weights.count_nonzero()) / facts.n_tokens)
