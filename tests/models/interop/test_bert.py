"""BERT's classes: the same logits, or hidden states, as transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from terrarium.models import load_model
from terrarium.models.interop.families import family_of
from terrarium.models.settings.presets import PRESETS
from tests.models.interop.one_text import compare, make_bert
from tests.models.interop.support import (
    change_config,
    rename_tensors,
    save_theirs,
)


@pytest.mark.parametrize("seed", range(7))
def test_masked_tokens(tmp_path: Path, seed: int) -> None:
    from transformers import BertForMaskedLM

    theirs = make_bert(BertForMaskedLM, seed)
    ours = compare(save_theirs(theirs, tmp_path, sharded=seed == 0), theirs)
    assert ours.config.head == "language"
    assert ours.config.tied_embeddings
    assert ours.n_parameters == sum(parameter.numel() for parameter in theirs.parameters())


def test_an_untied_output_embedding(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    theirs = make_bert(BertForMaskedLM, 1, tie_word_embeddings=False)
    ours = compare(save_theirs(theirs, tmp_path), theirs)
    assert not ours.config.tied_embeddings


@pytest.mark.parametrize("has_pooler", [True, False])
def test_hidden_states(tmp_path: Path, has_pooler: bool) -> None:
    from transformers import BertModel

    theirs = make_bert(BertModel, 2, has_pooler)
    ours = compare(save_theirs(theirs, tmp_path), theirs)
    assert ours.head is None
    assert ours.config.pooler is has_pooler


@pytest.mark.parametrize("n_label", [1, 2, 5])
@pytest.mark.parametrize("architecture", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_labels(tmp_path: Path, architecture: str, n_label: int) -> None:
    import transformers

    theirs = make_bert(getattr(transformers, architecture), n_label, num_labels=n_label)
    ours = compare(save_theirs(theirs, tmp_path), theirs)
    assert ours.config.n_label == n_label


def test_older_spellings(tmp_path: Path) -> None:
    """Files from TensorFlow, without the prefix, with copies of what is tied, and with leftovers of pretraining."""
    from transformers import BertForMaskedLM

    theirs = make_bert(BertForMaskedLM, 3)
    save_theirs(theirs, tmp_path)

    def spelled(name: str) -> list[str]:
        new = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        if name == "cls.predictions.bias":
            return [name, "cls.predictions.decoder.bias"]
        if name == "bert.embeddings.word_embeddings.weight":
            return [name, "cls.predictions.decoder.weight"]
        if name == "bert.embeddings.position_embeddings.weight":
            return [new, "bert.pooler.dense.weight", "cls.seq_relationship.weight", "bert.embeddings.position_ids"]
        return [new]

    rename_tensors(tmp_path, spelled)
    compare(tmp_path, theirs)


def test_a_model_without_its_prefix(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    theirs = make_bert(BertForMaskedLM, 4)
    save_theirs(theirs, tmp_path)
    rename_tensors(tmp_path, lambda name: [name.removeprefix("bert.")])
    compare(tmp_path, theirs)


def test_a_headless_model_with_a_prefix(tmp_path: Path) -> None:
    from transformers import BertModel

    theirs = make_bert(BertModel, 4)
    save_theirs(theirs, tmp_path)
    rename_tensors(tmp_path, lambda name: [f"bert.{name}"])
    assert compare(tmp_path, theirs).config.pooler


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'"),
        ({"hidden_act": "silu"}, "hidden_act 'silu'"),
        ({"is_decoder": True}, "is_decoder True"),
        ({"add_cross_attention": True}, "add_cross_attention True"),
        ({"type_vocab_size": 0}, "type_vocab_size 0"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"per_layer_config": {"0": {"num_attention_heads": 2}}}, "per_layer_config"),
        ({"embedding_size": 12}, "embedding_size"),
        ({"num_attention_heads": 5}, "n_head 5 does not divide"),
        ({"hidden_size": 32}, "contradicts its config"),
        ({"num_hidden_layers": 9}, "lacks the tensor"),
        ({"architectures": ["BertForMultipleChoice"]}, "BertForMultipleChoice is not supported"),
        ({"architectures": ["BertModel"]}, "has the tensor 'cls"),
    ],
)
def test_unsupported_options_are_named(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    from transformers import BertForMaskedLM

    save_theirs(make_bert(BertForMaskedLM, 5, num_attention_heads=2), tmp_path)
    change_config(tmp_path, **options)
    with pytest.raises(ValueError, match=named) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_copy_that_differs_is_refused(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    theirs = make_bert(BertForMaskedLM, 6, tie_word_embeddings=False)
    save_theirs(theirs, tmp_path)
    change_config(tmp_path, tie_word_embeddings=True)
    with pytest.raises(ValueError, match=r"cls\.predictions\.decoder"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"position": "rope"}, "needs position 'learned'"),
        ({"norm_place": "pre"}, "needs norm_place 'post'"),
        ({"n_segment": 0}, "needs n_segment"),
        ({"head_transform": False}, "needs head_transform True"),
        ({"pooler": True}, "needs pooler False"),
        ({"head": "sequence"}, "needs pooler True"),
        ({"d_head": 4}, "needs head_dim 8"),
        ({"activation": "swiglu"}, "has no activation 'swiglu'"),
        ({"n_kv_head": 1}, "needs attention_kind 'multi-head'"),
        ({"bias": "none"}, "needs bias 'all'"),
    ],
)
def test_what_bert_cannot_compute_is_not_written(changes: dict[str, Any], named: str) -> None:
    values = {**PRESETS["bert-tiny"].to_dict(), "d_model": 32, **changes}
    config = type(PRESETS["bert-tiny"])(**values)
    with pytest.raises(ValueError, match=f"BertForMaskedLM {named}"):
        family_of(config)
