"""What is said of a reply: how it was made, why it ended, and whether it is right."""

from __future__ import annotations

import dataclasses

from app.chat.archive.message_tree import Made, Message, shortened
from models.data.tiny_world.judge import story_problem
from models.number_words import counted, duration

_REASONS = {
    "stop": "ended by itself",
    "length": "cut off at the length limit",
    "stopped": "stopped by you",
    "failed": "cut off, since something went wrong",
    "": "not finished: the program ended first",
}


def describe_reply(reply: Message) -> str:
    """What was measured while a reply was made, and why it ended, in one line."""
    made = reply.made
    if made is None:
        return "edited by you" if reply.edited else ""
    left_out = f"the oldest {counted(made.n_left_out, 'message')}"
    parts = [
        f"{made.tokens_per_s:,.0f} tokens/s" if made.tokens_per_s else "",
        f"first after {duration(made.first_token_s, fine=True)}" if made.first_token_s else "",
        counted(made.n_tokens, "token"),
        f"seed {made.seed}",
        _REASONS.get(made.reason, made.reason) if reply.content else "the model ended its reply at once",
        f"{left_out} {'summarised' if made.summary else 'left out'}" if made.n_left_out else "",
    ]
    return "  ·  ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts if part)


def describe_progress(n_tokens: int, tokens_per_s: float) -> str:
    """How a reply comes along that is being written."""
    speed = f"  ·  {tokens_per_s:,.0f} tokens/s" if tokens_per_s else ""
    return f"{counted(n_tokens, 'token')}{speed}" if n_tokens else ""


def explain_reply(made: Made) -> str:
    """By whom a reply is, and with which settings it was drawn: for a tooltip."""
    lines = [f"By {made.model} at training step {made.step:,}."]
    if made.n_begun:
        lines.append(f"Its first {counted(made.n_begun, 'token')} stood already, taken from another version.")
    if made.sampling is not None:
        changed = {
            f.metadata["label"]: getattr(made.sampling, f.name)
            for f in dataclasses.fields(made.sampling)
            if f.name != "seed"
            and (f.name in ("temperature", "max_tokens") or getattr(made.sampling, f.name) != f.default)
        }
        lines += [f"{name}: {value}" for name, value in changed.items()]
    context = f", of a context of {made.context_length:,}" if made.context_length else ""
    lines.append(f"{made.n_prompt:,} tokens read and {made.n_tokens:,} written{context}.")
    if made.summary:
        lines.append(f"In place of the oldest messages it read: {shortened(made.summary, 300)}")
    if made.first_token_s:
        lines.append("The time to the first token counts from your pressing Send until it is here.")
    return "\n".join(lines)


def judge(asked: Message, reply: str) -> tuple[str, bool]:
    """Whether a reply is right, as a sentence and as a verdict; for a story, by Tiny World's own grammar."""
    if len(asked.topic) == 3:
        problem = story_problem(reply, asked.topic)
        if problem is None:
            return "✓  Right: a story that is possible in this world, about what was asked.", True
        return f"✗  Not right. {problem} One right story of many: {asked.gold}", False
    if reply.strip() == asked.gold.strip():
        return f"✓  Right: {asked.gold}", True
    return f"✗  Not right. The right answer: {asked.gold}", False
