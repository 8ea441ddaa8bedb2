"""Masks are filled with what a plain forward pass finds most likely; pseudo-perplexity is what its paper says."""

from __future__ import annotations

import math

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Encoder, build_model
from terrarium.models.inference.fill_mask import fill_mask, pseudo_perplexity, token_fits
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import encode_text, train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens, mask_id
from tests.models.interop.support import drive


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = train_tokenizer([], "byte", 261)
    add_missing_special_tokens(tokenizer, "encoder-only")
    return tokenizer


def encoder_of(tokenizer: Tokenizer, head: str = "language") -> Encoder:
    torch.manual_seed(0)
    config = ModelConfig(
        topology="encoder-only",
        vocab_size=tokenizer.get_vocab_size(),
        context_length=24,
        n_layer=2,
        d_model=16,
        n_head=2,
        init_std=0.4,
        head=head,
        dropout=0.3,
    )
    model = build_model(config).train()
    assert isinstance(model, Encoder)
    return model


def test_the_likeliest_tokens_of_each_place(tokenizer: Tokenizer) -> None:
    model, mask = encoder_of(tokenizer), mask_id(tokenizer)
    assert mask is not None
    ids = [*encode_text(tokenizer, "the "), mask, *encode_text(tokenizer, " is "), mask]
    filled = fill_mask(model, tokenizer, ids, mask, n_best=4)
    assert model.training  # left as it was
    with torch.no_grad():
        probabilities = model.eval()(torch.tensor([ids]))[0].softmax(dim=-1)
    assert len(filled) == 2
    for position, candidates in zip((4, len(ids) - 1), filled, strict=True):
        expected = probabilities[position].sort(descending=True)
        assert [c.id for c in candidates] == expected.indices[:4].tolist()
        assert [c.probability for c in candidates] == pytest.approx(expected.values[:4].tolist(), rel=1e-5)


def test_pseudo_perplexity_masks_one_token_at_a_time(tokenizer: Tokenizer) -> None:
    model, mask = encoder_of(tokenizer), mask_id(tokenizer)
    assert mask is not None
    end = tokenizer.token_to_id("<|end|>")
    ids = [*encode_text(tokenizer, "a small text"), end]
    progress, fits = drive(token_fits(model, ids, mask, skip=(end,), batch_size=5))
    assert [fit.position for fit in fits] == list(range(len(ids) - 1))
    assert [one.done for one in progress] == [5, 10, 12]
    for fit in fits:
        masked = torch.tensor([[*ids[: fit.position], mask, *ids[fit.position + 1 :]]])
        with torch.no_grad():
            expected = model.eval()(masked)[0, fit.position].log_softmax(dim=-1)
        assert fit.log_probability == pytest.approx(float(expected[ids[fit.position]]), rel=1e-5)
        assert fit.rank == 1 + int((expected > expected[ids[fit.position]]).sum())
        assert fit.entropy == pytest.approx(-float((expected * expected.exp()).sum()), rel=1e-4)
    mean = sum(fit.log_probability for fit in fits) / len(fits)
    assert pseudo_perplexity(fits) == pytest.approx(math.exp(-mean))


def test_refusals(tokenizer: Tokenizer) -> None:
    mask = mask_id(tokenizer)
    assert mask is not None
    with pytest.raises(ValueError, match=r"has no <\|mask\|> to fill"):
        fill_mask(encoder_of(tokenizer), tokenizer, [9, 8], mask)
    with pytest.raises(ValueError, match="masked-token head"):
        fill_mask(encoder_of(tokenizer, head="none"), tokenizer, [9, mask], mask)
    diverged = encoder_of(tokenizer)
    torch.nn.init.constant_(diverged.embedding.weight, torch.nan)
    with pytest.raises(ValueError, match="not a number, so its training diverged"):
        fill_mask(diverged, tokenizer, [9, mask], mask)
    with pytest.raises(ValueError, match="context takes 24"):
        fill_mask(encoder_of(tokenizer), tokenizer, [mask] * 25, mask)
