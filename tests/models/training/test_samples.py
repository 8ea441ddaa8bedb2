"""Samples of pinned prompts: the text is drawn from the very distribution whose top tokens are recorded beside it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.inference.sampling import as_floats, draw_number
from terrarium.models.inference.sampling_steps import drawn_token, sampling_steps
from terrarium.models.settings.sampling_config import PINNED
from terrarium.models.tokenizers import decode
from terrarium.models.tokenizers.special_tokens import end_id
from terrarium.models.training.samples import N_TOP, prompt_input_ids, write_sample
from tests.models.inspect.designs import make

TEMPLATES = {
    "own": None,
    "foreign": ChatTemplateConfig(template="{% for m in messages %}[{{ m.content }}]{% endfor %}:"),
}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_sample_begins_with_a_token_of_the_distribution_beside_it(
    byte_tokenizer: Tokenizer, template: str, seed: int
) -> None:
    tokenizer = byte_tokenizer
    model = make("llama-tiny", vocab_size=tokenizer.get_vocab_size(), context_length=64).float()
    text, top = write_sample(
        model, tokenizer, "Hi", as_chat=True, seed=seed, max_tokens=1, template=TEMPLATES[template]
    )
    ids = prompt_input_ids(model, tokenizer, "Hi", as_chat=True, template=TEMPLATES[template])
    with torch.no_grad():
        logits = as_floats(model.eval().logits(model.hidden(torch.tensor([ids])))[0, -1])
    best = torch.tensor(logits).softmax(dim=0).topk(N_TOP)
    assert [id for id, _ in top] == best.indices.tolist()
    assert [p for _, p in top] == pytest.approx(best.values.tolist(), abs=1e-5)
    draw = draw_number(torch.Generator().manual_seed(seed))
    final = sampling_steps(logits, dataclasses.replace(PINNED, seed=seed), ids, len(ids)).final
    drawn = drawn_token(final, draw)
    assert text == ("" if drawn == end_id(tokenizer) else decode(tokenizer, [drawn]))
