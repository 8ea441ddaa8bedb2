"""The number of parameters that fine-tuning trains, exactly as in the built model (models.training.tuning)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from terrarium.models.cost.counting import (
    attention_weights,
    block_matrices,
    feed_forward_weights,
    norm_weights,
    parameters,
    total_parameters,
)
from terrarium.models.cost.operations import TRAINING_FACTOR, recomputed_share
from terrarium.models.cost.parts import EMBEDDING, HEAD, POOLER, stacks
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tune_spec import TuneSpec


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Numbers of trained parameters. matrices: in two-dimensional matrices of the blocks, which Muon updates. others:
    all others. added: those in adapters, which the model has in addition to its own.
    """

    matrices: int
    others: int
    added: int = 0

    @property
    def total(self) -> int:
        """The number of all trained parameters."""
        return self.matrices + self.others


def trained(config: ModelConfig, tune: TuneSpec | None = None) -> Trained:
    """Count the trained parameters of a design: without `tune`, all but those of a fixed look-back layer."""
    if tune is None or tune.mode == "all":
        matrices, others = block_matrices(config), total_parameters(config) - block_matrices(config)
        fixed = _layer(config, 1) if config.looks_back else (0, 0)
        return Trained(matrices=matrices - fixed[0], others=others - fixed[1])
    own = parameters(config)
    head = own[HEAD] + own.get(POOLER, 0)
    has_labels = config.head not in ("language", "none")
    tables = own[EMBEDDING] if tune.train_embeddings else 0
    if not has_labels and config.head != "none" and not config.tied_embeddings and tune.train_embeddings:
        tables += own[EMBEDDING] if tune.mode == "lora" else 0  # the output table; other modes train the whole head
    if tune.mode == "lora":
        added = _adapters(config, tune.lora_r)
        return Trained(matrices=added, others=tables + head * has_labels, added=added)
    if tune.mode == "head":
        return Trained(matrices=0, others=tables + head)
    matrices, others = _last_layers(config, tune.n_last)
    return Trained(matrices=matrices, others=others + tables + head)


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


def _last_layers(config: ModelConfig, n_last: int) -> tuple[int, int]:
    """Count the parameters of the last layers, the decoder's before the encoder's, and of the norms after them: in
    matrices, and all others."""
    matrices = others = 0
    for stack, parts in reversed(stacks(config)):
        n = min(n_last, stack.n_layer)
        n_last -= n
        if not n:
            break
        in_matrices, besides = _layer(stack, 2 if parts.stack == "Decoder" else 1)
        n_trained = min(n, stack.n_layer - 1) if stack.looks_back else n
        matrices += n_trained * in_matrices
        others += n_trained * besides + (stack.norm_place == "pre") * norm_weights(stack, stack.d_model)
    return matrices, others


def _layer(stack: ModelConfig, n_attention: int) -> tuple[int, int]:
    """Count the parameters of a layer: in matrices, and all others."""
    experts, router = max(stack.n_expert, 1), stack.d_model * stack.n_expert
    in_matrices = n_attention * attention_weights(stack) + experts * feed_forward_weights(stack) + router
    everything = n_attention * attention_weights(stack, biases=True) + router
    everything += experts * feed_forward_weights(stack, biases=True) + 2 * stack.conv_width * stack.d_model
    everything += (n_attention + 1) * norm_weights(stack, stack.d_model)
    everything += stack.qk_norm * n_attention * 2 * norm_weights(stack, stack.head_dim)
    return in_matrices, everything - in_matrices


def _adapters(config: ModelConfig, r: int) -> int:
    """Count the parameters of adapters of rank r beside all matrices of all blocks: r · (rows + columns) of each."""
    sides = 0
    for stack, parts in stacks(config):
        width, inner, shared = stack.d_model, stack.n_head * stack.head_dim, stack.kv_heads * stack.head_dim
        attention = 2 * (width + inner) + 2 * (width + shared)
        feed_forward = (3 if stack.is_gated else 2) * (width + stack.ff_width)
        n_attention = 2 if parts.stack == "Decoder" else 1
        sides += stack.n_layer * (n_attention * attention + max(stack.n_expert, 1) * feed_forward)
    return r * sides
