"""Bytes: in training, and of what is kept while generating."""

from __future__ import annotations

from collections import Counter

from models.cost.activations import Batch, activations
from models.cost.counting import block_matrices, total_parameters
from models.cost.parts import stacks
from models.settings.model_config import ModelConfig
from models.settings.optimizers import OPTIMIZERS

FLOAT32_BYTES, BFLOAT16_BYTES = 4, 2


def activation_bytes(
    config: ModelConfig,
    batch_size: int,
    length: int,
    *,
    source_length: int | None = None,
    counted: float = 1.0,
    device: str = "cpu",
    precision: str = "float32",
) -> dict[str, int]:
    """Bytes by component at the peak of a training step, beside weights, their gradients and the optimizer's state.

    That is what torch allocates above what was there before the forward pass, where the gradients' own buffers (.grad)
    are there already; a weight's gradient on its way into its buffer counts here. The step is the trainer's: forward,
    cross-entropy, backward, in train mode, without padding, the logits held by nothing but the loss. Derived from what
    autograd saves and frees, operation by operation. The working memory inside a kernel (of a matrix product, of the
    fused attention) is left out.

    Args:
        source_length: of an encoder-decoder's sources; default: as `length`.
        counted: the share of tokens that the loss looks at, where only those get logits.
        device: "cpu", or another: CUDA's kernels keep less (dropout masks, attention with dropout, RMSNorm).
        precision: "float32", or "bfloat16" for autocast.
    """
    batch = Batch(
        batch_size=batch_size,
        length=length,
        source_length=length if source_length is None else source_length,
        counted=counted,
    )
    return activations(config, batch, is_cuda=device == "cuda", half=precision == "bfloat16")


def memory(
    config: ModelConfig,
    batch_size: int,
    length: int,
    optimizer: str = "muon",
    *,
    source_length: int | None = None,
    counted: float = 1.0,
    device: str = "cpu",
    precision: str = "float32",
) -> dict[str, int]:
    """Estimated bytes in training, on texts (batch_size, length): weights and gradients, always float32, and the rest.

    What the optimizer keeps for each weight says models.settings.optimizers. "Activations" is the sum of
    `activation_bytes`, whose arguments these are. "Update" is what Muon needs while it orthogonalises beyond the room
    that the activations leave behind. The runtime itself comes on top.
    """
    total = total_parameters(config)
    rule, matrices = OPTIMIZERS[optimizer], block_matrices(config)
    states = rule.matrix_states * matrices + rule.other_states * (total - matrices)
    kept = activation_bytes(
        config,
        batch_size,
        length,
        source_length=source_length,
        counted=counted,
        device=device,
        precision=precision,
    )
    needed = sum(kept.values())
    update = update_bytes(config) if rule.orthogonalises else 0
    return {
        "Weights": FLOAT32_BYTES * total,
        "Gradients": FLOAT32_BYTES * total,
        "Optimizer": FLOAT32_BYTES * states,
        "Activations": needed,
        "Update": max(0, update - needed),
    }


def update_bytes(config: ModelConfig) -> int:
    """What Muon allocates while it updates all matrices of one shape together, for the shape with most numbers."""
    sizes: Counter[tuple[int, int]] = Counter()
    for stack, parts in stacks(config):
        layers, width = stack.n_layer, stack.d_model
        inner, shared = stack.n_head * stack.head_dim, stack.kv_heads * stack.head_dim
        n_attention = 2 if parts.stack == "Decoder" else 1
        sizes[inner, width] += layers * n_attention
        sizes[shared, width] += 2 * layers * n_attention
        sizes[width, inner] += layers * n_attention
        copies = max(stack.n_expert, 1)
        sizes[stack.ff_width, width] += layers * copies * (2 if stack.is_gated else 1)
        sizes[width, stack.ff_width] += layers * copies
        if stack.n_expert:
            sizes[stack.n_expert, width] += layers
    return max(_muon_bytes(rows, columns, n) for (rows, columns), n in sizes.items())


def _muon_bytes(rows: int, columns: int, n: int) -> int:
    """Of models.training.optim.Muon for n matrices: the steps ahead, a stack of them, and an iteration's products."""
    matrix, gram = rows * columns, min(rows, columns) ** 2
    return FLOAT32_BYTES * n * (4 * matrix + 2 * gram)


def kv_cache_bytes(
    config: ModelConfig,
    length: int,
    batch_size: int = 1,
    bytes_per_number: int = FLOAT32_BYTES,
    *,
    source_length: int | None = None,
    windowed: bool = True,
) -> int:
    """Bytes of keys and values that generating needs, for `length` tokens of `batch_size` texts.

    An encoder-decoder also keeps the source's (`source_length` tokens, default: as `length`), one for each layer of the
    decoder; an encoder keeps nothing. With a sliding window only its tokens are needed: `windowed` = False counts all,
    as Terrarium's own cache keeps them. Left out: the room that the cache keeps to grow, and the few inputs of the
    short convolutions.
    """
    if config.topology == "encoder-only":
        return 0
    kept = min(length, config.sliding_window) if config.sliding_window and windowed else length
    if config.topology == "encoder-decoder":
        kept += length if source_length is None else source_length
    return 2 * bytes_per_number * config.n_layer * batch_size * kept * config.kv_heads * config.head_dim
