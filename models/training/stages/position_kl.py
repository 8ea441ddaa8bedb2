"""Measures the KL of a fine-tuned run to its parent by position, at each of its checkpoints, on the same prompts."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from tokenizers import Tokenizer

from terrarium.models.alignment.log_probs import read_replies
from terrarium.models.alignment.position_kl import OWN, PositionKl, ReadReply
from terrarium.models.alignment.rollouts import draw_replies, reply_batch
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import open_run_corpus
from terrarium.models.device import choose_device
from terrarium.models.events import Event, Phase
from terrarium.models.inference.many_replies import DrawnReply
from terrarium.models.interop.loading import load_model_events
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.tuning import build_from_base

N_REPLIES = 32
"""Replies that are read at each checkpoint, for all prompts together."""
_N_PROMPTS = 8
_MAX_TOKENS = 64
_ROWS = 16
"""Replies in a batch."""
_STEP = 1 << 43
"""A step number that no training reaches: the draws at all checkpoints use the same random numbers."""


def measure_position_kl(
    run: RunFolder, library: Library, device: str = "auto", *, prompt: str = "", whose: str = OWN
) -> Generator[Event, None, None]:
    """Yield Phase, Progress, and a PositionKl for each checkpoint that still exists, the earliest first.

    Args:
        prompt: the user's message; "" for the first held-out prompts of the run's data.
        whose: whose replies, OWN or PARENTS.

    Raises:
        ValueError: if the run did not start from weights, generates no text, has no checkpoint, or its data has no
            prompts; and as `draw_replies`.
    """
    if run.spec.tune is None:
        raise ValueError(f"{run.name!r} has learned from scratch, so there is no parent to compare it with.")
    checkpoints = run.checkpoints()
    if not checkpoints:
        raise ValueError(f"{run.name!r} has no checkpoint yet: wait for the first one.")
    yield Phase(name="Loading the parent")
    on = choose_device(device).device
    parent = build_from_base(run).to(on).eval()
    if not isinstance(parent, Decoder) or parent.config.head != "language":
        raise ValueError(f"{run.name!r} does not reply with text, so its KL has no positions.")
    tokenizer = read_tokenizer(run.tokenizer_file)
    texts = [prompt.strip()] if prompt.strip() else _held_out(library, run)
    asked = [_encode(tokenizer, text) for text in texts]
    room = parent.config.context_length - max(map(len, asked))
    if room < 1:
        raise ValueError(
            f"The prompt has {max(map(len, asked))} tokens, and the model reads {parent.config.context_length}: "
            "ask something shorter."
        )
    n_each = max(1, N_REPLIES // len(asked))
    drawing = {"seed": 0, "step": _STEP, "max_tokens": min(_MAX_TOKENS, room)}
    parent_curves: list[list[DrawnReply]] = []
    if whose != OWN:
        parent_curves = yield from draw_replies(parent, tokenizer, asked, n_each, **drawing)
    for path in sorted(checkpoints, key=checkpoint_step):
        step = checkpoint_step(path)
        reading = Phase(name=f"Reading step {step:,}")
        yield reading
        model, _ = yield from load_model_events(path, on)
        assert isinstance(model, Decoder)
        drawn = parent_curves or (yield from draw_replies(model, tokenizer, asked, n_each, **drawing))
        replies = [(i, reply) for i, group in enumerate(drawn) for reply in group]
        found: list[ReadReply] = []
        for first in range(0, len(replies), _ROWS):
            some = replies[first : first + _ROWS]
            yield reading
            found += _read(model, parent, [(texts[i], asked[i], reply) for i, reply in some])
        yield PositionKl(step=step, replies=tuple(found))


def _read(model: Decoder, parent: Decoder, rows: Sequence[tuple[str, list[int], DrawnReply]]) -> list[ReadReply]:
    """Read some replies (prompt text, prompt ids, reply) with both models."""
    batch = reply_batch([ids for _, ids, _ in rows], [reply.ids for _, _, reply in rows])
    read = read_replies(model, parent, batch)
    lengths = [len(reply.ids) for _, _, reply in rows]
    kl, ratios = (each.cpu().split(lengths) for each in (read.kl, read.log_probs - read.reference))
    return [
        ReadReply(prompt=text, ids=reply.ids, ended=reply.ended, kl=tuple(of.tolist()), log_ratio=tuple(ratio.tolist()))
        for (text, _, reply), of, ratio in zip(rows, kl, ratios, strict=True)
    ]


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return encode_messages(tokenizer, [{"role": "user", "content": text}], add_generation_prompt=True)[0]


def _held_out(library: Library, run: RunFolder) -> list[str]:
    """Return the distinct first user messages of the held-out rows of a run's data."""
    corpus = open_run_corpus(library, run)
    found: dict[str, None] = {}
    for row in corpus.rows("val"):
        asked = next((each["content"] for each in row.get("messages", ()) if each.get("role") == "user"), "")
        if asked.strip():
            found.setdefault(asked.strip())
        if len(found) == _N_PROMPTS:
            break
    if not found:
        raise ValueError(f"{corpus.label!r} has no held-out prompts: write one.")
    return list(found)
