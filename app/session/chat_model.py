"""Facts about the open model, as plain data for the window. No torch import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.settings.run_spec import RunSpec

LIVE = "live"
PRONOUNS = "pronouns"
"""The data source of pronoun models, which point at the word that “it” refers to."""
PRONOUN_WORDS = "What is “it”?"
_BY_TOPOLOGY = {"encoder-only": "fill", "encoder-decoder": "answer"}
_BY_HEAD = {"sequence": "classify", "token": "tag", "span": "ask", "none": "vectors"}


@dataclass(frozen=True, kw_only=True)
class ChatModel:
    """Facts about a model.

    mode: what it does with a prompt: "talk" (replies: it was trained on conversations, or came with a chat template),
    "text" (continues it), "answer" (an encoder-decoder writes a target text), "fill" (an encoder fills its masks), or,
    without a language head, "classify" (labels or a number for a text), "tag" (a tag for each word), "ask" (the span
    of an answer) and "vectors" (hidden states only).
    task, labels: the task learned from a dataset (models.settings.tasks) and its labels; "" and () otherwise.
    writes_code: whether it writes functions that can be executed.
    which: a run's id, or LIVE.
    source, world_seed: of the run's data, from which conversation starters are drawn. can_do: the kinds of held-out
    questions that it answers with an accuracy of at least one half; empty if it was never evaluated.
    template_config: its chat format. template: the source of its chat template, "" if it has none.
    config: its design. weights: the number format of its matrices, one of weight_kinds.KINDS.
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
    template_config: ChatTemplateConfig = field(default_factory=ChatTemplateConfig)
    template: str = ""
    config: ModelConfig = field(default_factory=ModelConfig)
    weights: str = KINDS[0]
    task: str = ""
    labels: tuple[str, ...] = ()
    writes_code: bool = False

    @property
    def writes(self) -> bool:
        """Whether it writes texts."""
        return self.mode in ("talk", "text", "answer")

    @property
    def is_chat_model(self) -> bool:
        """Whether it is a chat model."""
        return self.mode == "talk"


def writes_text(spec: RunSpec) -> bool:
    """Return whether the model of a run continues texts or replies to messages."""
    model = spec.model
    return model.topology == "decoder-only" and model.head == "language" and spec.data.source != PRONOUNS


def use_words(spec: RunSpec | None) -> str:
    """Return the label of the button that opens a run's model in the view for its kind. spec: None if unknown."""
    if spec is None or writes_text(spec):
        return "Chat with it"
    return PRONOUN_WORDS if spec.data.source == PRONOUNS else "Try it"


def describe_model(
    library: Library, which: str, run: RunFolder, model: Any, tokenizer: Tokenizer, step: int, device: str
) -> ChatModel:
    """On the worker thread: describe a model at `step`, loaded from `run`."""
    from terrarium.models.chat.template_config import shown_template
    from terrarium.models.corpora.corpus import open_corpus
    from terrarium.models.interop.chat_templates import read_template_config
    from terrarium.models.interop.importing import task_of

    template_config = read_template_config(run.folder)
    corpus = run.lineage.get("corpus")
    learned = task_of(run.folder, model.config)
    task, metric = learned.get("task", ""), run.spec.data.metric
    try:
        found = open_corpus(library, corpus["sha256"]) if corpus is not None else None
        has_chats = found is not None and found.has_chats
        metric = metric or (found.metric if found is not None else "")
    except (ValueError, KeyError):  # its corpus was deleted: the data source still tells whether it has conversations
        has_chats = run.spec.data.source == "tiny-world"
    has_chats = has_chats or task == "text-to-text"  # the source text is the user's message
    mode = _BY_HEAD.get(model.config.head) or _BY_TOPOLOGY.get(
        model.config.topology, "talk" if has_chats or template_config.template else "text"
    )
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
        template_config=template_config,
        template=shown_template(template_config, tokenizer),
        config=model.config,
        task=task,
        labels=tuple(learned.get("labels", ())),
        writes_code=metric == "pass_at_1" and model.config.head == "language",
    )


def _mostly_right(folder: Path) -> tuple[str, ...]:
    """Return the kinds with an accuracy of at least one half in the run's evaluation; () if it cannot be read."""
    from terrarium.models.evaluation.record import read_evaluation

    try:
        evaluated = read_evaluation(folder)
    except ValueError:  # a damaged evaluation must not prevent chatting
        return ()
    return tuple(kind.kind for kind in evaluated.kinds if kind.accuracy >= 0.5) if evaluated else ()
