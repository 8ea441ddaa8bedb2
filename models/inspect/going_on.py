"""How a text goes on as the model is, and with some of its parts switched off: both side by side.

Letters in shape comments: T tokens, V vocab_size. Row 0 is the model as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.inference.cache import KVCache
from models.inference.continuation import evaluating
from models.inference.sampling import SamplingConfig, sample
from models.inspect.ablation import Donor, Part, patches_of
from models.inspect.reading import Text, answer_logits, read
from models.trace import Trace
from models.transformer import AnyModel, Decoder, Encoder, EncoderDecoder


def go_on(
    model: AnyModel,
    text: Text,
    parts: Sequence[Part],
    donor: Donor | None,
    n_tokens: int,
    sampling: SamplingConfig,
    end: int | None = None,
) -> tuple[list[int], list[int]]:
    """Up to `n_tokens` after `text`, untouched and changed; each row ends with the token `end`, or at the full context.

    Both rows are drawn with the same numbers. A donor's results stand in the places of `text` alone: what comes after
    them is computed.

    Raises:
        ValueError: for an encoder; and as `reading.check_readable`.
    """
    if isinstance(model, Encoder):
        raise ValueError("An encoder does not go on with a text: look at what it puts in the masked place.")
    cache = KVCache(model.config.n_layer)
    generators = [torch.Generator().manual_seed(sampling.seed) for _ in range(2)]
    rows: tuple[list[int], list[int]] = ([], [])
    over = [False, False]
    patches = patches_of(model, text, [(), tuple(parts)], donor)
    with evaluating(model):
        logits = answer_logits(model, read(model, text, Trace(wanted=frozenset(), patches=patches), 2, cache)[:, -1])
    later = Trace(wanted=frozenset(), patches=patches) if donor is None else None
    for made in range(1, n_tokens + 1):
        for row, generator in zip(range(2), generators, strict=True):
            before = [*text.ids, *rows[row]]
            id = sample(logits[row], sampling, generator, before, len(text.ids)).id
            if not over[row]:
                rows[row].append(id)
                over[row] = id == end
        if all(over) or made == n_tokens or len(text.ids) + made > model.config.context_length:
            break
        logits = _next(model, [row[-1] for row in rows], cache, later)
    return rows


def _next(model: Decoder | EncoderDecoder, ids: list[int], cache: KVCache, trace: Trace | None) -> Tensor:
    """Read one token more in each row -> logits (2, V)."""
    new = torch.tensor(ids, device=model.embedding.weight.device)[:, None]
    with evaluating(model):
        if isinstance(model, EncoderDecoder):
            hidden = model.decode(new, None, cache=cache, trace=trace)
        else:
            hidden = model.hidden(new, cache=cache, trace=trace)
        return answer_logits(model, hidden[:, -1])
