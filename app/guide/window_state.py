"""What the guide knows about the window and the library at one moment: plain data, from which checks are made."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class RunFact:
    """A run of the library. kind: Tiny World's tasks and published ones by their recipe's name, else its data source.

    best_loss: None until measured.
    """

    id: str
    name: str
    status: str
    kind: str
    step: int
    topology: str
    position: str
    has_model: bool = True
    is_tuned: bool = False
    align_stage: str = ""
    best_loss: float | None = None

    @property
    def can_chat(self) -> bool:
        """Whether it holds a model that has learned to reply from Tiny World."""
        return self.has_model and self.kind == "tiny-world" and self.topology == "decoder-only"


@dataclass(frozen=True, kw_only=True)
class ScoredFact:
    """What a recipe's run came to on held-out rows. metric, value: of the score that stands for the task; group: the
    rows that it is of, "" for all; unseen: the score on what it could not know by heart, None where the test has no
    such group."""

    metric: str
    value: float
    group: str = ""
    unseen: float | None = None


@dataclass(frozen=True, kw_only=True)
class SafetyFact:
    """What the demonstration “Knows what to refuse” came to, as shares of the replies.

    told_before, told_after: of forbidden questions that were answered before the rule was learned, and with it;
    told_when_begun: with it, where the reply was begun. over_refused: of harmless look-alikes that were refused;
    over_refused_without: by the model that saw none in training.
    """

    told_before: float
    told_after: float
    told_when_begun: float
    over_refused: float
    over_refused_without: float


@dataclass(frozen=True, kw_only=True)
class TrainingFact:
    """The current or last training of this launch. recipe: of a task or a demonstration, "" for none.

    text_bits, text_table: bits per byte of the user's own text by its model and by the best table of letters; None
    until measured. is_text_learned: its model is better than a table of two letters at least.
    """

    name: str
    run_id: str
    is_over: bool
    status: str
    step: int
    total_steps: int
    recipe: str = ""
    is_quickstart: bool = False
    accuracy: float | None = None
    text_bits: float | None = None
    text_table: float | None = None
    is_text_learned: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelFact:
    """The model that is open in the chat. accuracy: its share of right answers to held-out questions, by kind."""

    run_id: str
    name: str
    mode: str
    step: int
    n_parameters: int
    vocab_size: int
    context_length: int
    accuracy: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReplyFact:
    """A complete reply of the open conversation. prompt: what it answers. is_branch: it continues from a token that was
    chosen, and turn is the reply from that token on.

    is_right: whether it is the known right answer; None where none is known. probability: of its tokens, on average
    (the geometric mean); None where it was not recorded.
    """

    id: str
    prompt: str
    text: str
    temperature: float
    n_tokens: int
    is_branch: bool = False
    turn: str = ""
    is_right: bool | None = None
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class TokenFact:
    """The token in focus. position: in its text. probability: with which the model gave it; None for one that it only
    read."""

    word: str
    probability: float | None = None
    position: int = 0


@dataclass(frozen=True, kw_only=True)
class SwitchedOffFact:
    """The parts that are switched off, and the probability of the answer before and after that.

    are_heads: whether they are single heads, all of them.
    """

    parts: tuple[str, ...]
    are_heads: bool
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class PairFact:
    """Two sentences, and the noun that “it” points at in each, by an encoder and by a causal model.

    decoder_difference: the largest difference between the causal model's scores of the two sentences.
    """

    texts: tuple[str, str]
    encoder: tuple[str, str]
    decoder: tuple[str, str]
    decoder_difference: float


@dataclass(frozen=True, kw_only=True)
class WindowState:
    """All that checks and figures are made from.

    places: where the window is, from the tab to the view and panel in it: {"chat", "chat/mode/chat", "chat/next"}; a
    run's view also with the kind of the run: “training/run/scores/mood”. datasets: those made since launch.
    typed, n_tokens: the text of the tokenizer tab, and its tokens. head: the attention head in focus, "" for none.
    machine_step: the step that the time machine shows, -1 for none, of machine_steps; machine_last: the last one that
    was recorded. scored: what the run whose scores are shown came to on its test, else the newest finished run; None
    where it is not scored (yet). safety: of the result that is shown; None while there is none. n_judged: pairs of
    replies that a person judged in the current set. exported: names of the files and folders that models were exported
    to.
    """

    places: frozenset[str] = frozenset()
    tokenizers: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    tokenizer: str = ""
    vocab_size: int = 0
    typed: str = ""
    n_tokens: int = 0
    design: ModelConfig | None = None
    n_parameters: int = 0
    runs: tuple[RunFact, ...] = ()
    scored: ScoredFact | None = None
    safety: SafetyFact | None = None
    training: TrainingFact | None = None
    model: ModelFact | None = None
    replies: tuple[ReplyFact, ...] = ()
    token: TokenFact | None = None
    head: str = ""
    switched_off: SwitchedOffFact | None = None
    pair: PairFact | None = None
    machine_step: int = -1
    machine_steps: int = 0
    machine_last: int = -1
    n_judged: int = 0
    is_serving: bool = False
    exported: tuple[str, ...] = ()

    @property
    def is_training(self) -> bool:
        """Whether a run is training now."""
        return self.training is not None and not self.training.is_over

    @property
    def can_chat(self) -> bool:
        """Whether there is a model that replies: the open one, or a run of Tiny World."""
        if self.model is not None and self.model.mode == "talk":
            return True
        return any(run.can_chat for run in self.runs)
