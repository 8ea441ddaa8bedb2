"""An ablated part adds nothing, as if its output weights were zero; a patched one outputs the donor's activations."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import TokenMade
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.generate import generate
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.inspect.ablation import (
    ModelPart,
    Survey,
    ablated_logits,
    compare_answers,
    generate_with_ablation,
    parts_of,
    record_donor,
)
from terrarium.models.inspect.read_text import Text, answer_logits, answering_stack, read
from terrarium.models.inspect.readout import Readout
from terrarium.models.tokenizers import train_tokenizer
from tests.models.every_cut import EVERY_CUT
from tests.models.inspect.designs import CONFIGS, make, text_of


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> AnyModel:
    return make(request.param)


def own(model: AnyModel, text: Text) -> torch.Tensor:
    with evaluating(model):
        return answer_logits(model, read(model, text))[0, -1]


def silence(model: AnyModel, part: ModelPart) -> None:
    """By hand: zero what the part adds to the residual stream."""
    module = model.get_submodule(part.site)
    if part.head is not None:
        module.output.weight.unflatten(1, (module.n_head, -1))[:, part.head] = 0
        return
    for name, parameter in module.named_parameters():
        if name.startswith(("output.", "down.", "attention.output.", "cross_attention.output.")) or ".down." in name:
            parameter.zero_()


@torch.no_grad()
def test_ablation_equals_zero_weights(model: AnyModel) -> None:
    text = text_of(model)
    parts = [part for _, block in parts_of(model)[::2] for part in block if part.head in (None, 1)]
    found = ablated_logits(model, text, Readout(at=6), [[], *([part] for part in parts)])
    torch.testing.assert_close(found[0], own(model, text), rtol=1e-4, atol=1e-5)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    for part, logits in zip(parts, found[1:], strict=True):
        silence(model, part)
        torch.testing.assert_close(own(model, text), logits, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(logits, found[0], atol=1e-3)
        model.load_state_dict(kept)


@torch.no_grad()
def test_several_parts_can_be_ablated_together(model: AnyModel) -> None:
    model, text = copy.deepcopy(model), text_of(model)
    site = f"{answering_stack(model).site}blocks.1"
    heads = [ModelPart(f"{site}.attention", i) for i in range(4)]
    apart, together = ablated_logits(model, text, Readout(at=6), [heads, [*heads, ModelPart(f"{site}.feed_forward")]])
    for part in (*heads, ModelPart(f"{site}.feed_forward")):
        silence(model, part)
    torch.testing.assert_close(own(model, text), together, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(apart, together)


def test_patching_every_part_gives_the_donors_answer(model: AnyModel) -> None:
    text, other = text_of(model, 1), text_of(model, 2)
    site = answering_stack(model).site
    donor = record_donor(model, other)
    everything = [ModelPart(block) for block, _ in parts_of(model)]
    same = ablated_logits(model, text, Readout(at=6), [[], everything], record_donor(model, text))
    torch.testing.assert_close(same[1], same[0])
    # All parts but the embeddings are patched: with the same last token, the answer is the donor's.
    last = Text(ids=(*other.ids[:-1], text.ids[-1]), source_ids=other.source_ids)
    patched = ablated_logits(model, text, Readout(at=6), [everything], record_donor(model, last))[0]
    torch.testing.assert_close(patched, own(model, last), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(
        ablated_logits(model, text, Readout(at=6), [[ModelPart(f"{site}blocks.0")]], donor)[0], own(model, text)
    )


def test_a_shorter_donor_is_aligned_at_the_end(model: AnyModel) -> None:
    text, short = text_of(model, 1), text_of(model, 2, length=4)
    everything = [ModelPart(block) for block, _ in parts_of(model)]
    found = ablated_logits(model, text, Readout(at=6), [everything], record_donor(model, short))
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0], own(model, text))


def test_a_survey_measures_every_part_once(model: AnyModel) -> None:
    text = text_of(model)
    survey, found = Survey(text, Readout(at=5), 3), {}
    while told := survey.measure_next(model):
        assert not found.keys() & {part for part, _ in told}
        found.update(told)
    expected = [part for _, parts in parts_of(model) for part in parts]
    assert set(found) == set(expected)
    assert len(found) == survey.total
    before, *after = ablated_logits(model, text, Readout(at=5), [[], *([part] for part in expected)]).log_softmax(
        dim=-1
    )[:, 3]
    for part, log_p in zip(expected, after, strict=True):
        assert found[part] == pytest.approx(float(log_p - before), abs=1e-4)


def test_a_survey_reads_its_baseline_again_after_an_update() -> None:
    model = make("gpt2-tiny")
    text = text_of(model)
    survey = Survey(text, Readout(at=5), 3)
    survey.measure_next(model)
    with torch.no_grad():
        model.embedding.weight.mul_(1.1)
    told = survey.measure_next(model)
    before, after = ablated_logits(model, text, Readout(at=5), [[], [told[0][0]]]).log_softmax(dim=-1)[:, 3]
    assert told[0][1] == pytest.approx(float(after - before), abs=1e-4)


def test_a_hidden_token_is_not_attended_to() -> None:
    model = make("gpt2-tiny")
    text = text_of(model)
    changed = Text(ids=(text.ids[0], 29 - text.ids[1], *text.ids[2:]))
    hide = frozenset({1})
    a, b = (ablated_logits(model, Text(ids=t.ids, hidden=hide), Readout(at=6), [[]])[0] for t in (text, changed))
    torch.testing.assert_close(a, b)
    assert not torch.allclose(a, own(model, text))


def test_a_comparison_says_what_changed() -> None:
    before, after = torch.tensor([2.0, 1.0, 0.0, -1.0]), torch.tensor([0.0, 1.0, 2.0, -1.0])
    change = compare_answers(before, after, 3, n_best=1)
    p, q = before.softmax(0), after.softmax(0)
    assert [id for id, _, _ in change.tokens] == [0, 2, 3]
    assert change.tokens[0][1:] == pytest.approx((float(p[0]), float(q[0])))
    assert change.log_ratio == pytest.approx(0.0, abs=1e-6)
    assert change.divergence == pytest.approx(float((p * (p / q).log()).sum()))


@pytest.mark.parametrize("name", ["llama-tiny", "terrarium-tiny", "t5-tiny"])
def test_generation_with_a_part_ablated(name: str) -> None:
    model = make(name)
    text = text_of(model, length=4)
    greedy = SamplingConfig(temperature=0.0)
    part = ModelPart(f"{answering_stack(model).site}blocks.0.attention")
    untouched, changed = generate_with_ablation(model, text, [part], None, 6, greedy)
    again, same = generate_with_ablation(model, text, [], None, 6, greedy)
    assert untouched == again == same
    for i in range(6):  # without a cache
        read_so_far = Text(ids=(*text.ids, *changed[:i]), source_ids=text.source_ids)
        assert int(ablated_logits(model, read_so_far, Readout(at=3 + i), [[part]])[0].argmax()) == changed[i]
    drawn = SamplingConfig(temperature=1.5, seed=5)
    assert generate_with_ablation(model, text, [part], None, 6, drawn) == generate_with_ablation(
        model, text, [part], None, 6, drawn
    )
    assert len(generate_with_ablation(model, text, [], None, 99, greedy, end=untouched[2])[0]) <= 3
    assert len(generate_with_ablation(model, text, [], None, 99, greedy)[0]) == 24 - 4 + 1
    assert generate_with_ablation(model, text, [part], record_donor(model, text), 6, greedy)[1] == untouched


@pytest.mark.parametrize("cut", [{}, *EVERY_CUT.values()], ids=str)
def test_a_reply_is_reproduced_from_its_draws(cut: dict[str, Any]) -> None:
    model = make("llama-tiny", vocab_size=261)
    sampling = SamplingConfig(temperature=1.5, seed=7, max_tokens=8, frequency_penalty=0.5, **cut)
    tokenizer = train_tokenizer((), "byte", 0)
    prompt = (70, 80, 90)
    made = [event for event in generate(model, tokenizer, prompt, sampling) if isinstance(event, TokenMade)]
    ids = [event.id for event in made]
    for n_given in (0, 3):
        text = Text(ids=(*prompt, *ids[:n_given]))
        draws = [event.draw for event in made[n_given:]]
        for known in (draws, draws[:2], ()):  # the others come from the seed
            untouched, _ = generate_with_ablation(model, text, [], None, 8 - n_given, sampling, draws=known, n_prompt=3)
            assert untouched == ids[n_given:]


def test_an_encoder_cannot_continue_a_text() -> None:
    model = make("bert-tiny")
    with pytest.raises(ValueError, match="cannot continue a text"):
        generate_with_ablation(model, text_of(model), [], None, 3, SamplingConfig())


def test_unknown_parts_cannot_be_patched() -> None:
    model = make("gpt2-tiny")
    with pytest.raises(ValueError, match=r"nothing called 'blocks.7' to patch: it can be embedding, "):
        ablated_logits(model, text_of(model), Readout(at=3), [[ModelPart("blocks.7")]])
