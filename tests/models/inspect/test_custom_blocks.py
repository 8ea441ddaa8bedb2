"""What the glass box reads of a model with a custom block: everything, but the weights that a block does not return."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.custom_blocks import store
from terrarium.models.events import result_of
from terrarium.models.inspect.ablation import ablated_logits
from terrarium.models.inspect.attention import read_attention
from terrarium.models.inspect.input_attribution import attribute
from terrarium.models.inspect.judging import judge
from terrarium.models.inspect.minimal_pair import read_pair
from terrarium.models.inspect.next_tokens import read_logits
from terrarium.models.inspect.read_text import streams_of
from terrarium.models.inspect.readout import Readout
from terrarium.models.inspect.whole_pass import read_pass
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.models.inspect.designs import text_of
from tests.models.own_blocks import WRITES, put_block, start_source, with_block

SIGNED = """import torch
from torch import nn

BLOCK = {"name": "signed", "slot": "attention", "title": "Signed"}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.value = nn.Linear(config.d_model, config.d_model)
        self.n_head = config.n_head

    def forward(self, x, allowed):
        sign = 1 - 2 * (torch.arange(x.size(1), device=x.device)[:, None] % 2)
        weights = (allowed * sign).to(x.dtype).expand(x.size(0), self.n_head, -1, -1)
        return weights[:, 0] @ self.value(x), weights
"""
NO_WEIGHTS = "^The attention of the block “gated_convolution” cannot be shown, because the block returns only"


def model_with(source: str, tokenizer: Tokenizer) -> AnyModel:
    design = ModelConfig(
        n_layer=2, d_model=16, n_head=2, context_length=32, vocab_size=tokenizer.get_vocab_size(), position="none"
    )
    torch.manual_seed(0)
    return build_model(with_block(design, put_block(source))).eval()


def test_a_block_that_returns_no_weights_is_said_to_have_no_map(library: Library, byte_tokenizer: Tokenizer) -> None:
    model = model_with(start_source("convolution"), byte_tokenizer)
    with pytest.raises(ValueError, match=NO_WEIGHTS):
        result_of(read_attention(model, [1, 2, 3, 4]))
    with pytest.raises(ValueError, match=NO_WEIGHTS):
        read_pair(model, byte_tokenizer, ("the cat", "the dog"))


def test_rows_of_negative_weights_have_no_entropy(library: Library, byte_tokenizer: Tokenizer) -> None:
    (stack,) = result_of(read_attention(model_with(SIGNED, byte_tokenizer), [1, 2, 3, 4]))
    for site in stack.sites:
        assert site.weights[0, :, 0].tolist() == [1, -1, 1, -1]
        assert site.scores["first"] == pytest.approx([-1 / 3, -1 / 3])
        assert site.scores["diffuse"].tolist() == [
            0,
            0,
        ]  # of row 2 alone; row 0 sees one token


LOOKS: dict[str, Callable[[AnyModel, Tokenizer], object]] = {
    "attention": lambda model, tokenizer: result_of(read_attention(model, [1, 2, 3, 4])),
    "attribution": lambda model, tokenizer: attribute(model, text_of(model), Readout(at=4), 3),
    "ablation": lambda model, tokenizer: ablated_logits(model, text_of(model), Readout(at=4), [[]]),
    "next tokens": lambda model, tokenizer: read_logits(model, [1, 2, 3, 4]),
    "layers": lambda model, tokenizer: streams_of(model, text_of(model)),
    "whole pass": lambda model, tokenizer: read_pass(model, text_of(model), 3),
    "judging": lambda model, tokenizer: judge(model, tokenizer, [1, 2, 3], [4, 5]),
    "pair": lambda model, tokenizer: read_pair(model, tokenizer, ("the cat", "the dog")),
}


@pytest.mark.parametrize("name", LOOKS)
def test_nothing_looks_into_a_block_that_may_not_run_any_longer(
    name: str, library: Library, byte_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Although its model is in memory."""
    ran = tmp_path / "it ran"
    source = (WRITES % str(ran)).replace("        return", "        RAN.touch()\n        return")
    model = model_with(source, byte_tokenizer)
    ran.unlink()
    LOOKS[name](model, byte_tokenizer)
    assert ran.exists()
    (file,) = store.list_blocks()
    assert file.block is not None
    store.withdraw(file.block.sha256)
    ran.unlink()
    with pytest.raises(store.NotAllowedError, match=file.block.sha256):
        LOOKS[name](model, byte_tokenizer)
    assert not ran.exists()
