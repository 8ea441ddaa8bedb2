"""What the glass box reads of a model with a custom block: everything, but the weights that a block does not return."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.events import result_of
from terrarium.models.inspect.attention import read_attention
from terrarium.models.inspect.minimal_pair import read_pair
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import put_block, start_source, with_block

SIGNED = """import torch
from torch import nn

BLOCK = {"name": "signed", "slot": "attention", "title": "Signed"}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.value = nn.Linear(config.d_model, config.d_model)
        self.n_head = config.n_head

    def forward(self, x, allowed):
        weights = torch.where(allowed, torch.tensor([[2.0], [-1.0]]).expand(x.size(1) // 2, -1, -1).reshape(1, 1, -1, 1), 0)
        return weights[:, 0] @ self.value(x), weights.expand(x.size(0), self.n_head, -1, -1)
"""
NO_WEIGHTS = "^The attention of the block “gated_convolution” cannot be shown, because the block returns only its output"


def model_with(source: str, tokenizer: Tokenizer) -> AnyModel:
    design = ModelConfig(
        n_layer=2, d_model=16, n_head=2, context_length=32, vocab_size=tokenizer.get_vocab_size(), position="none"
    )
    torch.manual_seed(0)
    return build_model(with_block(design, put_block(source))).eval()


def test_a_block_that_returns_no_weights_is_said_to_have_no_map(library: Library, tiny_tokenizer: Tokenizer) -> None:
    model = model_with(start_source("convolution"), tiny_tokenizer)
    with pytest.raises(ValueError, match=NO_WEIGHTS):
        result_of(read_attention(model, [1, 2, 3, 4]))
    with pytest.raises(ValueError, match=NO_WEIGHTS):
        read_pair(model, tiny_tokenizer, "the cat", "the dog")


def test_weights_of_any_sign_are_shown_without_an_entropy(library: Library, tiny_tokenizer: Tokenizer) -> None:
    (stack,) = result_of(read_attention(model_with(SIGNED, tiny_tokenizer), [1, 2, 3, 4]))
    for site in stack.sites:
        assert site.weights[0, :, 0].tolist() == [2, -1, 2, -1]
        assert site.scores["first"].tolist() == [0, 0]  # the mean of rows 1 to 3, of which the first has nothing else
        assert np.isfinite(site.scores["diffuse"]).all() and (site.scores["diffuse"] <= 0).all()
