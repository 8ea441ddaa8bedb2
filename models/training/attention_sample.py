"""Where one layer looks in a pinned prompt, kept as the model learns: for the time machine."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from models.architecture.trace import Trace
from models.architecture.transformer import AnyModel, EncoderDecoder
from models.events import AttentionSeen
from models.training.samples import what_is_read

MOST_TOKENS = 32
"""The last tokens of a prompt that are kept: what is written must stay small, and legible."""

_DIGITS = 4


def see_attention(
    model: AnyModel,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    step: int,
    layer: int,
    as_chat: bool,
    denoises: bool = False,
    points: bool = False,
) -> AttentionSeen:
    """The attention weights of layer number `layer` (from 1; the last one where there are fewer) in `prompt`.

    An encoder-decoder shows its encoder's. Of a longer prompt only the last MOST_TOKENS tokens are read. Leaves the
    model's mode as it is.
    """
    ids = what_is_read(model, tokenizer, prompt, as_chat, denoises=denoises, points=points)[-MOST_TOKENS:]
    stack = "encoder." if isinstance(model, EncoderDecoder) else ""
    n_layer = (model.config.n_encoder_layer if stack else 0) or model.config.n_layer
    site = f"{stack}blocks.{min(layer, n_layer) - 1}.attention"
    trace = Trace(wanted=frozenset({"attention"}))
    was_training = model.training
    model.eval()
    with torch.no_grad():
        read = torch.tensor([ids], device=model.embedding.weight.device)
        if isinstance(model, EncoderDecoder):
            model.encode(read, trace=trace)
        else:
            model.hidden(read, trace=trace)
    model.train(was_training)
    weights = trace.attention[site][0].tolist()  # (H, T, S)
    rounded = tuple(tuple(tuple(round(value, _DIGITS) for value in row) for row in head) for head in weights)
    return AttentionSeen(step=step, prompt=prompt, site=site, ids=tuple(ids), weights=rounded)
