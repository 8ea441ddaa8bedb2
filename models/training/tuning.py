"""What a fine-tuning trains: its design, which parameters are frozen, and the initial weights.

Its cost: models.design.tuning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from tokenizers import Tokenizer
from torch import Tensor, nn

from terrarium.models.architecture.block import recompute_blocks
from terrarium.models.architecture.lookback import is_fixed
from terrarium.models.architecture.lora import DOWN, UP, add_adapters
from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder, build_model
from terrarium.models.files.atomic import read_json
from terrarium.models.interop.stored import read_tensors
from terrarium.models.number_words import format_count
from terrarium.models.runs.checkpoint_state import BASE, read_model_config
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.tune_spec import TuneSpec

_HEAD = ("head.", "pooler.")
"""Prefixes of the names of a head's parameters."""

_TABLES = ("embedding.weight", "head.weight")
_BY_TOKEN = (*_TABLES, "head.bias")
"""Parameters with a row per token: the tables of inputs and outputs, and the outputs' bias."""


def tuned_design(parent: ModelConfig, tokenizer: Tokenizer, task: str, labels: Sequence[str]) -> ModelConfig:
    """Return the parent's design with the head that the task needs and a row for each token.

    Raises:
        ValueError: if a model of its topology cannot learn the task.
    """
    vocab_size = max(parent.vocab_size, tokenizer.get_vocab_size())
    return dataclasses.replace(parent.for_task(task, labels), vocab_size=vocab_size)


def check_tuning(spec: RunSpec, n_new: int) -> None:
    """Raise ValueError if the mode of a fine-tuning does not suit its design, its optimizer or its `n_new` tokens.

    Args:
        spec: prepared, with its own design.
    """
    tune, config = spec.tune, spec.model
    assert tune is not None
    if tune.mode != "all" and n_new and not tune.train_embeddings:
        raise ValueError(
            f"This data needs {format_count(n_new, 'token')} that the parent does not know, and their rows would stay "
            "random: train the token rows too (tune.train_embeddings), or all weights."
        )
    if tune.mode == "lora" and spec.train.optimizer == "muon":
        raise ValueError(
            "LoRA is not trained with Muon, whose updates have full length however small the gradient is: set "
            "train.optimizer to adamw."
        )
    has_own_head = config.head != "language" or not config.tied_embeddings or config.head_bias
    if tune.mode == "head" and not (has_own_head or tune.train_embeddings):
        raise ValueError(
            "This model's head is its embedding table, so a head alone cannot be trained: train the token rows "
            "(tune.train_embeddings), or choose another mode."
        )


def describe_new_parameters(spec: RunSpec, n_new: int, parent: ModelConfig, labels: Sequence[str]) -> Iterator[str]:
    """Yield a sentence on each part that the parent lacks, which is randomly initialised.

    Args:
        spec: prepared, with its own design.
        n_new: the number of tokens that its tokenizer has and the parent's has not.
        parent, labels: the parent's design, and the labels of its head.
    """
    if n_new:
        tokens = format_count(n_new, "token")
        yield f"This data needs {tokens} that the parent does not know: their rows start from random numbers."
    if spec.model.head != "language" and not keeps_head_of(parent, labels, spec):
        yield "The head starts from random numbers: the parent has none for this task and these labels."


def build_run_model(spec: RunSpec, weights: Mapping[str, Tensor] | None = None, *, keeps_head: bool = True) -> AnyModel:
    """Build the model of a run before its first step; what its parent lacks is drawn from torch's global generator.

    Args:
        weights: its parent's; None: all are drawn.
        keeps_head: whether the parent's head is copied too.

    Raises:
        ValueError: if `weights` are not those of the parent's design.
    """
    model = build_model(spec.model)
    recompute_blocks(model, spec.train.activation_checkpointing)
    if spec.align is not None and spec.align.kind.head == "regression":  # as Stiennon et al. have it (arXiv:2009.01325)
        for parameter in model.check_head().parameters():
            nn.init.normal_(parameter, std=(spec.model.d_model + 1) ** -0.5)
    if weights is not None:
        _take_over(model, weights, keeps_head=keeps_head)
    if spec.tune is not None:
        _choose_trained(model, spec.tune, keeps_head=keeps_head)
    return model


def build_from_base(run: RunFolder) -> AnyModel:
    """Build the model of a run folder as `build_run_model` does, with its parent's weights saved there.

    Raises:
        ValueError: if one of their files is missing or damaged; the message names it.
    """
    if run.spec.tune is None:
        return build_run_model(run.spec)
    base = run.folder / BASE
    labels = read_json(base / "state.json").get("labels", [])
    keeps_head = keeps_head_of(read_model_config(base), labels, run.spec)
    try:
        return build_run_model(run.spec, read_tensors(base / "model.safetensors"), keeps_head=keeps_head)
    except ValueError as error:
        raise ValueError(f"{base}: {error} Put an intact copy of it back, or start the run anew.") from error


def keeps_head_of(parent: ModelConfig, labels: Sequence[str], spec: RunSpec) -> bool:
    """Whether a run continues with its parent's head: it does if the labels are the same."""
    return parent.head == spec.model.head and tuple(labels) == spec.data.labels


def _take_over(model: AnyModel, weights: Mapping[str, Tensor], *, keeps_head: bool) -> None:
    """Copy the parent's weights bit for bit. If the vocabulary has grown, the new rows keep their initial values."""
    for name, tensor in model.state_dict().items():
        if name.startswith("head.") and not keeps_head:
            continue
        stored = weights.get(name)
        if stored is not None and (stored.shape == tensor.shape or _has_grown(name, stored, tensor)):
            tensor[: len(stored)].copy_(stored)
        elif not name.startswith(_HEAD):
            raise ValueError(f"The weights of the parent lack {name!r}, or have it in another shape.")


def _has_grown(name: str, before: Tensor, now: Tensor) -> bool:
    return name in _BY_TOKEN and before.shape[1:] == now.shape[1:] and len(before) < len(now)


def _choose_trained(model: AnyModel, tune: TuneSpec, *, keeps_head: bool) -> None:
    """Add adapters if the mode has them, and freeze what it does not train.

    A new head is always trained. Weights that are fixed by the design are never trained, except adapters of them.
    """
    if tune.mode == "lora":
        add_adapters(model, tune.lora_r, tune.lora_scale, tune.lora_dropout)
    stacks = [model.encoder, model.decoder] if isinstance(model, EncoderDecoder) else [model]
    layers = [layer for stack in stacks for layer in stack.blocks]
    last = {id(p) for layer in layers[-tune.n_last :] for p in layer.parameters()}
    tops = [stack for stack in stacks if id(next(stack.blocks[-1].parameters())) in last]
    last |= {id(p) for stack in tops if stack.final_norm is not None for p in stack.final_norm.parameters()}
    is_own = model.config.head not in ("language", "none") or not keeps_head
    for name, parameter in model.named_parameters():
        in_head = name.startswith(_HEAD)
        learns = not is_fixed(name, model.config)
        in_mode = {
            "all": learns,
            "head": in_head,
            "last": in_head or (learns and id(parameter) in last),
            "lora": name.endswith((DOWN, UP)) or (in_head and is_own),
        }
        parameter.requires_grad_(in_mode[tune.mode] or (tune.train_embeddings and name in _TABLES))
