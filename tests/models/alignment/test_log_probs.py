"""What counts of a reply: its own tokens and its end, and nothing before or after them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from terrarium.models.alignment.log_probs import by_row, counted, read_replies, reply_log_probs
from terrarium.models.alignment.rollouts import reply_batch
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.data.batch import Batch
from terrarium.models.settings.model_config import ModelConfig

PROMPTS = [(5, 6, 7), (8,)]
REPLIES = [(9, 3), (10, 11, 12, 13, 3)]
CONFIG = ModelConfig(vocab_size=20, context_length=16, n_layer=1, n_head=2, d_model=16)


def build(seed: int = 1) -> AnyModel:
    torch.manual_seed(seed)
    return build_model(dataclasses.replace(CONFIG, init_std=0.4)).eval()


def gradient(model: AnyModel, batch: Batch) -> Tensor:
    model.zero_grad()
    reply_log_probs(model, batch).sum().backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def test_each_token_of_a_reply_counts_with_its_end() -> None:
    batch = reply_batch(PROMPTS, REPLIES)
    where = counted(batch)
    assert [int(batch.targets[row, column]) for row, column in where] == [*REPLIES[0], *REPLIES[1]]
    model = build()
    whole = by_row(batch, reply_log_probs(model, batch)).detach()
    for prompt, reply, found in zip(PROMPTS, REPLIES, whole.tolist(), strict=True):
        logs = torch.log_softmax(model(torch.tensor([[*prompt, *reply]])).detach(), dim=-1)[0]
        wanted = sum(float(logs[len(prompt) - 1 + i, id]) for i, id in enumerate(reply))
        assert found == pytest.approx(wanted, abs=1e-5)


def test_gradients_know_nothing_of_prompt_targets_or_padding() -> None:
    model, batch = build(), reply_batch(PROMPTS, REPLIES)
    before = gradient(model, batch)
    targets, inputs = batch.targets.clone(), batch.inputs.clone()
    targets[batch.weights == 0] = 17
    inputs[0, len(PROMPTS[0]) + len(REPLIES[0]) - 1 :] = 18  # after the end of the shorter text
    assert not torch.equal(inputs, batch.inputs)
    after = gradient(model, dataclasses.replace(batch, inputs=inputs, targets=targets))
    assert torch.equal(before, after)


def test_kl_and_entropy_are_exact() -> None:
    model, reference, batch = build(1), build(2), reply_batch(PROMPTS, REPLIES)
    read = read_replies(model, reference, batch)
    rows, columns = counted(batch).unbind(1)
    own, ref = (torch.log_softmax(each(batch.inputs), dim=-1)[rows, columns] for each in (model, reference))
    torch.testing.assert_close(read.kl, (own.exp() * (own - ref)).sum(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(read.entropy, -(own.exp() * own).sum(1), rtol=1e-4, atol=1e-6)
    assert read_replies(model, model, batch).kl.tolist() == [0.0] * len(rows)
