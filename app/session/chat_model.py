"""What the window knows of a model that one talks to. No torch import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.chat.template_config import ChatTemplateConfig
from models.inference.weight_kinds import KINDS
from models.library.library import Library
from models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.runs.run_folder import RunFolder

LIVE = "live"


@dataclass(frozen=True, kw_only=True)
class ChatModel:
    """What is known of the model one talks to.

    mode: what it does with what one writes: "talk" (it was trained on conversations, or came with a chat template),
    "text" (it goes on with it), "answer" (an encoder-decoder writes a text of its own) or "fill" (an encoder fills its
    masks).
    which: a run's id, or LIVE.
    source and world_seed come from the run's data, so that starters can be drawn. can_do: the kinds of held-out
    questions that it mostly answers right; empty where it was never evaluated, or cannot do any.
    form: how it wants to be talked to. template: what makes its prompts, as one may look at it; "" for none.
    config: its design. weights: how its matrices are kept while one talks to it, one of weight_kinds.KINDS.
    """

    which: str
    run_id: str
    name: str
    step: int
    mode: str
    source: str
    world_seed: int
    context_length: int
    n_parameters: int
    device: str
    can_do: tuple[str, ...] = ()
    form: ChatTemplateConfig = field(default_factory=ChatTemplateConfig)
    template: str = ""
    config: ModelConfig = field(default_factory=ModelConfig)
    weights: str = KINDS[0]

    @property
    def is_chat_model(self) -> bool:
        """Whether it holds conversations."""
        return self.mode == "talk"


def describe_model(
    library: Library, which: str, run: RunFolder, model: Any, tokenizer: Tokenizer, step: int, device: str
) -> ChatModel:
    """Worker's thread: what the window should know of a model at `step`, loaded from `run`."""
    from models.chat.template_config import shown_template
    from models.data.corpus import open_corpus
    from models.interop.chat_templates import read_template_config

    form = read_template_config(run.folder)
    corpus = run.lineage.get("corpus")
    try:
        has_chats = corpus is not None and open_corpus(library, corpus["sha256"]).has_chats
    except (ValueError, KeyError):  # its text is gone: what it was made from still says enough
        has_chats = run.spec.data.source == "tiny-world"
    by_topology = {"encoder-only": "fill", "encoder-decoder": "answer"}
    mode = by_topology.get(model.config.topology, "talk" if has_chats or form.template else "text")
    return ChatModel(
        which=which,
        run_id=run.id,
        name=run.name,
        step=step,
        mode=mode,
        source=run.spec.data.source,
        world_seed=run.spec.data.seed,
        context_length=model.config.context_length,
        n_parameters=model.n_parameters,
        device=device,
        can_do=_mostly_right(run.folder),
        form=form,
        template=shown_template(form, tokenizer),
        config=model.config,
    )


def _mostly_right(folder: Path) -> tuple[str, ...]:
    """The kinds that the run's evaluation found right in at least half of the cases; () where it cannot be read."""
    from models.evaluation.record import read_evaluation

    try:
        evaluated = read_evaluation(folder)
    except ValueError:  # no reason not to chat
        return ()
    return tuple(kind.kind for kind in evaluated.kinds if kind.accuracy >= 0.5) if evaluated else ()
