"""Arguments of a forward pass that are not what they should be: one sentence each, whatever torch would have said."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.trace import Patch, Trace
from terrarium.models.architecture.transformer import AnyModel, Encoder, build_model
from terrarium.models.settings.presets import PRESETS

IDS = torch.zeros(2, 8, dtype=torch.long)
DESIGNS = ["gpt2-tiny", "llama-tiny", "bert-tiny"]


def make_model(preset: str, **slots: Any) -> AnyModel:
    size = {"vocab_size": 50, "context_length": 16, "n_layer": 2, "d_model": 32}
    return build_model(dataclasses.replace(PRESETS[preset], **size, **slots)).eval()


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (IDS.float(), "Token ids must be whole numbers (torch.long), not float32: pass them as .long()."),
        (IDS.bool(), "Token ids must be whole numbers (torch.long), not bool: pass them as .long()."),
        (IDS[:, :0], "Token ids of the shape (2, 0) are empty: pass at least one."),
        (IDS[:0], "Token ids of the shape (0, 8) are empty: pass at least one."),
    ],
)
@pytest.mark.parametrize("design", DESIGNS)
def test_ids_that_are_none_are_refused(design: str, ids: torch.Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make_model(design)(ids)


@pytest.mark.parametrize("numbers", [IDS[0, :7], IDS[:, :7], IDS[:, :1], IDS[None], IDS.repeat(2, 1)])
@pytest.mark.parametrize("design", DESIGNS)
def test_there_is_one_position_and_one_segment_for_each_token(design: str, numbers: torch.Tensor) -> None:
    model = make_model(design)
    with pytest.raises(ValueError, match=r"^Positions must be \(2, 8\), one for each token, not \("):
        model(IDS, positions=numbers)
    with pytest.raises(ValueError, match=r"^Segments must be \(2, 8\), one for each token, not \("):
        model(IDS, segments=numbers)


@pytest.mark.parametrize("what", ["positions", "segments"])
@pytest.mark.parametrize("design", DESIGNS)
def test_positions_and_segments_are_whole_numbers(design: str, what: str) -> None:
    arguments: dict[str, Any] = {what: IDS.float()}
    with pytest.raises(ValueError, match=f"^{what.capitalize()} must be whole numbers"):
        make_model(design)(IDS, **arguments)


@torch.no_grad()
def test_a_cache_goes_on_with_its_own_model_and_texts() -> None:
    model = make_model("llama-tiny")
    cache = KVCache(model.config.n_layer)
    model(IDS, cache=cache)
    with pytest.raises(ValueError, match="The cache holds 2 texts, not 1: pass a token for each"):
        model(IDS[:1], cache=cache)
    with pytest.raises(ValueError, match=r"The cache is for 5 layers, but the model has \d"):
        model(IDS, cache=KVCache(5))
    assert cache.length == 8  # as it was


@torch.no_grad()
def test_a_source_that_was_read_keeps_its_length_and_number() -> None:
    model = make_model("t5-tiny")
    cache = KVCache(model.config.n_layer)
    model(IDS, IDS[:, :1], cache=cache)
    with pytest.raises(ValueError, match=r"A mask must be \(2, 8\)"):
        model(IDS, IDS[:, :1], source_mask=torch.ones(2, 7, dtype=torch.bool), cache=cache)
    with pytest.raises(ValueError, match="The cache holds 2 texts, not 1"):
        model(IDS[:1], IDS[:1, :1], cache=cache)


@pytest.mark.parametrize("design", [*DESIGNS, "t5-tiny"])
def test_heads_that_there_are_not_cannot_be_ablated(design: str) -> None:
    model = make_model(design)
    stack = "decoder." if design == "t5-tiny" else ""
    texts = (IDS, IDS) if design == "t5-tiny" else (IDS,)
    with pytest.raises(ValueError, match=r"no attention called 'block.0' to ablate heads of: it can be .*blocks.0.att"):
        model(*texts, trace=Trace(ablated_heads={"block.0": [0]}))
    for head in (-1, model.config.n_head):
        with pytest.raises(ValueError, match=rf"no head {head} in {stack}blocks.0.attention: its heads are 0 to"):
            model(*texts, trace=Trace(ablated_heads={f"{stack}blocks.0.attention": [head]}))


@pytest.mark.parametrize("design", [*DESIGNS, "t5-tiny"])
def test_what_there_is_not_cannot_be_patched(design: str) -> None:
    model = make_model(design)
    stack = "decoder." if design == "t5-tiny" else ""
    texts = (IDS, IDS) if design == "t5-tiny" else (IDS,)
    patch = Patch(torch.tensor(False), torch.tensor(0.0))
    for site in ("attention", "feed_forward", "attention.heads"):
        model(*texts, trace=Trace(patches={f"{stack}blocks.0.{site}": patch, f"{stack}embedding": patch}))
    for site in (
        "embedding.weight",
        f"{stack}blocks.9.attention",
        f"{stack}blocks.0",
        f"{stack}blocks.0.attention_norm",
    ):
        with pytest.raises(ValueError, match="to patch: it can be "):
            model(*texts, trace=Trace(patches={site: patch}))
    with pytest.raises(ValueError, match="no block called 'blocks'"):
        model(*texts, trace=Trace(known={"blocks": torch.zeros(1)}))


def test_a_headless_encoder_says_so_of_its_logits_too() -> None:
    model = make_model("bert-tiny", head="none", head_transform=False, head_bias=False)
    assert isinstance(model, Encoder)
    with pytest.raises(ValueError, match="no head, so it makes no logits"):
        model.logits(model.hidden(IDS))
