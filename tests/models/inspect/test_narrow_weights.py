"""Models with quantised weights can be inspected like any others."""

from __future__ import annotations

import pytest
import torch

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.inference.weights import prepare_weights
from terrarium.models.inspect.ablation import ModelPart, Survey, ablated_logits, generate_with_ablation, record_donor
from terrarium.models.inspect.embedding_map import tables
from terrarium.models.inspect.input_attribution import attribute
from terrarium.models.inspect.logit_attribution import contributions
from terrarium.models.inspect.logit_lens import read_lens
from terrarium.models.inspect.read_text import answering_stack, n_weights, read_up_to, streams_of
from terrarium.models.inspect.readout import Readout
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.models.inspect.designs import make, text_of


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
@pytest.mark.parametrize("name", ["gpt2-tiny", "llama-tiny", "bert-tiny", "t5-tiny"])
def test_quantised_weights_give_similar_results(name: str, kind: str) -> None:
    model = make(name).float()
    narrow: AnyModel = prepare_weights(model, kind)
    text, site = text_of(model), answering_stack(model).site
    assert n_weights(narrow) > 0.9 * n_weights(model)
    donor = record_donor(narrow, read_up_to(model.config, text, 5))
    logits = ablated_logits(narrow, text, Readout(at=5), [[], [ModelPart(f"{site}blocks.0.attention", 1)]], donor)
    torch.testing.assert_close(logits[1], logits[0], rtol=0.05, atol=0.1)  # what it says itself changes nothing
    lens = read_lens(narrow, streams_of(narrow, text), [5], [3])
    torch.testing.assert_close(lens.logs[-1], logits[0].log_softmax(dim=-1), rtol=0.05, atol=0.1)
    if name != "bert-tiny":
        (split,) = contributions(narrow, streams_of(narrow, text), 5, [(3, None)])
        assert sum(v for _, v in split.parts) + split.constant == pytest.approx(split.total, rel=0.05, abs=0.1)
        generate_with_ablation(narrow, text, [ModelPart(f"{site}blocks.0")], None, 3, SamplingConfig())
    assert Survey(text, Readout(at=5), 3).measure_next(narrow)
    assert len(attribute(narrow, text, Readout(at=5), 3).tokens) == (7 if name == "bert-tiny" else 6)
    assert tables(narrow).keys() == tables(model).keys()
    assert all(p.grad is None for p in (*narrow.parameters(), *model.parameters()))
