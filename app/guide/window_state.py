"""The state of the window and the library at one moment, as plain data for completion checks and figures."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class RunFact:
    """A run of the library. kind: the recipe's name for Tiny World tasks and published ones, else the data source.

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
        """Whether its model learned to chat from Tiny World."""
        return self.has_model and self.kind == "tiny-world" and self.topology == "decoder-only"


@dataclass(frozen=True, kw_only=True)
class ScoredFact:
    """The score of a recipe's run on held-out rows. metric, value: the task's main metric; group: the subset of rows it
    is computed on, "" for all; unseen: the score on rows that could not have been memorised, None if the test has no
    such group."""

    metric: str
    value: float
    group: str = ""
    unseen: float | None = None


@dataclass(frozen=True, kw_only=True)
class SafetyFact:
    """The result of the demonstration “Knows what to refuse”, as fractions of the replies.

    told_before, told_after: forbidden questions answered before and after training on the rule; told_when_begun: after
    it, with a prefilled beginning of the reply. over_refused: harmless look-alikes that were refused;
    over_refused_without: the same for the model trained without look-alikes.
    """

    told_before: float
    told_after: float
    told_when_begun: float
    over_refused: float
    over_refused_without: float


@dataclass(frozen=True, kw_only=True)
class TrainingFact:
    """The current or last training of this launch. recipe: its task or demonstration, or "".

    text_bits, text_table: bits per byte of the model and of the best letter table on the user's own text; None until
    measured. is_text_learned: the model beats at least a table of two letters.
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
    """The model that is open in the chat. accuracy: its accuracy on held-out questions, by kind."""

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
    """A complete reply of the open conversation. prompt: the message it replies to. is_branch: it continues from a
    token that the user chose, and turn is the reply from that token on.

    is_right: whether it is the right answer; None if that is unknown. probability: the geometric mean of its tokens'
    probabilities; None if not recorded.
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
    """The token in focus. position: its index in the text. probability: the probability with which the model
    generated it; None for a token of the prompt."""

    word: str
    probability: float | None = None
    position: int = 0


@dataclass(frozen=True, kw_only=True)
class SwitchedOffFact:
    """The ablated parts, and the probability of the answer before and after the ablation.

    are_heads: whether all of them are single attention heads.
    """

    parts: tuple[str, ...]
    are_heads: bool
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class PairFact:
    """Two sentences, and the noun to which an encoder and a causal model resolve “it” in each.

    decoder_difference: the largest difference between the causal model's scores of the two sentences.
    """

    texts: tuple[str, str]
    encoder: tuple[str, str]
    decoder: tuple[str, str]
    decoder_difference: float


@dataclass(frozen=True, kw_only=True)
class WindowState:
    """The data from which checks and figures are computed.

    places: the visible places, from the tab to its view and panel: {"chat", "chat/mode/chat", "chat/next"}; a run's
    view also with the kind of the run: “training/run/scores/mood”. datasets: those created since launch. typed,
    n_tokens: the text in the tokenizer tab, and its number of tokens. head: the attention head in focus, or "".
    machine_step: the step that the time machine shows, -1 for none, of machine_steps; machine_last: the last recorded
    step. scored: the test score of the run whose scores are shown, else of the newest finished run; None if it has
    none (yet). safety: the result that is shown, or None. n_judged: pairs of replies judged by the user in the current
    set. exported: names of the files and folders that models were exported to.
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
