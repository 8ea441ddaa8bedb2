"""Best-of-n replies to a conversation, by the scores of a reward model."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence

from tokenizers import Tokenizer

from terrarium.models.alignment.best_of import RepliesRanked, ScoredReply
from terrarium.models.alignment.log_probs import token_facts
from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.alignment.rollouts import reply_batch, reply_end, reply_seeds, reply_text
from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.events import Event, Phase, ReplyFinished, TokenMade, reporting
from terrarium.models.inference.many_replies import draw_batch
from terrarium.models.inference.reply import ReplyRequest, ReplyStarted
from terrarium.models.inference.summarising import SummaryCache, prompt_events
from terrarium.models.number_words import format_count
from terrarium.models.tokenizers import IncrementalDecoder


def best_reply_events(
    model: AnyModel,
    tokenizer: Tokenizer,
    step: int,
    template_config: ChatTemplateConfig,
    request: ReplyRequest,
    summaries: SummaryCache,
    reward_model: RewardModel,
    n: int,
) -> Generator[Event, None, None]:
    """Draw n replies at temperature 1 from all tokens, and reply with the one that scores highest.

    Yields what `reply_events` yields, with RepliesRanked before the tokens. Of the request's sampling settings, only
    the seed and the maximum length apply.

    Raises:
        ValueError: as `reply_events`; also if the model is no decoder, the request has another chat template than the
            reward model has learned, the context has no room for a reply, or a score is not finite.
    """
    if not isinstance(model, Decoder) or model.config.head != "language":
        raise ValueError(
            "The best of several replies is drawn from decoders only: choose another model, or set the number of "
            "replies to 1."
        )
    if request.prompting.template:
        raise ValueError(
            "A reward model has learned the model's own chat template: go back to it, or set the number of replies to "
            "1."
        )
    assert not isinstance(request.messages, str)
    messages = [dict(message) for message in request.messages]
    prompt = yield from prompt_events(model, tokenizer, messages, request.prompting, template_config, summaries)
    ids = prompt.ids.tolist()
    room = reward_model.model.config.context_length - len(ids)  # the reward model also reads a reply's last token
    if room < 1:
        raise ValueError(
            f"The conversation has {len(ids):,} tokens, and the reward model reads "
            f"{reward_model.model.config.context_length:,}, so there is no room for a reply: start a new conversation."
        )
    yield ReplyStarted(
        step=step,
        n_prompt=len(ids),
        n_left_out=prompt.n_left_out,
        prompt_ids=tuple(ids),
        summary=prompt.summary,
    )
    sampling = request.sampling
    ranked = yield from _ranked(
        model, tokenizer, reward_model, ids, n, seed=sampling.seed, max_tokens=min(sampling.max_tokens, room)
    )
    best = ranked.replies[0]
    facts = token_facts(model, reply_batch([ids], [best.ids]))
    yield ranked
    decoder = IncrementalDecoder(tokenizer)
    for i, (id, of_token) in enumerate(zip(best.ids, facts, strict=True), start=1):
        is_end = best.ended and i == len(best.ids)
        yield TokenMade(
            id=id,
            text="" if is_end else decoder.add(id),
            probability=of_token.probability,
            entropy=of_token.entropy,
            rank=of_token.rank,
        )
    n_tokens = sum(len(reply.ids) for reply in ranked.replies)
    yield ReplyFinished(
        reason="stop" if best.ended else "length",
        n_prompt=len(ids),
        n_tokens=len(best.ids),
        prefill_s=0.0,
        tokens_per_s=n_tokens / ranked.draw_s if ranked.draw_s else 0.0,
    )


def _ranked(
    model: Decoder,
    tokenizer: Tokenizer,
    reward_model: RewardModel,
    prompt: Sequence[int],
    n: int,
    *,
    seed: int,
    max_tokens: int,
) -> Generator[Event, None, RepliesRanked]:
    """Return n replies, best first. Yields Phase, with the number of tokens drawn so far."""
    words, began = f"Writing {format_count(n, 'reply', 'replies')}", time.perf_counter()
    yield Phase(name=words)
    drawing = draw_batch(model, [prompt], reply_seeds(seed, 0, 1, n), max_tokens, reply_end(tokenizer))
    while True:
        try:
            n_made = next(drawing)
        except StopIteration as end:
            [drawn] = end.value
            break
        yield Phase(name=f"{words}: {format_count(n_made, 'token')}")
    drawn_at = time.perf_counter()
    scoring = Phase(name=f"Scoring {format_count(n, 'reply', 'replies')}")
    yield scoring
    scores = yield from reporting(reward_model.scores([(*prompt, *reply.ids) for reply in drawn]), scoring)
    replies = [
        ScoredReply(text=reply_text(tokenizer, reply), score=score, ids=reply.ids, ended=reply.ended)
        for reply, score in zip(drawn, scores, strict=True)
    ]
    return RepliesRanked(
        replies=tuple(sorted(replies, key=lambda reply: -reply.score)),
        draw_s=drawn_at - began,
        score_s=time.perf_counter() - drawn_at,
    )
