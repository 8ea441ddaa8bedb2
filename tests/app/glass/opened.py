"""A small model with random weights, opened in a session without a run, and texts for it."""

from __future__ import annotations

import copy

from tokenizers import Tokenizer

from terrarium.app.glass.names import token_names
from terrarium.app.glass.read_text import ReadText
from terrarium.app.session.chat import ModelOpened
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.models_in_memory import LoadedModel
from terrarium.app.session.session import Session
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens
from tests.models.inspect.designs import make

MODES = {"decoder-only": "text", "encoder-only": "fill", "encoder-decoder": "answer"}


def open_random(session: Session, design: str, tokenizer: Tokenizer, step: int = 7) -> tuple[AnyModel, Tokenizer]:
    """Make a small model of a design the open model of the session."""
    tokenizer = copy.deepcopy(tokenizer)
    model = make(design, vocab_size=380).float()
    add_missing_special_tokens(tokenizer, model.config.topology)
    about = ChatModel(
        which="random",
        run_id="random",
        name="random",
        step=step,
        mode=MODES[model.config.topology],
        source="files",
        world_seed=0,
        context_length=model.config.context_length,
        n_parameters=model.n_parameters,
        device="CPU",
        config=model.config,
    )
    session.chat.state = "ready"
    loaded = LoadedModel("random", model, tokenizer, step)
    session.chat.set_model(ModelOpened(model=about, tokenizer=tokenizer, loaded=loaded))
    return model, tokenizer


def text_of(tokenizer: Tokenizer, words: str, n_prompt: int, source: str = "", step: int = 7) -> ReadText:
    """A text of bytes; with a `source` for an encoder-decoder."""
    ids, source_ids = (tuple(tokenizer.encode(part, add_special_tokens=False).ids) for part in (words, source))
    names = token_names(tokenizer, (*ids, *source_ids))
    return ReadText(
        ids=ids,
        words=tuple(names[id] for id in ids),
        n_prompt=n_prompt,
        source_ids=source_ids,
        source_words=tuple(names[id] for id in source_ids),
        step=step,
    )
