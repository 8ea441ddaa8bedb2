"""Validation of the arguments of a forward pass, with a message for each mistake.

Letters in shape comments: B batch, T tokens, C d_model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.trace import Trace
from terrarium.models.design.tree import design_tree, sites
from terrarium.models.settings.model_config import ModelConfig


def look_up(table: nn.Embedding, ids: Tensor, what: str) -> Tensor:
    """Look up rows of an embedding: ids (…) long -> (…, C).

    Raises:
        ValueError: if an id, called `what` in the message, is not an integer or has no row. (On a GPU, torch itself
            aborts the program for an id without a row.)
    """
    _check_whole(ids, what)
    try:
        return table(ids)  # type: ignore[no-any-return]
    except IndexError as error:
        raise ValueError(f"{what} must lie between 0 and {table.num_embeddings - 1}, and some do not.") from error


def check_ids(ids: Tensor) -> None:
    """Raise ValueError unless `ids` is a non-empty batch (B, T)."""
    if ids.dim() != 2:
        raise ValueError(f"Token ids must be (batch, tokens), not {tuple(ids.shape)}: pass ids[None] for one text.")
    if not ids.numel():
        raise ValueError(f"Token ids of the shape {tuple(ids.shape)} are empty: pass at least one.")


def check_mask(mask: Tensor | None, shape: Sequence[int]) -> None:
    """Raise ValueError unless `mask` is None or bool with the shape (B, T): numbers would be added to the scores."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise ValueError(f"A mask must be bool, True = a real token, not {_kind(mask)}: pass mask.bool().")
    if mask.shape != tuple(shape):
        raise ValueError(f"A mask must be {tuple(shape)}, one entry for each token, not {tuple(mask.shape)}.")


def check_per_token(numbers: Tensor | None, shape: Sequence[int], what: str) -> None:
    """Raise ValueError unless `what` (positions, segments) has an integer per token: (B, T), or (1, T) for all."""
    if numbers is None:
        return
    _check_whole(numbers, what)
    if tuple(numbers.shape) not in (tuple(shape), (1, shape[1])):
        raise ValueError(f"{what} must be {tuple(shape)}, one for each token, not {tuple(numbers.shape)}.")


def check_cache(cache: KVCache | None, n_layer: int, n_rows: int) -> None:
    """Raise ValueError for a cache of another model, or of another batch size."""
    if cache is None:
        return
    if len(cache.layers) != n_layer:
        raise ValueError(f"The cache is for {len(cache.layers)} layers, but the model has {n_layer}: use another one.")
    if cache.n_rows not in (None, n_rows):
        raise ValueError(
            f"The cache holds {cache.n_rows} texts, not {n_rows}: pass a token for each, or select() rows."
        )


def check_ablations(config: ModelConfig, trace: Trace | None) -> None:
    """Raise ValueError if a trace ablates or patches a site that the model lacks, which would silently do nothing."""
    if trace is None or not (trace.patches or trace.known or trace.ablated_heads):
        return
    tree = design_tree(config)
    blocks = sites(tree)
    parts = {site: part for sublayers in blocks.values() for site, part in sublayers.items()}
    heads = {site: part.n_head for site, part in parts.items() if part.n_head}
    starts = [f"{stack.path}.embedding".removeprefix(".") for stack in tree.of_kind("stack")]
    for site in trace.patches:
        if site not in (*starts, *parts) and site.removesuffix(".heads") not in heads:
            raise ValueError(f"There is nothing called {site!r} to patch: it can be {', '.join((*starts, *parts))}.")
    for site in trace.known:
        if site not in blocks:
            raise ValueError(f"There is no block called {site!r}: it can be {', '.join(blocks)}.")
    for site, wanted in trace.ablated_heads.items():
        if site not in heads:
            raise ValueError(f"There is no attention called {site!r} to ablate heads of: it can be {', '.join(heads)}.")
        for head in wanted:
            if not 0 <= head < heads[site]:
                raise ValueError(f"There is no head {head} in {site}: its heads are 0 to {heads[site] - 1}.")


def _check_whole(numbers: Tensor, what: str) -> None:
    if numbers.dtype not in (torch.long, torch.int):
        raise ValueError(f"{what} must be whole numbers (torch.long), not {_kind(numbers)}: pass them as .long().")


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
