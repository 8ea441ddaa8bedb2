"""Captions of a reply: how it was generated, why it ended, and whether it is right."""

from __future__ import annotations

import dataclasses

from terrarium.app.chat.archive.message_tree import CandidateReplies, GenerationInfo, Message, shortened
from terrarium.models.number_words import format_count, format_duration, format_speed, with_minus
from terrarium.models.tiny_world.judge import story_problem

_REASONS = {
    "stop": "finished",
    "length": "cut off at the length limit",
    "stopped": "stopped by you",
    "failed": "cut off by an error",
    "": "not finished: the program was closed",
}


def describe_reply(reply: Message) -> str:
    """Describe length and speed of a reply on one line, and why it ended unless it finished."""
    generation = reply.generation
    if generation is None:
        return "edited by you" if reply.edited else ""
    left_out = f"the oldest {format_count(generation.n_left_out, 'message')}"
    parts = _describe_drawn(generation.drawn) if generation.drawn is not None else []
    parts += [
        _REASONS.get(generation.reason, generation.reason) if reply.content else "the reply is empty",
        format_count(generation.n_tokens, "token"),
        format_speed(generation.tokens_per_s) if generation.drawn is None else "",
        f"{left_out} {'summarised' if generation.summary else 'left out'}" if generation.n_left_out else "",
    ]
    parts = [part for part in parts if part and part != _REASONS["stop"]]
    line = "  ·  ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts if part)
    return f"{line}\n{generation.draft.words}" if generation.draft is not None and generation.draft.n_passes else line


def _describe_drawn(drawn: CandidateReplies) -> list[str]:
    """Describe the rank of a reply among its candidates, its score, and the cost of drawing all of them."""
    score, n = format_score(drawn.replies[drawn.taken].score), len(drawn.replies)
    which = f"the best of {n}" if not drawn.taken else f"number {drawn.taken + 1} of {n}"
    seconds = format_duration(drawn.draw_s + drawn.score_s, fine=True)
    return [f"{which}, with a score of {score}", f"together {format_count(drawn.n_tokens, 'token')} in {seconds}"]


def format_score(score: float) -> str:
    """Format a reward model's score."""
    return with_minus(f"{score:.2f}")


def describe_progress(n_tokens: int, tokens_per_s: float) -> str:
    """Describe the progress of a reply that is being generated."""
    speed = format_speed(tokens_per_s)
    return "  ·  ".join(filter(None, (format_count(n_tokens, "token"), speed))) if n_tokens else ""


def explain_reply(generation: GenerationInfo) -> str:
    """Return the tooltip of a reply: the model that wrote it, and its sampling settings."""
    lines = [f"By {generation.model} at training step {generation.step:,}."]
    if generation.n_prefix:
        lines.append(f"Its first {format_count(generation.n_prefix, 'token')} were reused from another version.")
    if generation.sampling is not None:
        changed = {
            f.metadata["label"]: getattr(generation.sampling, f.name)
            for f in dataclasses.fields(generation.sampling)
            if f.name != "seed"
            and (f.name in ("temperature", "max_tokens") or getattr(generation.sampling, f.name) != f.default)
        }
        lines += [f"{name}: {value}" for name, value in changed.items()]
    if generation.drawn is not None:
        among = f"{len(generation.drawn.replies)} replies that the reward model {generation.drawn.judge} scored"
        lines.append(f"Chosen by you among {among}." if generation.drawn.taken else f"The best of {among}.")
    if generation.draft is not None:
        at_once = format_count(generation.draft.n_tokens, "token")
        lines.append(f"Drafted by {generation.draft.model}, at most {at_once} at once. {generation.draft.words}")
    context = f", of a context of {generation.context_length:,}" if generation.context_length else ""
    lines.append(f"{generation.n_prompt:,} tokens read and {generation.n_tokens:,} written{context}.")
    if generation.summary:
        lines.append(f"Summary in place of the oldest messages: {shortened(generation.summary, 300)}")
    lines.append(f"Random seed {generation.seed}.")
    if generation.first_token_s:
        seconds = format_duration(generation.first_token_s, fine=True)
        lines.append(f"First token {seconds} after you pressed Send.")
    return "\n".join(lines)


def judge(prompt: Message, reply: str) -> tuple[str, bool]:
    """Grade a reply: return a sentence, and whether it is right. Stories are checked by Tiny World's grammar."""
    if len(prompt.topic) == 3:
        problem = story_problem(reply, prompt.topic)
        if problem is None:
            return "✓  Right: a story that is possible in this world, about what was asked.", True
        return f"✗  Not right. {problem} One of many right stories: {prompt.gold}", False
    if reply.strip() == prompt.gold.strip():
        return f"✓  Right: {prompt.gold}", True
    return f"✗  Not right. The right answer: {prompt.gold}", False
