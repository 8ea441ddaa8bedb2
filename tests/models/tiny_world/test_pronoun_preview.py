"""What a run on pronouns will read, shown before it does."""

from __future__ import annotations

import dataclasses
from itertools import islice

import pytest
from tokenizers import Tokenizer

from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.recipes.pronoun_specs import pronoun_spec
from terrarium.models.tiny_world import pronouns
from terrarium.models.tiny_world.pronouns import build_pronoun_corpus, sentences
from terrarium.models.training.estimates.preview import preview_data
from terrarium.models.training.prepare import PreparedData, prepare_trial


def test_the_referent_is_marked(library: Library, byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every fortieth sentence, because tokenizing thousands takes a while."""
    monkeypatch.setattr(pronouns, "sentences", lambda *, held_out: islice(sentences(held_out=held_out), 0, None, 40))
    spec = pronoun_spec("encoder-only")
    design = dataclasses.replace(spec.model, context_length=128)
    spec = dataclasses.replace(spec, model=design)
    ready = PreparedData(spec=spec, tokenizer=byte_tokenizer, corpus=build_pronoun_corpus(library))
    preview = result_of(preview_data(ready))
    assert preview.objective == "pronouns"
    for example in preview.examples:
        (position,) = example.target.predicted
        text = "".join(piece.display for piece in example.target.pieces[: position + 1])
        assert text.rsplit("·", 1)[1].isalpha()
    assert preview.splits[0].n_examples == 3 * preview.splits[1].n_examples == 408


def test_a_trial_of_such_a_run_is_refused(library: Library) -> None:
    with pytest.raises(ValueError, match="neither previewed nor measured"):
        list(prepare_trial(library, pronoun_spec("encoder-only")))
