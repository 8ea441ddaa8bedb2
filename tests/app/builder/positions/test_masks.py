"""Grids of masks: what is said of a cell is true, and hidden for the reason that is given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from terrarium.app.builder.positions.masks import MAX_BLOCKS, describe_mask, grids
from terrarium.models.architecture.mask_tables import MaskedText
from terrarium.models.architecture.position_tables import alibi_scores
from terrarium.models.settings.model_config import ModelConfig

DECODER = ModelConfig(context_length=8192)
ENCODER = dataclasses.replace(DECODER, topology="encoder-only")
PAIR = dataclasses.replace(DECODER, topology="encoder-decoder")


def test_a_row_says_what_it_sees() -> None:
    (grid,) = grids(DECODER, MaskedText(length=16))
    np.testing.assert_array_equal(grid.share, np.tril(np.ones((16, 16))))
    assert grid.describe(5, 2) == "token 5 sees 0…5: 6 tokens"
    assert grid.describe(0, 0) == "token 0 sees 0: 1 token"
    assert grid.describe(5, 9) == "token 5 sees 0…5: 6 tokens; 9 is masked: it comes later"
    assert grid.summary == "136 of 256 pairs, 53\N{NO-BREAK SPACE}%"


def test_every_hidden_cell_has_its_reason() -> None:
    (grid,) = grids(dataclasses.replace(DECODER, sliding_window=4), MaskedText(length=16, n_padding=3, second_start=6))
    assert "beyond the window of 4" in grid.describe(5, 0)
    assert "other document" in grid.describe(7, 5)
    assert "it is padding" in grid.describe(10, 14)
    assert grid.describe(14, 0).startswith("token 14 is padding: it sees 11…12 and itself, and no other token sees it")
    (encoder,) = grids(ENCODER, MaskedText(length=16, n_padding=3))
    assert encoder.describe(2, 12) == "token 2 sees 0…12: 13 tokens"


def test_an_encoder_decoder_has_three() -> None:
    encoder, decoder, cross = grids(PAIR, MaskedText(length=10, n_padding=2))
    assert [grid.title for grid in (encoder, decoder, cross)] == ["Encoder", "Decoder", "Cross-attention"]
    assert encoder.share[0, 7] == 1
    assert decoder.share[0, 7] == 0
    np.testing.assert_array_equal(cross.share[4], [1] * 8 + [0] * 2)
    assert (
        cross.describe(3, 9) == "token 3 of the target: sees 0…7 of the source: 8 tokens; the source is padding there"
    )
    assert cross.summary == "80 of 100 pairs, 80\N{NO-BREAK SPACE}%"


def test_long_texts_are_blocks_that_are_counted_exactly() -> None:
    (grid,) = grids(DECODER, MaskedText(length=8192))
    assert grid.share.shape == (MAX_BLOCKS, MAX_BLOCKS)
    assert grid.share[3, 3] == pytest.approx(129 / 256)
    assert grid.describe(3, 3) == "tokens 384…511 see of 384…511: 8,256 of 16,384 pairs"
    assert grid.describe(3, 2).endswith("all")
    assert grid.describe(3, 4).endswith("none")


def test_alibi_weakens_what_is_far() -> None:
    config = dataclasses.replace(DECODER, position="alibi")
    (grid,) = grids(config, MaskedText(length=8), head=0)
    assert grid.strength is not None
    np.testing.assert_allclose(grid.strength[7], np.exp(alibi_scores(4, np.arange(8))[0])[::-1], rtol=1e-6)
    assert grids(config, MaskedText(length=8))[0].strength is None


def test_the_rule_is_in_words() -> None:
    assert describe_mask(DECODER).startswith("Causal")
    assert "at most 3 tokens away" in describe_mask(dataclasses.replace(ENCODER, sliding_window=4))
    assert "cross-attention the whole source" in describe_mask(PAIR)
