"""Checks replies: exact match for questions, Tiny World's own grammar for requested stories."""

from __future__ import annotations

from terrarium.models.tiny_world.english import MAX_SENTENCE_LENGTH, parse_story
from terrarium.models.tiny_world.events import Drops, Gives, Holds, Is, Moves, Takes, WorldEvent
from terrarium.models.tiny_world.questions import Question

_INCOMPLETE = "\ufffd"
"""The decoding of a character whose bytes are incomplete."""


def is_right(question: Question, reply: str) -> bool:
    """Return whether `reply` answers the question. A story is right if `story_problem` finds no problem."""
    if question.topic is not None:
        return story_problem(reply, question.topic) is None
    return reply.strip() == question.gold


def may_become_right(question: Question, beginning: str) -> bool:
    """Return whether a reply with this beginning may become right: False only if no continuation of it `is_right`."""
    beginning = beginning.rstrip(_INCOMPLETE).strip()
    if question.topic is None:
        return question.gold.startswith(beginning)
    whole, full_stop, rest = beginning.rpartition(".")
    if len(rest.strip()) > MAX_SENTENCE_LENGTH:
        return False
    try:
        return not full_stop or bool(parse_story(whole + full_stop))
    except ValueError:
        return False


def story_problem(story: str, topic: tuple[str, str, str]) -> str | None:
    """Return what is wrong with a story about `topic` (person, thing, place), as a sentence; None if it is right.

    A story is right if every sentence is one of Tiny World's, each event is possible when it happens, and the person is
    in the place and does something with the thing.
    """
    person, thing, place = topic
    try:
        events = parse_story(story)
    except ValueError as error:
        return str(error)
    if not any(isinstance(e, Is | Moves) and (e.person, e.place) == (person, place) for e in events):
        return f"{person} is never in the {place}."
    if not any(_handles(event, person, thing) for event in events):
        return f"{person} does nothing with the {thing}."
    return None


def _handles(event: WorldEvent, person: str, thing: str) -> bool:
    return isinstance(event, Takes | Drops | Gives | Holds) and (event.person, event.thing) == (person, thing)
