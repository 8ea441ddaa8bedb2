"""The settings of a training run: model, tokenizer, data and training. No torch import."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from terrarium.models.extensions.entries import Optimizer
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.extension_names import KEY, packages_used, with_missing
from terrarium.models.settings.model_config import ModelConfig, upgraded
from terrarium.models.settings.optimizers import OPTIMIZERS, find_optimizer
from terrarium.models.settings.slots import check_keys, check_settings, settings_from_dict, settings_to_dict, slot
from terrarium.models.settings.tasks import ALIGNED_TASKS, TASKS
from terrarium.models.settings.tokenizer_options import KINDS
from terrarium.models.settings.tune_spec import TuneSpec

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")
"""The devices that a run can use. The device is not part of the spec, since machines differ."""

LOSS_ROWS, GPU_LOSS_ROWS = 512, 4096
"""Targets per block of logits in training (models.architecture.cross_entropy), on a CPU and on other devices. Such
blocks fit a CPU's cache, and are large enough for efficient matrix products: a quarter to a half less time (measured).
"""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training settings. A step is one update of the weights, from grad_accum_steps micro-batches."""

    steps: int = slot(
        1000, "Steps", "How many times the weights are updated in all.", group="Length", range=(1, 1_000_000_000)
    )
    batch_size: int = slot(
        20,
        "Batch size",
        "How many texts are processed in parallel in one step.",
        group="Length",
        range=(1, 65_536),
    )
    grad_accum_steps: int = slot(
        1,
        "Accumulation",
        "How many batches are accumulated for one update: the same as a larger batch, in less memory.",
        group="Length",
        range=(1, 65_536),
    )
    optimizer: str = slot(
        "muon",
        "Optimizer",
        f"The rule that turns gradients into updates. {'; '.join(rule.help for rule in OPTIMIZERS.values())}.",
        group="Learning rate",
        choices=tuple(OPTIMIZERS),
    )
    lr: float = slot(
        6e-3,
        "Learning rate",
        "The size of AdamW's or Lion's updates. Too large diverges, too small is slow.",
        group="Learning rate",
        range=(1e-9, 10.0),
    )
    muon_lr: float = slot(
        0.02,
        "Muon learning rate",
        "The size of Muon's updates of the matrices.",
        group="Learning rate",
        range=(1e-9, 10.0),
        only_if=("optimizer", "muon"),
    )
    warmup_steps: int = slot(
        15,
        "Warm-up",
        "How many steps the learning rate takes to rise from zero.",
        group="Learning rate",
        range=(0, 1_000_000_000),
    )
    schedule: str = slot(
        "linear",
        "Schedule",
        "How the learning rate decays after the warm-up: along a cosine, linearly, linearly in the last 40 % of "
        "the steps only (wsd: warm-up, stable, decay), or not at all.",
        group="Learning rate",
        choices=("cosine", "linear", "wsd", "constant"),
    )
    min_lr_ratio: float = slot(
        0.0,
        "Final LR fraction",
        "The fraction of the learning rate that remains at the last step.",
        group="Learning rate",
        range=(0.0, 1.0),
    )
    weight_decay: float = slot(
        0.1,
        "Weight decay",
        "Shrinks the matrices a little in each step, to reduce overfitting.",
        group="Optimizer",
        range=(0.0, 10.0),
    )
    beta1: float = slot(
        0.9,
        "Beta 1",
        "AdamW: how long it averages past gradients. Lion: how much that average counts in an update.",
        group="Optimizer",
        range=(0.0, 0.9999),
    )
    beta2: float = slot(
        0.99,
        "Beta 2",
        "AdamW: how long it averages squared gradients. Lion: how long it averages gradients.",
        group="Optimizer",
        range=(0.0, 0.999999),
    )
    grad_clip: float = slot(
        1.0,
        "Gradient clip",
        "Gradients with a larger norm than this are scaled down to it. 0 = never.",
        group="Optimizer",
        range=(0.0, 1e6),
    )
    precision: str = slot(
        "auto",
        "Precision",
        "bfloat16 uses shorter numbers: faster where the device supports them. auto decides.",
        group="Optimizer",
        choices=("auto", "float32", "bfloat16"),
    )
    activation_checkpointing: bool = slot(
        False,
        "Activation checkpointing",
        "Keeps only the input of each block for the backward pass, which computes the rest again: longer texts or "
        "larger batches fit, for about a third more work. The result is the same.",
        group="Optimizer",
        omit_default=True,
    )
    state_dtype: str = slot(
        "float32",
        "Optimizer states",
        "The numbers that the optimizer keeps of past gradients. bfloat16 halves their memory: they are rounded up or "
        "down at random, so that small changes are not lost on average.",
        group="Optimizer",
        choices=("float32", "bfloat16"),
        omit_default=True,
    )
    parallel: str = slot(
        "ddp",
        "Several processes",
        "How processes started by torchrun share the work. Each reads a part of every batch. With ddp, each holds the "
        "whole model; with fsdp, a part of it, so that larger ones fit. The result is the same as in one process.",
        group="Optimizer",
        choices=("ddp", "fsdp"),
    )
    context_loss_weight: float = slot(
        1.0,
        "Prompt loss weight",
        "How much the tokens outside a chat's replies count in the loss. 1 = as much as the replies.",
        group="Optimizer",
        range=(0.0, 1.0),
    )
    objective: str = slot(
        "auto",
        "Objective",
        "What an encoder-decoder learns on plain text: filling gaps (span corruption, as T5), or reconstructing a "
        "damaged text (denoising, as BART). auto denoises if positions are learned, as in BART. Decoders always "
        "predict the next token, encoders masked ones.",
        group="Objective",
        choices=("auto", "span-corruption", "denoising"),
    )
    class_weights: str = slot(
        "none",
        "Label weights",
        "How much each label counts in the loss of a classification or tagging: as often as it occurs (none), or all "
        "labels alike (balanced), so that rare ones are not ignored.",
        group="Objective",
        choices=("none", "balanced"),
        omit_default=True,
    )
    seed: int = slot(
        0,
        "Seed",
        "Initialises all random numbers: the same seed gives the same run.",
        group="Optimizer",
        range=(0, 2**31 - 1),
    )
    eval_interval: int = slot(
        200,
        "Validate every",
        "Steps between two validations. 0 = never.",
        group="Evaluation and checkpoints",
        range=(0, 1_000_000_000),
    )
    eval_batches: int = slot(
        8,
        "Validation batches",
        "How much of the validation text is used, always the same part.",
        group="Evaluation and checkpoints",
        range=(1, 1_000_000),
    )
    sample_interval: int = slot(
        100,
        "Sample every",
        "Steps between two samples of the pinned prompts. 0 = never.",
        group="Evaluation and checkpoints",
        range=(0, 1_000_000_000),
    )
    sample_tokens: int = slot(
        48,
        "Sample length",
        "The maximum number of tokens of each sample.",
        group="Evaluation and checkpoints",
        range=(1, 4096),
    )
    prompts: tuple[str, ...] = slot(
        (),
        "Pinned prompts",
        "Texts that the model continues again and again as it learns, with the same seed.",
        group="Evaluation and checkpoints",
    )
    accuracy_interval: int = slot(
        0,
        "Held-out questions every",
        "Steps between two tests on a few held-out questions of each kind, which show how many the model answers as "
        "it learns; also after a fortieth, a sixteenth, an eighth and a quarter of the first interval. Only decoders "
        "that learn Tiny World are asked. 0 = never.",
        group="Evaluation and checkpoints",
        range=(0, 1_000_000_000),
        omit_default=True,
    )
    layer_interval: int = slot(
        10,
        "Layer statistics every",
        "Steps between two measurements of how much an update changes each layer. 0 = never.",
        group="Evaluation and checkpoints",
        range=(0, 1_000_000_000),
    )
    watched_layer: int = slot(
        1,
        "Layer to record",
        "Its attention on the pinned prompts is saved with each sample, for the time machine; 1 is the first.",
        group="Evaluation and checkpoints",
        range=(1, 1_000_000),
    )
    patience: int = slot(
        0,
        "Patience",
        "Stop early after this many validations in a row without a new lowest loss or, with a task, a better metric. "
        "0 = never.",
        group="Evaluation and checkpoints",
        range=(0, 1_000_000),
    )
    checkpoint_interval: int = slot(
        200,
        "Checkpoint every",
        "Steps between two checkpoints. A crash loses at most the steps since the last one.",
        group="Evaluation and checkpoints",
        range=(1, 1_000_000_000),
    )
    keep_checkpoints: int = slot(
        3,
        "Keep checkpoints",
        "How many of the last checkpoints are kept on disk; the best one is kept, too.",
        group="Evaluation and checkpoints",
        range=(1, 1_000_000),
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def optimizer_info(self) -> Optimizer:
        """The entry of the optimizer in OPTIMIZERS."""
        return find_optimizer(self.optimizer)

    @property
    def learning_rates(self) -> dict[str, float]:
        """The learning rates that the optimizer uses, by setting, `lr` first."""
        return {name: getattr(self, name) for name in self.optimizer_info.lr_names}


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The source of the training data."""

    source: str = slot(
        "tiny-world",
        "Source",
        "Your own files, a dataset of the library, Terrarium's small synthetic world, the docstrings of Python's "
        "standard library, or pairs of sentences whose “it” is to be resolved.",
        group="Data",
        choices=("files", "tiny-world", "stdlib", "pronouns", "dataset"),
    )
    files: tuple[str, ...] = slot((), "Files", "UTF-8 text files.", group="Data", only_if=("source", "files"))
    val_fraction: float = slot(
        0.1,
        "Validation share",
        "The fraction at the end of the text that is held out for validation.",
        group="Data",
        range=(0.0001, 0.5),
        only_if=("source", "files"),
    )
    max_bytes: int = slot(
        0,
        "Read at most",
        "How many bytes of the files are read, from the beginning. 0 = all.",
        group="Data",
        range=(0, 1_000_000_000_000),
        only_if=("source", "files"),
        omit_default=True,
    )
    seed: int = slot(
        0,
        "World seed",
        "Selects the world that is generated.",
        group="Data",
        range=(0, 2**31 - 1),
        only_if=("source", "tiny-world"),
    )
    dataset: str = slot(
        "",
        "Dataset",
        "Name of a dataset in the library, or one of Tiny World, such as “Tiny World 0, names”.",
        group="Data",
        only_if=("source", "dataset"),
        omit_default=True,
    )
    task: str = slot(
        "language",
        "Task",
        f"What the model learns from the rows: to {'; to '.join(task.help for task in TASKS.values())}.",
        group="Data",
        choices=tuple(TASKS),
        only_if=("source", "dataset"),
        omit_default=True,
    )
    labels: tuple[str, ...] = slot(
        (),
        "Labels",
        "The labels that the model can give, in the order of its outputs.",
        group="Data",
        only_if=("source", "dataset"),
        omit_default=True,
    )
    metric: str = slot(
        "",
        "Metric",
        "The metric that decides which checkpoint is the best. Empty = the usual one of the task.",
        group="Data",
        choices=("", *sorted({metric for task in TASKS.values() for metric in task.metrics})),
        only_if=("source", "dataset"),
        omit_default=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.source == "files" and not self.files:
            raise ValueError("No training file is chosen: choose at least one text file, or another source.")
        if self.source == "dataset" and not self.dataset:
            raise ValueError("No dataset is chosen: choose one, or another source.")


@dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
    """The tokenizer to train, or the existing one to use."""

    kind: str = slot(
        "bpe",
        "Kind",
        "What a token is: one byte, one character, a frequent piece of text (BPE, WordPiece, Unigram), or a word.",
        group="Tokenizer",
        choices=KINDS,
    )
    vocab_size: int = slot(
        1024,
        "Vocabulary",
        "The maximum number of different tokens.",
        group="Tokenizer",
        range=(2, 1_000_000),
        only_if=("kind", KINDS[1:]),
    )
    path: str = slot("", "Tokenizer", "Name or path of an existing one. Empty = train one.", group="Tokenizer")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """All settings of a run. `model.vocab_size` is replaced by the tokenizer's when the run is prepared."""

    name: str
    model: ModelConfig
    tokenizer: TokenizerSpec
    data: DataSpec
    train: TrainConfig
    tune: TuneSpec | None = None
    """The fine-tuning settings, with the parent; None = from scratch. Preparation sets `model` to the parent's."""
    align: AlignSpec | None = None
    """The alignment settings (learning from preferences or rewards); None = learning from texts."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError("The run has no name: give it one.")
        if self.align is not None and self.tune is None:
            raise ValueError("An alignment starts from a model that has learned to reply: choose one (tune.parent).")
        wanted = () if self.align is None else self.align.tasks
        if self.align is None and self.learned_task in ALIGNED_TASKS:
            raise ValueError(
                f"{TASKS[self.learned_task].title} are learned from by an alignment, since they are no text to "
                "imitate: add [align] with its stage."
            )
        if self.align is not None and self.learned_task not in wanted:
            raise ValueError(
                f"The stage {self.align.stage} learns from {' or '.join(TASKS[task].title.lower() for task in wanted)},"
                f" and from nothing else: in [data] set source to dataset and task to {' or '.join(wanted)}, with a "
                "dataset of them."
            )
        if self.align is not None and self.train.batch_size < self.align.kind.min_batch_size:
            kind = self.align.kind
            raise ValueError(
                f"{kind.words.title} reads each reply after another prompt of its batch, too: set train.batch_size to "
                f"{kind.min_batch_size} or more."
            )
        if self.align is not None and self.train.optimizer != "adamw":
            raise ValueError(
                f"An alignment is not trained with {self.train.optimizer}, whose updates have full length where there "
                "is nothing to learn: set train.optimizer to adamw."
            )

    @property
    def n_classes(self) -> int:
        """The number of classes of a prediction; 0 if a uniform guess has no fixed loss (scores, spans, KTO).

        The classes are all tokens, the labels of a task (multi-label: 2, present or not), the two nouns that a pronoun
        may refer to, or the two replies of a preference pair.
        """
        if self.align is not None and not self.align.kind.guess_is_known:
            return 0
        if self.data.source == "pronouns" or self.learned_task in ("multi-label", "preference"):
            return 2
        return 0 if self.learned_task in ("regression", "span") else self.model.n_output or self.model.vocab_size

    @property
    def learned_task(self) -> str:
        """The task of the dataset; "" for plain text, conversations or pronouns."""
        return self.data.task if self.data.source == "dataset" and self.data.task not in ("language", "chat") else ""

    @property
    def batch_model(self) -> ModelConfig:
        """The design with the context length of batches: fine-tuning may cut texts to less than the model's."""
        context = self.model.context_length
        length = context if self.tune is None else min(context, self.tune.max_length)
        return self.model if length == context else dataclasses.replace(self.model, context_length=length)

    @property
    def old_share(self) -> float:
        """The share of the examples taken from the parent's training data (rehearsal); 0 without fine-tuning."""
        return 0.0 if self.tune is None else self.tune.old_share

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict, as written to files; the inverse of `from_dict`."""
        parts: dict[str, Any] = {
            "model": self.model,
            "tokenizer": self.tokenizer,
            "data": self.data,
            "train": self.train,
        }
        for name, part in (("tune", self.tune), ("align", self.align)):
            if part is not None:
                parts[name] = part
        tables = {name: settings_to_dict(part) for name, part in parts.items()}
        return {"name": self.name, **tables, **packages_used(parts)}

    @classmethod
    def from_dict(cls, data: Any, *, where: str = "the run's spec") -> RunSpec:
        """Build from the parsed JSON of a stored run, new or old. Raises ValueError, naming `where` and the mistake."""
        check_keys(data, {"name", "model", "tokenizer", "data", "train", "tune", "align", KEY}, where)
        data = with_missing(data)
        model = settings_from_dict(ModelConfig, upgraded(data.get("model", {})), f"{where}: model")
        parts: dict[str, Any] = {
            "model": model,
            "tokenizer": settings_from_dict(TokenizerSpec, data.get("tokenizer", {}), f"{where}: tokenizer"),
            "data": settings_from_dict(DataSpec, data.get("data", {}), f"{where}: data"),
            "train": settings_from_dict(
                TrainConfig, _upgraded_train(data.get("train", {}), model.topology), f"{where}: train"
            ),
        }
        for name, kind in (("tune", TuneSpec), ("align", AlignSpec)):
            if name in data:
                parts[name] = settings_from_dict(kind, data[name], f"{where}: {name}")
        try:
            return cls(name=data.get("name", ""), **parts)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def _upgraded_train(data: Any, topology: str) -> Any:
    """Add the objective, which early versions did not write, so that encoder-decoders resume exactly."""
    if isinstance(data, dict) and topology == "encoder-decoder":
        return {"objective": "span-corruption", **data}
    return data
