"""The tree of parts of a design: each module with its tensors and its matrix products. No torch import.

Everything that must know what a design consists of reads this tree: parameters, FLOPs, the shapes that Muon updates
together, adapters, names of weights, initial weights. It is made from the slots alone, in a millisecond, and equal to
the built model (tests/models/design/test_tree.py). A new position scheme or head is described here once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from terrarium.models.design.custom import measured
from terrarium.models.design.parts import (
    CONVOLUTION,
    CROSS,
    EMBEDDING,
    HEAD,
    NGRAMS,
    NORMS,
    POOLER,
    POSITIONS,
    SEGMENTS,
    PartNames,
    stacks,
)
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import LearnedTensor, scheme_of

MATRIX, TABLE, BIAS, NORM, FILTER = "matrix", "table", "bias", "norm", "filter"
"""The roles of tensors: of a linear layer, of a look-up by id, of a norm's scale, of a short convolution."""

NORMAL, RESIDUAL, QUERY, OUTPUT_TABLE, PROJECTION = "normal", "residual", "query", "output table", "projection"
ZERO, OWN = "zero", "own"
"""How tensors are initialised (`Model.initialise`). Normal numbers with the design's std, which is divided by
sqrt(2 n_layer) for what is added to the residual stream, and by sqrt(head_dim) for the queries of unscaled scores, and
multiplied by sqrt(d_model) for the table of scaled logits; or with std 1/sqrt(columns), which preserves the scale of a
projection's input. Zeros. Or as the module's constructor left it."""


@dataclass(frozen=True)
class Tensor:
    """A parameter of a part: its name there, its shape, its role, and the word for its initial values."""

    name: str
    shape: tuple[int, ...]
    role: str
    init: str

    @property
    def numel(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A module of a model.

    path: its name within its parent, "" for the model and for an only stack. kind: "query", "norm", "mixture" …
    component: the heading under which it is counted (models.design.parts). flops: of its own matrix products in the
    forward pass of one text, without those of `parts`. times: how many of it follow one another or stand side by side
    (layers, experts), described once; used: how many of them a token uses. n_head: the heads of an attention. is_site:
    whether it is a sublayer, whose result is added to the residual stream. buffers: names of what is stored with the
    tensors, but not trained.
    """

    path: str
    kind: str
    component: str = ""
    tensors: tuple[Tensor, ...] = ()
    buffers: tuple[str, ...] = ()
    flops: int = 0
    times: int | None = None
    used: int | None = None
    n_head: int = 0
    is_site: bool = False
    parts: tuple[Part, ...] = ()

    def walk(self) -> Iterator[Node]:
        """Yield this part and all below it, each once."""
        yield from _walk(self, "", 1, 1)

    def find(self, path: str) -> Part:
        """Return the part at a path below this one, such as "decoder.blocks.*.attention"; KeyError if there is none."""
        for node in self.walk():
            if node.path == path:
                return node.part
        raise KeyError(path)

    def of_kind(self, kind: str) -> list[Part]:
        """Return all parts of a kind."""
        return [node.part for node in self.walk() if node.part.kind == kind]


@dataclass(frozen=True)
class Node:
    """A part in its tree. path: from the root, with "*" for the number of a layer or an expert. n, n_used: how many of
    it the model has, and how many a token uses.
    """

    path: str
    part: Part
    n: int
    n_used: int

    @property
    def is_in_blocks(self) -> bool:
        """Whether it belongs to a layer."""
        return "blocks.*." in self.path

    @property
    def size(self) -> int:
        """The number of its own parameters in the model."""
        return self.n * sum(tensor.numel for tensor in self.part.tensors)


def _walk(part: Part, prefix: str, n: int, n_used: int) -> Iterator[Node]:
    times = 1 if part.times is None else part.times
    n, n_used = n * times, n_used * (times if part.used is None else part.used)
    path = f"{prefix}{part.path}"
    yield Node(path, part, n, n_used)
    below = f"{path}.*." if part.times is not None else f"{path}." if part.path else prefix
    for each in part.parts:
        yield from _walk(each, below, n, n_used)


def built_parts(tree: Part) -> Iterator[tuple[str, Part]]:
    """Yield each module of the built model with its name there, where layers and experts are numbered."""
    yield from _numbered(tree, "")


def _numbered(part: Part, prefix: str) -> Iterator[tuple[str, Part]]:
    path = f"{prefix}{part.path}"
    for number in ("",) if part.times is None else (f".{i}" for i in range(part.times)):
        yield path + number, part
        below = f"{path}{number}." if part.path else prefix
        for each in part.parts:
            yield from _numbered(each, below)


def state_tensors(tree: Part) -> Iterator[tuple[str, Tensor]]:
    """Yield each parameter of the built model with its name in the state dict."""
    for path, part in built_parts(tree):
        for tensor in part.tensors:
            yield f"{path}.{tensor.name}".removeprefix("."), tensor


def state_names(tree: Part) -> Iterator[str]:
    """Yield all names in the state dict of the built model: those of its parameters, and of the stored buffers."""
    for path, part in built_parts(tree):
        for name in (*(tensor.name for tensor in part.tensors), *part.buffers):
            yield f"{path}.{name}".removeprefix(".")


def sites(tree: Part) -> dict[str, dict[str, Part]]:
    """Return the sublayers of each block of the built model, all by their sites (`architecture.trace`), in order."""
    found: dict[str, dict[str, Part]] = {}
    for path, part in built_parts(tree):
        if part.kind == "block":
            found[path] = {}
        elif part.is_site:
            found[path.rpartition(".")[0]][path] = part
    return found


@lru_cache(maxsize=256)
def design_tree(config: ModelConfig, length: int | None = None, source_length: int | None = None) -> Part:
    """Return the tree of a design.

    FLOPs are those of a text of `length` tokens (default: the context); in an encoder-decoder, of a target of `length`
    and a source of `source_length` tokens (default: `length`).
    """
    length = config.context_length if length is None else length
    source_length = length if source_length is None else source_length
    width = config.d_model
    is_output = config.tied_embeddings or config.head != "language"
    table = Tensor("weight", (config.vocab_size, width), TABLE, _output_init(config) if is_output else NORMAL)
    parts = [Part(path="embedding", kind="embedding", component=EMBEDDING, tensors=(table,))]
    if config.has_ngrams:
        parts.append(_ngrams(config, length))
    if config.topology == "encoder-only" and config.n_segment:
        table = Tensor("weight", (config.n_segment, width), TABLE, NORMAL)
        parts.append(Part(path="segment", kind="segment", component=SEGMENTS, tensors=(table,)))
    for stack, names in stacks(config):
        parts.append(_stack(stack, names, source_length if names.stack == "Encoder" else length, source_length))
    if config.topology == "encoder-only" and config.pooler:
        pooler = _linear("pooler", POOLER, width, width, 1, has_bias=True)
        parts.append(pooler if config.head == "sequence" else replace(pooler, flops=0))  # only that head reads it
    if config.head != "none":
        parts.append(_language_head(config, length) if config.head == "language" else _label_head(config, length))
    return Part(path="", kind="model", parts=tuple(parts))


def _ngrams(config: ModelConfig, rows: int) -> Part:
    n_orders = config.max_ngram - 1
    weight = Tensor("weight", (n_orders * config.ngram_rows, config.d_ngram), TABLE, NORMAL)
    table = Part(path="table", kind="ngram table", component=NGRAMS, tensors=(weight,))
    n_in = n_orders * config.d_ngram
    projection = _linear("projection", NGRAMS, config.d_model, n_in, rows, has_bias=False, init=PROJECTION)
    return Part(path="ngrams", kind="ngrams", component=NGRAMS, parts=(table, projection))


def _stack(config: ModelConfig, names: PartNames, rows: int, n_source: int) -> Part:
    """rows: tokens of the text that it reads. n_source: tokens of the source, which a decoder attends to."""
    width, learned = config.d_model, scheme_of(config).learned
    parts: list[Part] = []
    if config.position_block:
        place = {"embeddings": "position", "queries": "rotary", "scores": "score_bias"}[scheme_of(config).applied_to]
        parts.append(_custom(config, "position", place, POSITIONS, rows, kind="position"))
    if learned is not None:
        tensors = tuple(_learned_tensor(config, tensor) for tensor in learned.tensors)
        path = learned.tensors[0].name.rpartition(".")[0]
        flops = 2 * rows * rows * learned.n_hidden * config.n_head
        parts.append(Part(path=path, kind="position", component=POSITIONS, tensors=tensors, flops=flops))
    if config.embedding_norm:
        parts.append(_norm(config, "embedding_norm", width))
    parts.append(_blocks(config, names, rows, n_source))
    if config.norm_place == "pre":
        parts.append(_norm(config, "final_norm", width))
    return Part(path=names.stack.lower(), kind="stack", parts=tuple(parts))


def _learned_tensor(config: ModelConfig, tensor: LearnedTensor) -> Tensor:
    shape = tensor.shape(config)
    return Tensor(tensor.name.rpartition(".")[2], shape, TABLE if len(shape) == 2 else BIAS, tensor.init)


def _blocks(config: ModelConfig, names: PartNames, rows: int, n_source: int) -> Part:
    width, window = config.d_model, config.sliding_window
    n_seen = min(rows, window if config.is_causal else 2 * window - 1) if window else rows
    parts = [_norm(config, "attention_norm", width), *_convolution(config, "attention_conv", rows)]
    if config.attention_block:
        parts.append(_custom(config, "attention", "attention", names.attention, rows))
    else:
        parts.append(_attention(config, "attention", names.attention, rows, rows, n_seen))
    if names.stack == "Decoder":
        parts.append(_norm(config, "cross_attention_norm", width))
        parts.append(_attention(config, "cross_attention", CROSS, rows, n_source, n_source))
    parts += [_norm(config, "feed_forward_norm", width), *_convolution(config, "feed_forward_conv", rows)]
    if config.feed_forward_block:
        parts.append(_custom(config, "feed_forward", "feed_forward", names.feed_forward, rows))
    elif config.n_expert:
        router = _linear("router", names.router, config.n_expert, width, rows, has_bias=False)
        experts = _feed_forward(config, "experts", names.experts, rows)
        experts = replace(experts, times=config.n_expert, used=config.n_expert_used)
        parts.append(Part(path="feed_forward", kind="mixture", is_site=True, parts=(router, experts)))
    else:
        parts.append(replace(_feed_forward(config, "feed_forward", names.feed_forward, rows), is_site=True))
    return Part(path="blocks", kind="block", times=config.n_layer, parts=tuple(parts))


def _attention(config: ModelConfig, path: str, component: str, rows: int, n_keys: int, n_seen: int) -> Part:
    """n_keys: tokens that keys and values are computed of. n_seen: those of them that a token attends to at most."""
    width, inner, shared = config.d_model, config.n_head * config.head_dim, config.kv_heads * config.head_dim
    has_bias, query = config.attention_bias, NORMAL if config.scaled_scores else QUERY
    parts = [
        _linear("query", component, inner, width, rows, has_bias=has_bias, init=query),
        _linear("key", component, shared, width, n_keys, has_bias=has_bias),
        _linear("value", component, shared, width, n_keys, has_bias=has_bias),
        _linear("output", component, width, inner, rows, has_bias=has_bias, init=_residual_init(config)),
    ]
    if config.qk_norm:
        parts += [
            _norm(config, "query_norm", config.head_dim),
            _norm(config, "key_norm", config.head_dim),
        ]
    return Part(
        path=path,
        kind="attention",
        component=component,
        flops=4 * rows * n_seen * inner,  # scores, and their sums of the values
        n_head=config.n_head,
        is_site=True,
        parts=tuple(parts),
    )


def _custom(
    config: ModelConfig, place: str, path: str, component: str, rows: int, *, width: int = 0, kind: str = "custom"
) -> Part:
    """A custom block, as measured: its modules below the one that holds it. Linear layers are initialised as the rest
    of the model, by their names as its own; what else the block has stays as it made it."""
    modules = measured(config, place, length=rows, width=width).modules

    def part_of(where: str, name: str) -> Part:
        module = next(each for each in modules if each.path == where)
        below = [
            each.path for each in modules if each.path and each.path.rpartition(".")[0] == where and each.path != where
        ]
        is_linear, is_output = module.kind == "Linear", name in ("output", "down")
        inits = {"weight": _residual_init(config) if is_output else NORMAL, "bias": ZERO} if is_linear else {}
        return Part(
            path=name,
            kind=kind if not where else module.kind,
            component=component,
            is_site=not where and place in ("attention", "feed_forward"),
            tensors=tuple(Tensor(name, shape, role, inits.get(name, OWN)) for name, shape, role in module.tensors),
            buffers=module.buffers,
            flops=module.flops,
            parts=tuple(part_of(each, each.rpartition(".")[2]) for each in below),
        )

    return part_of("", path)


def _feed_forward(config: ModelConfig, path: str, component: str, rows: int) -> Part:
    width, inner, has_bias = config.d_model, config.ff_width, config.ff_bias
    names = ("gate", "up") if config.is_gated else ("up",)
    parts = [_linear(name, component, inner, width, rows, has_bias=has_bias) for name in names]
    parts += [_norm(config, "norm", inner)] if config.has_ff_norm else []
    parts.append(_linear("down", component, width, inner, rows, has_bias=has_bias, init=_residual_init(config)))
    return Part(path=path, kind="feed_forward", component=component, parts=tuple(parts))


def _convolution(config: ModelConfig, path: str, rows: int) -> list[Part]:
    width, n = config.d_model, config.conv_width
    if not n:
        return []
    tensors = (Tensor("weight", (n, width), FILTER, OWN),)
    flops = 2 * rows * n * width
    return [Part(path=path, kind="conv", component=CONVOLUTION, tensors=tensors, flops=flops)]


def _language_head(config: ModelConfig, rows: int) -> Part:
    width, vocab_size = config.d_model, config.vocab_size
    table = Tensor("weight", (vocab_size, width), TABLE, _output_init(config))
    tensors = ([] if config.tied_embeddings else [table]) + ([_bias(vocab_size)] if config.head_bias else [])
    transform: tuple[Part, ...] = ()
    if config.has_head_transform:
        dense = _linear("dense", HEAD, width, width, rows, has_bias=config.bias == "all")
        norm = replace(_norm(config, "norm", width), component=HEAD)
        transform = (Part(path="transform", kind="transform", component=HEAD, parts=(dense, norm)),)
    return Part(
        path="head",
        kind="head",
        component=HEAD,
        tensors=tuple(tensors),
        flops=2 * rows * width * vocab_size,
        parts=transform,
    )


def _label_head(config: ModelConfig, rows: int) -> Part:
    rows, width = 1 if config.head == "sequence" else rows, config.d_model
    dense = (_linear("dense", HEAD, width, width, rows, has_bias=True),) if config.has_dense_head else ()
    head = _linear("head", HEAD, config.n_output, width, rows, has_bias=config.has_label_bias)
    return replace(head, kind="head", parts=dense)


def _output_init(config: ModelConfig) -> str:
    return OUTPUT_TABLE if config.scaled_logits else NORMAL


def _residual_init(config: ModelConfig) -> str:
    return ZERO if config.zero_init_output else RESIDUAL


def _linear(path: str, component: str, n_out: int, n_in: int, rows: int, *, has_bias: bool, init: str = NORMAL) -> Part:
    """A linear layer of `rows` tokens, whose kind is its path. init: of its matrix."""
    tensors = (Tensor("weight", (n_out, n_in), MATRIX, init),) + ((_bias(n_out),) if has_bias else ())
    return Part(path=path, kind=path, component=component, tensors=tensors, flops=2 * rows * n_out * n_in)


def _norm(config: ModelConfig, path: str, width: int) -> Part:
    if config.norm_block:
        return _custom(config, "norm", path, NORMS, 1, width=width, kind="norm")
    tensors = (Tensor("weight", (width,), NORM, OWN),) + ((_bias(width),) if config.norm_bias else ())
    return Part(path=path, kind="norm", component=NORMS, tensors=tensors)


def _bias(width: int) -> Tensor:
    return Tensor("bias", (width,), BIAS, ZERO)
