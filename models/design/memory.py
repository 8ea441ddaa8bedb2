"""Estimates of memory in bytes: of training, and of the KV cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from terrarium.models.design.activations import Batch, activations
from terrarium.models.design.counting import block_matrices, total_parameters
from terrarium.models.design.tape import GRADIENTS, ON_HEAP
from terrarium.models.design.tree import design_tree
from terrarium.models.design.tuning import activation_design, trained_parameters
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import BATCHED, find_optimizer
from terrarium.models.settings.tune_spec import TuneSpec

FLOAT32_BYTES = 4
HEAP_HOLES = 0.42
"""Fragmentation of glibc's heap as a share of the tensors there; blocks with pages of their own cause none. With this
value, the memory of six trainings of 12 million parameters was within 6 % of the estimate
(tests/models/design/test_peak_memory.py)."""

STATE_BYTES = {"float32": 4, "bfloat16": 2}
"""Bytes per number of an optimizer's state, by TrainConfig.state_dtype."""


def activation_bytes(
    config: ModelConfig,
    batch_size: int,
    length: int,
    *,
    source_length: int | None = None,
    loss_fraction: float = 1.0,
    device: str = "cpu",
    precision: str = "float32",
    recomputes: bool = False,
    accumulates: bool = False,
) -> dict[str, int]:
    """Estimate the bytes by component at the peak of a training step, without weights, gradients and optimizer state.

    This is what torch allocates beyond what existed before the forward pass, except the weights' gradients (.grad) that
    exist at the peak; a gradient counts here until it is added to its buffer. The step is the trainer's: forward,
    cross-entropy, backward, in train mode, without padding, with the logits referenced by the loss alone. Derived from
    what autograd saves and frees, operation by operation. The workspace inside a kernel (a matrix product, fused
    attention) is left out.

    Args:
        source_length: of an encoder-decoder's sources; default: `length`.
        loss_fraction: the fraction of the tokens that are part of the loss; only those get logits.
        device: "cpu", or another: CUDA's kernels save less (dropout masks, attention with dropout, RMSNorm).
        precision: "float32", or "bfloat16" for autocast.
        recomputes: whether the backward pass recomputes each block (TrainConfig.activation_checkpointing).
        accumulates: whether gradients of an earlier micro-batch exist (TrainConfig.grad_accum_steps > 1). Otherwise
            the backward pass allocates them while it frees the activations, so only some of them exist at the peak.
    """
    batch = Batch(
        batch_size=batch_size,
        length=length,
        source_length=length if source_length is None else source_length,
        loss_fraction=loss_fraction,
    )
    found = _activations(config, batch, device == "cuda", precision == "bfloat16", recomputes, accumulates)
    return {part: size for part, size in found.items() if part not in (GRADIENTS, ON_HEAP)}


@lru_cache(maxsize=256)
def _activations(
    config: ModelConfig, batch: Batch, is_cuda: bool, half: bool, recomputes: bool, accumulates: bool
) -> Mapping[str, int]:
    """Return `activations`, cached, because a view of a design needs both their sum and the single components."""
    return activations(config, batch, is_cuda=is_cuda, half=half, recomputes=recomputes, accumulates=accumulates)


def training_memory(
    config: ModelConfig,
    batch_size: int,
    length: int,
    optimizer: str = "muon",
    *,
    source_length: int | None = None,
    loss_fraction: float = 1.0,
    device: str = "cpu",
    precision: str = "float32",
    tune: TuneSpec | None = None,
    recomputes: bool = False,
    accumulates: bool = False,
    state_dtype: str = "float32",
) -> dict[str, int]:
    """Estimate the bytes of training on texts (batch_size, length), by purpose; weights and gradients are float32.

    The optimizer state per weight is defined in models.settings.optimizers. "Activations" is the sum of
    `activation_bytes`, which has the same arguments; "Gradients" are those that exist at the same time. "Allocator" is
    the memory lost on a CPU to fragmentation between smaller tensors. "Update" is what an update needs beyond the
    memory freed before it: the other gradients, Muon's buffers for orthogonalising, and the copy of the weights that
    measures how much they change (TrainConfig.layer_interval). Saving a checkpoint needs no extra memory
    (models.training.saving). The memory of the runtime is not included.

    Args:
        tune: the settings of fine-tuning: frozen weights have neither gradients nor optimizer state, and no activations
            are saved below the first trained layer.
        state_dtype: TrainConfig.state_dtype.
    """
    part = trained_parameters(config, tune)
    total = total_parameters(config) + part.added
    rule = find_optimizer(optimizer)
    states = rule.matrix_states * part.matrices + rule.other_states * part.others
    batch = Batch(
        batch_size=batch_size,
        length=length,
        source_length=length if source_length is None else source_length,
        loss_fraction=loss_fraction,
        trains_head=tune is None or tune.mode != "lora" or tune.train_embeddings,
    )
    design = activation_design(config, tune)
    # The gradients that exist at the peak can be estimated only if all weights are trained.
    accumulates = accumulates or part.total < total
    peak = _activations(design, batch, device == "cuda", precision == "bfloat16", recomputes, accumulates)
    gradients = FLOAT32_BYTES * part.total
    there = gradients if accumulates else min(gradients, peak.get(GRADIENTS, 0))
    needed = sum(size for name, size in peak.items() if name not in (GRADIENTS, ON_HEAP))
    holes = round(HEAP_HOLES * peak[ON_HEAP]) if device == "cpu" else 0
    update = gradients + FLOAT32_BYTES * part.total
    if rule.orthogonalises and part.matrices:
        update += update_bytes(config, device)
    return {
        "Weights": FLOAT32_BYTES * total,
        "Gradients": there,
        "Optimizer": STATE_BYTES[state_dtype] * states,
        "Activations": needed,
        "Update": max(0, update - there - needed - holes),
        "Allocator": holes,
    }


def update_bytes(config: ModelConfig, device: str) -> int:
    """Return the bytes that Muon allocates to update all matrices of a shape together, the maximum over shapes."""
    found = block_matrices(design_tree(config))
    return max(_muon_bytes(rows, columns, n, device) for (rows, columns), n in found.items())


def _muon_bytes(rows: int, columns: int, n: int, device: str) -> int:
    """Bound the bytes of Muon (models.training.optim) for n matrices: updates, their stack, an iteration's products.

    They are stacked in float32 if the device is not fast at bfloat16. A CPU processes large matrices one by one: the
    inputs and outputs of all, in either precision, and the products of one.
    """
    matrix, gram = rows * columns, min(rows, columns) ** 2
    if device == "cpu" and matrix > BATCHED:
        return FLOAT32_BYTES * (3 * n * matrix + 2 * matrix + 2 * gram)
    return FLOAT32_BYTES * n * (5 * matrix + 2 * gram)


def kv_cache_bytes(
    config: ModelConfig,
    length: int,
    batch_size: int = 1,
    bytes_per_number: int = FLOAT32_BYTES,
    *,
    source_length: int | None = None,
    windowed: bool = True,
) -> int:
    """Compute the bytes of the keys and values of `batch_size` texts of `length` tokens during generation.

    An encoder-decoder also caches those of the source (`source_length` tokens, default: `length`) for each layer of the
    decoder; an encoder has no cache. With a sliding window, only its tokens are needed; `windowed` = False counts all
    tokens, as Terrarium's own cache holds them. The cache's spare capacity and the few inputs of the short convolutions
    are left out.
    """
    if config.topology == "encoder-only":
        return 0
    kept = min(length, config.sliding_window) if config.sliding_window and windowed else length
    if config.topology == "encoder-decoder":
        kept += length if source_length is None else source_length
    return 2 * bytes_per_number * config.n_layer * batch_size * kept * config.kv_heads * config.head_dim
