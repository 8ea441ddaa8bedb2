"""Pinned prompts: what the model writes after them as it learns, always with the same seed."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from models.data.chat import encode_messages
from models.events import TokenMade
from models.inference.generate import generate
from models.inference.sampling import SamplingConfig
from models.tokenizers import encode_text
from models.transformer import Decoder

N_TOP = 10


def encode_pinned(tokenizer: Tokenizer, prompt: str, *, as_chat: bool) -> list[int]:
    """The ids of a pinned prompt: a user's turn where the model learns to chat, else a text to go on from."""
    if as_chat:
        return encode_messages(tokenizer, [{"role": "user", "content": prompt}], add_generation_prompt=True)[0]
    return encode_text(tokenizer, prompt) or [tokenizer.token_to_id("<|end|>") or 0]


def write_sample(
    model: Decoder, tokenizer: Tokenizer, ids: list[int], *, seed: int, max_tokens: int
) -> tuple[str, tuple[tuple[int, float], ...]]:
    """What the model writes after `ids`, and its most probable next tokens (id, probability), the likeliest first.

    Leaves the model's mode and the global random state as they are.
    """
    ids = ids[-(model.config.context_length - 1) :]
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model.logits(model.hidden(torch.tensor([ids], device=model.embedding.weight.device))[:, -1])
        top = logits[0].float().softmax(dim=-1).topk(min(N_TOP, logits.size(-1)))
    sampling = SamplingConfig(temperature=0.8, top_k=50, seed=seed, max_tokens=max_tokens)
    events = generate(model, tokenizer, ids, sampling)
    text = "".join(event.text for event in events if isinstance(event, TokenMade))
    model.train(was_training)
    return text, tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
