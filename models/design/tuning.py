"""The number of parameters that fine-tuning trains, exactly as in the built model (models.training.tuning)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from terrarium.models.design.counting import block_matrices, parameters_by_component
from terrarium.models.design.operations import TRAINING_FACTOR, recomputed_share
from terrarium.models.design.parts import EMBEDDING, HEAD, POOLER, stacks
from terrarium.models.design.tree import MATRIX, Part, Tensor, design_tree, state_tensors
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tune_spec import TuneSpec


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Numbers of trained parameters. matrices: in two-dimensional matrices of the blocks, which Muon updates. others:
    all others. added: those in adapters, which the model has in addition to its own.
    """

    matrices: int = 0
    others: int = 0
    added: int = 0

    @property
    def total(self) -> int:
        """The number of all trained parameters."""
        return self.matrices + self.others


def trained_parameters(config: ModelConfig, tune: TuneSpec | None = None) -> Trained:
    """Count the trained parameters of a design: without `tune`, all but those of a fixed look-back layer."""
    tree = design_tree(config)
    if tune is None or tune.mode == "all":
        whole, fixed = _sizes(tree), _layer_sizes(tree.find("blocks")) if config.looks_back else Trained()
        return Trained(matrices=whole.matrices - fixed.matrices, others=whole.others - fixed.others)
    own = parameters_by_component(config)
    head = own.get(HEAD, 0) + own.get(POOLER, 0)
    has_labels = config.head not in ("language", "none")
    tables = own[EMBEDDING] if tune.train_embeddings else 0
    if not has_labels and config.head != "none" and not config.tied_embeddings and tune.train_embeddings:
        tables += own[EMBEDDING] if tune.mode == "lora" else 0  # the output table; other modes train the whole head
    if tune.mode == "lora":
        added = tune.lora_r * sum(sum(matrix.shape) for matrix in adapted_matrices(tree).values())
        return Trained(matrices=added, others=tables + head * has_labels, added=added)
    if tune.mode == "head":
        return Trained(others=tables + head)
    last = _last_layers(config, tree, tune.n_last)
    return Trained(matrices=last.matrices, others=last.others + tables + head)


def activation_design(config: ModelConfig, tune: TuneSpec | None) -> ModelConfig:
    """Return a design with about the activations that fine-tuning saves for the backward pass: the layers from the
    first trained one on, but at least one, since each needs memory while it computes."""
    if tune is None or tune.mode in ("all", "lora") or tune.train_embeddings:
        return config
    n = tune.n_last if tune.mode == "last" else 1
    of_encoder = config.n_encoder_layer
    if config.topology == "encoder-decoder":
        of_encoder = min(of_encoder or config.n_layer, max(1, n - config.n_layer))
    return dataclasses.replace(config, n_layer=min(config.n_layer, n), n_encoder_layer=of_encoder)


def training_factor(config: ModelConfig, tune: TuneSpec | None, *, recomputes: bool = False) -> float:
    """Estimate the FLOPs of a training step as a multiple of those of a forward pass.

    One for the forward pass, one for the gradients of the activations and one for those of the weights; the last two
    only from the first trained layer on. With `recomputes` (activation checkpointing), the blocks from that layer on
    run forward twice.
    """
    again = recomputed_share(config) if recomputes else 0.0
    if tune is None or tune.mode == "all":
        return TRAINING_FACTOR + again
    if tune.mode == "lora" or tune.train_embeddings:
        return TRAINING_FACTOR - 1 + again
    n_layers = sum(stack.n_layer for stack, _ in stacks(config))
    share = min(1.0, tune.n_last / n_layers) if tune.mode == "last" else 0.0
    return 1 + (TRAINING_FACTOR - 1 + again) * share


def adapted_matrices(tree: Part) -> dict[str, Tensor]:
    """Return the matrices that LoRA adapts, by the paths of their layers: those of all blocks, except the routers of
    experts.
    """
    return {
        path: tensor
        for name, tensor in state_tensors(tree)
        if tensor.role == MATRIX and "blocks." in name and not (path := name.rpartition(".")[0]).endswith(".router")
    }


def _last_layers(config: ModelConfig, tree: Part, n_last: int) -> Trained:
    """Count the parameters of the last layers, the decoder's before the encoder's, and of the norms after them."""
    matrices = others = 0
    for stack in reversed(tree.of_kind("stack")):
        blocks = next(part for part in stack.parts if part.kind == "block")
        assert blocks.times is not None
        n = min(n_last, blocks.times)
        n_last -= n
        if not n:
            break
        layer = _layer_sizes(blocks)
        n_trained = min(n, blocks.times - 1) if config.looks_back else n
        final = sum(t.numel for part in stack.parts if part.path == "final_norm" for t in part.tensors)
        matrices += n_trained * layer.matrices
        others += n_trained * layer.others + final
    return Trained(matrices=matrices, others=others)


def _layer_sizes(blocks: Part) -> Trained:
    """Count the parameters of one layer."""
    return _sizes(Part(path="", kind="stack", parts=(dataclasses.replace(blocks, times=1),)))


def _sizes(tree: Part) -> Trained:
    matrices = sum(math.prod(shape) * n for shape, n in block_matrices(tree).items())
    return Trained(matrices=matrices, others=sum(node.size for node in tree.walk()) - matrices)
