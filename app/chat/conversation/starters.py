"""Starters for models of a Tiny World: new held-out questions about the world that the model was trained on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from terrarium.app.session.chat_model import ChatModel

if TYPE_CHECKING:
    from terrarium.models.tiny_world.starters import Starter


def starter_kinds(model: ChatModel | None) -> tuple[str, ...]:
    """Return the kinds of Tiny World questions that the model can answer (all if unknown); () for other models."""
    if model is None or model.source != "tiny-world":
        return ()
    from terrarium.models.tiny_world.starters import STARTER_KINDS

    return model.can_do or STARTER_KINDS


def new_starter(model: ChatModel, kind: str) -> Starter:
    """Draw a new held-out question or request of `kind` about the model's world."""
    from terrarium.models.tiny_world.starters import draw_starter

    return draw_starter(model.world_seed, kind, random.Random())


def describe_world(model: ChatModel | None) -> str:
    """Describe the model's world on one line; '' for models of other texts."""
    if model is None or model.source != "tiny-world":
        return ""
    from terrarium.models.tiny_world.world import World

    return World(model.world_seed).summary
