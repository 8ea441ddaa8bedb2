"""How a text goes on as the model is, and with some of its parts switched off: both side by side.

Letters in shape comments: T tokens, V vocab_size. Row 0 is the model as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.architecture.cache import KVCache
from models.architecture.trace import Trace
from models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from models.inference.continuation import evaluating
from models.inference.sampling import as_floats, draw_number
from models.inference.sampling_steps import drawn_token, sampling_steps, state_at
from models.inference.top_tokens import Floats
from models.inspect.ablation import Donor, Part, patches_of
from models.inspect.reading import Text, answer_logits, read
from models.settings.sampling_config import SamplingConfig


def go_on(
    model: AnyModel,
    text: Text,
    parts: Sequence[Part],
    donor: Donor | None,
    n_tokens: int,
    sampling: SamplingConfig,
    end: int | None = None,
    *,
    draws: Sequence[float | None] = (),
    n_prompt: int | None = None,
) -> tuple[list[int], list[int]]:
    """Up to `n_tokens` after `text`, untouched and changed; each row ends with the token `end`, or at the full context.

    A donor's results stand in the places of `text` alone: what comes after them is computed.

    Args:
        draws: the numbers that both rows are drawn with, where they are known; the others come from the seed, as they
            would in a reply of which what stands behind the prompt is the beginning.
        n_prompt: so many tokens of the text were a prompt, to the penalties; None for all of them.

    Raises:
        ValueError: for an encoder; and as `reading.check_readable`.
    """
    if isinstance(model, Encoder):
        raise ValueError("An encoder does not go on with a text: look at what it puts in the masked place.")
    cache = KVCache(model.config.n_layer)
    generator = torch.Generator().manual_seed(sampling.seed)
    n_prompt = len(text.ids) if n_prompt is None else n_prompt
    for _ in range(n_prompt, len(text.ids)):
        draw_number(generator)
    rows: tuple[list[int], list[int]] = ([], [])
    over = [False, False]
    patches = patches_of(model, text, [(), tuple(parts)], donor)
    with evaluating(model):
        hidden = read(model, text, Trace(wanted=frozenset(), patches=patches), 2, cache)
        logits = answer_logits(model, hidden[:, -1])

        def before(place: int) -> Floats:
            """What the untouched model gave the token at a place."""
            return as_floats(answer_logits(model, hidden[0, place - 1 : place])[0])

        state = state_at(len(text.ids), sampling, text.ids, n_prompt, before)
    states = state, state.copy()
    later = Trace(wanted=frozenset(), patches=patches) if donor is None else None
    for made in range(1, n_tokens + 1):
        draw, known = draw_number(generator), draws[made - 1] if made <= len(draws) else None
        draw = draw if known is None else known
        for row in range(2):
            steps = sampling_steps(as_floats(logits[row]), sampling, [*text.ids, *rows[row]], n_prompt, states[row])
            id = drawn_token(steps.final, draw) if sampling.temperature else int(steps.final.argmax())
            states[row].follow(steps, id)
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
