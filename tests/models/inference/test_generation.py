"""Greedy and beam generation make the very tokens, and scores, that transformers makes with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.inference.beam import beam_search
from terrarium.models.interop.loading import load_model
from tests.models.interop.support import save_theirs, shake

V, END, PAD = 40, 1, 0
PROMPT = [5, 9, 30, 7, 12, 3]
TOKENS = {"eos_token_id": END, "pad_token_id": PAD, "bos_token_id": 2}

MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        dict(vocab_size=V, n_positions=64, n_embd=32, n_layer=2, n_head=4, **TOKENS),
    ),
    "llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        dict(
            vocab_size=V,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            **TOKENS,
        ),
    ),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        dict(
            vocab_size=V, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=PAD, **TOKENS
        ),
    ),
    "bart": (
        "BartForConditionalGeneration",
        "BartConfig",
        dict(
            vocab_size=V,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_position_embeddings=64,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
            **TOKENS,
        ),
    ),
}
"""By name: the class, that of its options, and these."""


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[AnyModel, Any]:
    """The same weights as our model and as theirs."""
    import transformers

    kind, config, options = MODELS[request.param]
    theirs = shake(getattr(transformers, kind)(getattr(transformers, config)(**options)), seed=1)
    folder: Path = save_theirs(theirs, tmp_path_factory.mktemp(request.param))
    ours, _ = load_model(folder)
    return ours, theirs


@pytest.mark.parametrize("n_beam", [1, 2, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, -0.5])
def test_beams(pair: tuple[AnyModel, Any], n_beam: int, length_penalty: float) -> None:
    ours, theirs = pair
    start_id = max(ours.config.start_id, 0)
    found = beam_search(
        ours, PROMPT, n_beam=n_beam, max_tokens=12, start_id=start_id, end_id=END, length_penalty=length_penalty
    )
    result = theirs.generate(
        torch.tensor([PROMPT]),
        num_beams=n_beam,
        num_return_sequences=n_beam,
        do_sample=False,
        max_new_tokens=12,
        length_penalty=length_penalty,
        return_dict_in_generate=True,
        output_scores=True,
    )
    n_first = 1 if ours.config.topology == "encoder-decoder" else len(PROMPT)
    expected = [_cut(row[n_first:].tolist()) for row in result.sequences]
    assert [list(hypothesis.ids) for hypothesis in found] == expected
    if n_beam > 1:
        scores = [hypothesis.score for hypothesis in found]
        assert scores == pytest.approx(result.sequences_scores.tolist(), rel=1e-4)


def _cut(ids: list[int]) -> list[int]:
    """Up to the first end token, without padding."""
    return ids[: ids.index(END) + 1] if END in ids else ids
