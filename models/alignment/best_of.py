"""Best-of-n: the reply, of n that a model draws, that a score likes best. What that buys: best_of_curve."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from models.alignment.reward_model import RewardModel
from models.alignment.rollouts import draw_replies, reply_text
from models.architecture.transformer import Decoder
from models.chat.own_template import Message, encode_messages
from models.events import Event, Progress, reporting


@dataclass(frozen=True, kw_only=True)
class ScoredReply:
    """A reply that was drawn. score: of the reward model, raw. ended: whether it ended by itself."""

    text: str
    score: float
    n_tokens: int
    ended: bool


def best_of(
    model: Decoder,
    tokenizer: Tokenizer,
    reward_model: RewardModel,
    messages: Sequence[Message],
    n: int,
    *,
    seed: int = 0,
    max_tokens: int = 80,
) -> Generator[Event, None, list[ScoredReply]]:
    """n replies to a conversation, the best first. Yields Progress (replies).

    Raises:
        ValueError: as `draw_replies`; where the reward model's context has no room for a reply; and where a score is
            not finite.
    """
    prompt = encode_messages(tokenizer, messages, add_generation_prompt=True)[0]
    context_length = reward_model.model.config.context_length
    room = context_length - len(prompt)  # the reward model also reads a reply's last token
    if room < 1:
        raise ValueError(
            f"The conversation has {len(prompt):,} tokens, and the reward model reads {context_length:,}, so there is "
            "no room for a reply: start a new conversation."
        )
    [replies] = yield from draw_replies(model, tokenizer, [prompt], n, seed=seed, max_tokens=min(max_tokens, room))
    scoring = reward_model.scores([(*prompt, *reply.ids) for reply in replies])
    scores = yield from reporting(scoring, Progress(done=n, total=n))
    scored = [
        ScoredReply(text=reply_text(tokenizer, reply), score=score, n_tokens=len(reply.ids), ended=reply.ended)
        for reply, score in zip(replies, scores, strict=True)
    ]
    return sorted(scored, key=lambda reply: -reply.score)
