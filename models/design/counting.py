"""The number of parameters, exactly as in the built model, from the tree of parts."""

from __future__ import annotations

from collections import Counter

from terrarium.models.design.parts import CONVOLUTION, EMBEDDING, HEAD, NGRAMS, NORMS, POOLER, POSITIONS, SEGMENTS
from terrarium.models.design.tree import MATRIX, Part, design_tree
from terrarium.models.settings.model_config import ModelConfig

_FIRST, _LAST = (EMBEDDING, NGRAMS, POSITIONS, SEGMENTS), (CONVOLUTION, NORMS, POOLER, HEAD)
"""The components that are listed before those of the stacks, and after them."""


def parameters_by_component(config: ModelConfig) -> dict[str, int]:
    """Count the parameters by component, in the order of the forward pass; a tied table counts once.

    An encoder-decoder has the components of two stacks (“Encoder attention”, “Decoder attention”) and
    “Cross-attention”; a mixture has “Router” and “Experts” instead of “Feed-forward”.
    """
    found: Counter[str] = Counter()
    for node in design_tree(config).walk():
        found[node.part.component] += node.size
    return in_order(found)


def in_order(found: Counter[str]) -> dict[str, int]:
    """Return numbers by component in the order in which they are listed, without those that are 0."""
    stacks = [name for name in found if name not in _FIRST and name not in _LAST]
    return {name: found[name] for name in (*_FIRST, *stacks, *_LAST) if found[name]}


def total_parameters(config: ModelConfig) -> int:
    """Return the total number of parameters."""
    return sum(node.size for node in design_tree(config).walk())


def active_parameters(config: ModelConfig) -> int:
    """Return the number of parameters used for one token: all, except the experts that the token is not routed to."""
    nodes = design_tree(config).walk()
    return sum(node.n_used * tensor.numel for node in nodes for tensor in node.part.tensors)


def block_matrices(tree: Part) -> Counter[tuple[int, ...]]:
    """Count the matrices of all blocks by their shape. Muon updates those of a shape together; biases, norms and
    convolutions are not among them.
    """
    found: Counter[tuple[int, ...]] = Counter()
    for node in tree.walk():
        for tensor in node.part.tensors if node.is_in_blocks else ():
            if tensor.role == MATRIX:
                found[tensor.shape] += node.n
    return found
