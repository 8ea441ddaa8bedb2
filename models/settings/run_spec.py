"""What a training run is made from: model, tokenizer, data and training settings, as plain data. No torch import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.settings.model_config import ModelConfig, upgraded
from models.settings.optimizers import OPTIMIZERS, Optimizer
from models.settings.slots import check_settings, plain, settings_from_dict, slot
from models.settings.tokenizer_options import KINDS

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")
"""Where a run can compute. No part of its spec: each machine has others."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained. One step is one update of the weights, of grad_accum_steps micro-batches."""

    steps: int = slot(
        1000, "Steps", "How many times the weights are updated in all.", group="Length", range=(1, 1_000_000_000)
    )
    batch_size: int = slot(
        20,
        "Batch size",
        "How many texts are read side by side before anything is learned.",
        group="Length",
        range=(1, 65_536),
    )
    grad_accum_steps: int = slot(
        1,
        "Accumulation",
        "How many batches are added up for one update: as good as a larger batch, in less memory.",
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
        "The size of AdamW's or Lion's updates. Too large diverges, too small crawls.",
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
        "Over how many steps the learning rate grows from zero: a gentle start.",
        group="Learning rate",
        range=(0, 1_000_000_000),
    )
    schedule: str = slot(
        "linear",
        "Schedule",
        "How the learning rate falls after the warm-up: along a cosine, along a line, along a line in the last 40 % of "
        "the steps only (wsd: warm-up, stable, decay), or not at all.",
        group="Learning rate",
        choices=("cosine", "linear", "wsd", "constant"),
    )
    min_lr_ratio: float = slot(
        0.0,
        "Final share",
        "The share of the learning rate that is left at the last step.",
        group="Learning rate",
        range=(0.0, 1.0),
    )
    weight_decay: float = slot(
        0.1,
        "Weight decay",
        "Pulls the matrices towards zero a little, against overfitting.",
        group="Optimizer",
        range=(0.0, 10.0),
    )
    beta1: float = slot(
        0.9,
        "Beta 1",
        "How long AdamW remembers past gradients; in Lion, how much their mean counts in an update.",
        group="Optimizer",
        range=(0.0, 0.9999),
    )
    beta2: float = slot(
        0.99,
        "Beta 2",
        "How long AdamW remembers their size, and Lion past gradients.",
        group="Optimizer",
        range=(0.0, 0.999999),
    )
    grad_clip: float = slot(
        1.0,
        "Gradient clip",
        "Gradients longer than this are shortened to it. 0 = never.",
        group="Optimizer",
        range=(0.0, 1e6),
    )
    precision: str = slot(
        "auto",
        "Precision",
        "bfloat16 computes with shorter numbers: faster where the device does it well. auto decides.",
        group="Optimizer",
        choices=("auto", "float32", "bfloat16"),
    )
    parallel: str = slot(
        "ddp",
        "Several processes",
        "How processes started by torchrun share the work. Each reads a part of every batch; ddp: and holds the whole "
        "model; fsdp: and holds a part of it, so that larger ones fit. What is learned is the same as in one process.",
        group="Optimizer",
        choices=("ddp", "fsdp"),
    )
    context_loss_weight: float = slot(
        1.0,
        "Weight outside replies",
        "How much the tokens outside a chat's replies count in the loss. 1 = as much as the replies.",
        group="Optimizer",
        range=(0.0, 1.0),
    )
    objective: str = slot(
        "auto",
        "Learns by",
        "What an encoder-decoder practises on plain text: filling gaps (span corruption, as T5), or writing a damaged "
        "text anew (denoising, as BART). auto denoises where positions are learned, as BART's are. Decoders always "
        "guess the next token, encoders masked ones.",
        group="Objective",
        choices=("auto", "span-corruption", "denoising"),
    )
    seed: int = slot(
        0,
        "Seed",
        "The number that all randomness is drawn from: the same seed gives the same run.",
        group="Optimizer",
        range=(0, 2**31 - 1),
    )
    eval_interval: int = slot(
        200,
        "Validate every",
        "Steps between two looks at the validation text. 0 = never.",
        group="Watching",
        range=(0, 1_000_000_000),
    )
    eval_batches: int = slot(
        8,
        "Validation batches",
        "How much of the validation text is looked at, always the same.",
        group="Watching",
        range=(1, 1_000_000),
    )
    sample_interval: int = slot(
        100,
        "Sample every",
        "Steps between two samples of the pinned prompts. 0 = never.",
        group="Watching",
        range=(0, 1_000_000_000),
    )
    sample_tokens: int = slot(
        48, "Sample length", "How many tokens each sample may have.", group="Watching", range=(1, 4096)
    )
    prompts: tuple[str, ...] = slot(
        (),
        "Pinned prompts",
        "Texts that the model goes on from, again and again as it learns, with the same seed.",
        group="Watching",
    )
    layer_interval: int = slot(
        10,
        "Look at layers every",
        "Steps between two measurements of how much an update changes each layer. 0 = never.",
        group="Watching",
        range=(0, 1_000_000_000),
    )
    watched_layer: int = slot(
        1,
        "Layer to watch",
        "Whose attention in the pinned prompts is kept with each sample, for the time machine; 1 is the first.",
        group="Watching",
        range=(1, 1_000_000),
    )
    patience: int = slot(
        0,
        "Patience",
        "Stop early after so many validations in a row without a new lowest loss. 0 = never.",
        group="Watching",
        range=(0, 1_000_000),
    )
    checkpoint_interval: int = slot(
        200,
        "Checkpoint every",
        "Steps between two checkpoints. A crash loses at most the steps since the last one.",
        group="Watching",
        range=(1, 1_000_000_000),
    )
    keep_checkpoints: int = slot(
        3,
        "Keep checkpoints",
        "How many of the last checkpoints stay on disk; the best one stays as well.",
        group="Watching",
        range=(1, 1_000_000),
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def rule(self) -> Optimizer:
        """What is to be known of the optimizer."""
        return OPTIMIZERS[self.optimizer]

    @property
    def rates(self) -> dict[str, float]:
        """The learning rates in use, by setting: `lr` first."""
        return {name: getattr(self, name) for name in self.rule.rates}


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Where the text comes from."""

    source: str = slot(
        "tiny-world",
        "Source",
        "Your own files, Terrarium's synthetic little world, the docstrings of Python's standard library, or pairs of "
        "sentences whose “it” is to be resolved.",
        group="Data",
        choices=("files", "tiny-world", "stdlib", "pronouns"),
    )
    files: tuple[str, ...] = slot((), "Files", "UTF-8 text files.", group="Data", only_if=("source", "files"))
    val_fraction: float = slot(
        0.1,
        "Validation share",
        "How much of the text's end is kept away from training, to measure on.",
        group="Data",
        range=(0.0001, 0.5),
        only_if=("source", "files"),
    )
    seed: int = slot(
        0,
        "World seed",
        "Which little world is generated.",
        group="Data",
        range=(0, 2**31 - 1),
        only_if=("source", "tiny-world"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.source == "files" and not self.files:
            raise ValueError("No file is chosen to train on: choose at least one text file, or another source.")


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
        "How many different tokens there are at most.",
        group="Tokenizer",
        range=(2, 1_000_000),
        only_if=("kind", KINDS[1:]),
    )
    path: str = slot("", "Tokenizer", "Name or path of an existing one. Empty = train one.", group="Tokenizer")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Everything a run is made from. `model.vocab_size` is replaced by the tokenizer's when the run is prepared."""

    name: str
    model: ModelConfig
    tokenizer: TokenizerSpec
    data: DataSpec
    train: TrainConfig

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError("The run has no name: give it one.")

    @property
    def n_choices(self) -> int:
        """Among how many answers a guess is made: all tokens, or the two nouns that a pronoun may mean."""
        return 2 if self.data.source == "pronouns" else self.model.vocab_size

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict, as it is written to files; the inverse of `from_dict`."""
        parts = {"model": self.model, "tokenizer": self.tokenizer, "data": self.data, "train": self.train}
        return {"name": self.name, **{name: plain(part) for name, part in parts.items()}}

    @classmethod
    def from_dict(cls, data: Any, *, where: str = "the run's spec") -> RunSpec:
        """Build from the parsed JSON of a stored run, new or old; ValueError names `where` and what is wrong there."""
        check_keys(data, {"name", "model", "tokenizer", "data", "train"}, where)
        model = settings_from_dict(ModelConfig, upgraded(data.get("model", {})), f"{where}: model")
        parts: dict[str, Any] = {
            "model": model,
            "tokenizer": settings_from_dict(TokenizerSpec, data.get("tokenizer", {}), f"{where}: tokenizer"),
            "data": settings_from_dict(DataSpec, data.get("data", {}), f"{where}: data"),
            "train": settings_from_dict(
                TrainConfig, _upgraded_train(data.get("train", {}), model.topology), f"{where}: train"
            ),
        }
        try:
            return cls(name=data.get("name", ""), **parts)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def objective_of(model: ModelConfig, wanted: str = "auto") -> str:
    """What a design practises on plain text: next-token, masked-tokens, span-corruption or denoising.

    wanted: TrainConfig.objective, which only encoder-decoders heed.
    """
    if model.topology == "decoder-only":
        return "next-token"
    if model.topology == "encoder-only":
        return "masked-tokens"
    if wanted != "auto":
        return wanted
    return "denoising" if model.position == "learned" else "span-corruption"


def inactive_fields(model: ModelConfig) -> frozenset[str]:
    """The TrainConfig settings that change nothing for a design, because of its topology."""
    return frozenset() if model.topology == "encoder-decoder" else frozenset({"objective"})


def _upgraded_train(data: Any, topology: str) -> Any:
    """`data` with what was not written at first: encoder-decoders had one objective, so their resume is exact."""
    if isinstance(data, dict) and topology == "encoder-decoder":
        return {"objective": "span-corruption", **data}
    return data


def check_keys(data: Any, known: set[str], where: str) -> None:
    """Raise ValueError where `data` is not a dict or has a key that is not `known`."""
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object of named settings, not {type(data).__name__}.")
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{where} has nothing called {unknown[0]!r}: it knows {', '.join(sorted(known))}.")
