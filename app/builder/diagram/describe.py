"""The parts of a design with explanations and numbers, derived from its settings alone. No Qt, no torch."""

from __future__ import annotations

import re
from dataclasses import replace

from terrarium.app.builder.diagram.custom_parts import KnownTree, known_tree
from terrarium.app.builder.diagram.describe_sublayers import (
    attention_parts,
    feed_forward_parts,
    norm_part,
    norm_title,
    position_part,
)
from terrarium.app.builder.diagram.part import Part, StackSpec, format_shape, stacks_of
from terrarium.models.number_words import format_count
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig


def describe(config: ModelConfig, batch: int, length: int) -> dict[str, Part]:
    """Describe all parts of a design, by key, with shapes for `batch` texts of `length` tokens.

    The parts of a block are described once, with the number of blocks as `copies`. The `total_parameters` of all parts
    add up to those of the model, without those of custom blocks that were not measured.
    """
    stacks, tree = stacks_of(config, batch, length), known_tree(config)
    parts = [_ids(config, stack) for stack in stacks]
    parts.append(_embedding(config, stacks[-1]))
    for stack in stacks:
        parts += _entry(stack)
        parts.append(_block(stack, tree))
        parts += _block_parts(stack)
        parts += _exit(stack)
        parts.append(_stream(stack))
    if len(stacks) == 2:
        parts.append(_memory(stacks[-1]))
    parts += _head(config, stacks[-1])
    return _with_sizes({part.key: part for part in parts}, tree, config.position)


def _with_sizes(parts: dict[str, Part], known: KnownTree, position: str) -> dict[str, Part]:
    """Fill in the numbers of parameters: each module of the tree counts for the box with its path, or with its
    parent's.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for node in known.tree.walk():
        key = re.sub(r"blocks\.\*\.|experts\.\*\.", "", node.path)
        key = re.sub(r"(query|key)_norm(?=\.|$)", "qk_norm", key)
        key = key.replace("rotary", f"attention.{position}")
        while key not in parts and "." in key:
            key = key.rpartition(".")[0]
        if node.size and known.counts(node):
            sizes[key] = sizes.get(key, (0, 1))[0] + node.size // node.n, node.n
    unknown = {BLOCK_SLOTS[place] for place in known.unknown}
    return {
        key: replace(part, n_parameters=sizes[key][0], copies=sizes[key][1])
        if key in sizes
        else replace(part, is_counted=part.slot not in unknown)
        for key, part in parts.items()
    }


def _ids(config: ModelConfig, stack: StackSpec) -> Part:
    word = {"encoder": "source ids", "decoder": "target ids"}.get(stack.name, "token ids")
    return Part(
        key=stack.prefix + "ids",
        title=word,
        formula=f"ids {format_shape(stack.batch, stack.length)}\neach below {config.vocab_size:,}",
        meaning=f"The text, as one id per token: {stack.batch:,} texts of {stack.length:,} tokens "
        f"(at most {config.context_length:,}).",
        kind="io",
        slots=("context_length", "topology"),
        shape=format_shape(stack.batch, stack.length),
    )


def _embedding(config: ModelConfig, stack: StackSpec) -> Part:
    c, v = config.d_model, config.vocab_size
    scale = f" · √{c:,}" if config.scaled_embeddings else ""
    return Part(
        key="embedding",
        title="Embedding",
        detail=f"{v:,} × {c:,}",
        formula=f"x = E[id]{scale},   E: {v:,} × {c:,}\n{format_shape(stack.batch, stack.length)} → {stack.stream}",
        meaning=f"Looks up each token's row of {c:,} numbers in a table."
        + (" Encoder and decoder share it." if stack.source else "")
        + (" The head uses it again." if config.tied_embeddings and config.head == "language" else ""),
        kind="embedding",
        slots=(
            *("vocab_size", "d_model", "position", "embedding_norm", "scaled_embeddings", "tied_embeddings"),
            *(("max_ngram",) if config.topology == "decoder-only" else ()),
        ),
        shape=stack.stream,
    )


def _entry(stack: StackSpec) -> list[Part]:
    """Return the parts between the embedding and the first block: n-grams, segments, positions, norm."""
    config, parts = stack.config, []
    c = config.d_model
    if config.has_ngrams:
        parts.append(_ngrams(stack))
    if config.n_segment and not stack.prefix and config.topology == "encoder-only":
        parts.append(
            Part(
                key="segment",
                title="Segments",
                detail=f"{config.n_segment} × {c:,}",
                formula=f"x = x + S[segment],   S: {config.n_segment} × {c:,}\n{stack.stream}",
                meaning="Adds a learned row that says which segment of the text a token belongs to.",
                kind="position",
                slots=("n_segment",),
                shape=stack.stream,
            )
        )
    parts += position_part(stack, "embeddings", stack.prefix + "position")
    if config.embedding_norm:
        meaning = "Normalises the sum of the embeddings before the first block."
        parts.append(norm_part(stack, "embedding_norm", meaning, first_slot="embedding_norm"))
    return parts


def _ngrams(stack: StackSpec) -> Part:
    config, c = stack.config, stack.config.d_model
    longest, rows, width = config.max_ngram, config.ngram_rows, config.d_ngram
    n_tables = longest - 1
    tables = f"{format_count(n_tables, 'table')} of {rows:,} × {width:,}"
    ending = {2: "the pair", 3: "the pair and the triple"}.get(longest, f"each n-gram of 2 to {longest} tokens")
    return Part(
        key="ngrams",
        title="N-grams",
        detail=f"{n_tables} × {rows:,} × {width:,}",
        formula=f"x = x + W · [G[hash(n-gram)], …],   G: {tables}\nW: {c:,} × {n_tables * width:,},   {stack.stream}",
        meaning=f"Looks up a row for {ending} that a token ends, and adds them to its embedding by a matrix. A hash of "
        "the ids chooses the row, so n-grams may share one.",
        kind="embedding",
        slots=("max_ngram", "ngram_rows", "d_ngram"),
        shape=stack.stream,
    )


def _block(stack: StackSpec, known: KnownTree) -> Part:
    n = stack.config.n_layer
    word = f"{stack.name} block".strip().capitalize()
    each = sum(node.size for node in known.tree.walk() if node.path.startswith(f"{stack.prefix}blocks.*.")) // n
    counted = "." if known.unknown else f", each with {each:,} parameters."
    return Part(
        key=stack.prefix + "block",
        title=word,
        detail=f"× {n}",
        formula=f"x = block(x),   {n} times\n{stack.stream} → {stack.stream}",
        meaning=f"{n} {'block' if n == 1 else 'blocks'} of this structure in sequence{counted}",
        kind="block",
        slots=(stack.layers_slot, "norm_place", "conv_width", "bias", "dropout"),
        shape=stack.stream,
    )


def _block_parts(stack: StackSpec) -> list[Part]:
    parts = attention_parts(stack, "attention")
    if stack.source:
        parts += attention_parts(stack, "cross_attention")
    return parts + feed_forward_parts(stack)


def _stream(stack: StackSpec) -> Part:
    c = stack.config.d_model
    return Part(
        key=stack.prefix + "stream",
        title="Residual stream",
        formula=f"x: {stack.stream}\n{stack.batch:,} texts × {stack.length:,} tokens × {c:,} numbers",
        meaning=f"{c:,} numbers for each token, from the embedding to the head. Each sublayer reads it and adds to it.",
        kind="stream",
        slots=("d_model",),
        shape=stack.stream,
    )


def _exit(stack: StackSpec) -> list[Part]:
    if stack.config.norm_place != "pre":
        return []
    return [norm_part(stack, "final_norm", "The last norm of the stack.")]


def _memory(stack: StackSpec) -> Part:
    return Part(
        key="memory",
        title="Encoder output",
        formula=f"m: {stack.memory}\nkeys and values of every decoder block",
        meaning="The encoder's output goes to the cross-attention of every decoder block, which computes keys and "
        "values from it. It is computed once per text.",
        kind="memory",
        slots=("topology",),
        shape=stack.memory,
    )


def _head(config: ModelConfig, stack: StackSpec) -> list[Part]:
    if config.head == "language":
        return _language_head(config, stack)
    parts = _pooler(config, stack)
    b, t, c, labels = stack.batch, stack.length, config.d_model, config.n_output
    if config.head == "none":
        return [*parts, _result("hidden states", stack.stream, "The last layer's output for each token.", "head")]
    is_sequence = config.head == "sequence"
    shape = format_shape(b, labels) if is_sequence else format_shape(b, t, labels)
    source = format_shape(b, c) if is_sequence else stack.stream
    dense, plus = config.has_dense_head, " + b" if config.has_label_bias else ""
    x, sizes = ("tanh(x V + a)", f",   V: {c:,} × {c:,}") if dense else ("x", "")
    meaning, result, outcome = _LABEL_WORDS[config.head]
    pooled = "first" if config.topology == "encoder-only" else "last"
    parts.append(
        Part(
            key="head",
            title="Span head" if config.head == "span" else "Label head",
            detail=f"{c:,} → {labels:,}",
            formula=f"scores = {x} W{plus},   W: {c:,} × {labels:,}{sizes}\n{source} → {shape}",
            meaning=meaning.format(pooled=pooled),
            kind="head",
            slots=(
                "head",
                *(() if config.head == "span" else ("n_label",)),
                *(("pooler",) if config.topology == "encoder-only" else ()),
            ),
            shape=shape,
        )
    )
    return [*parts, _result(result, shape, outcome, "head" if config.head == "span" else "n_label")]


_LABEL_WORDS = {
    "sequence": (
        "Gives every class a score, for the text as a whole, from its {pooled} token.",
        "class probabilities",
        "The probability of each class, for the text.",
    ),
    "token": (
        "Gives every class a score, for each token.",
        "class probabilities",
        "The probability of each class, per token.",
    ),
    "span": (
        "Gives every token two scores: that the answer starts there, and that it ends there.",
        "start and end",
        "The probability of each token to be the first of the answer, and to be the last; a softmax over the tokens.",
    ),
}
"""ModelConfig.head -> the meaning of the head, and the title and the meaning of its result."""


def _pooler(config: ModelConfig, stack: StackSpec) -> list[Part]:
    if not config.pooler or config.topology != "encoder-only":
        return []
    c = config.d_model
    used = config.head == "sequence"
    return [
        Part(
            key="pooler",
            title="Pooler",
            detail="first token",
            formula=f"y = tanh(x₀ W + b),   W: {c:,} × {c:,}\n{stack.stream} → {format_shape(stack.batch, c)}",
            meaning="A matrix and tanh over the first token's numbers"
            + (", from which the text is classified." if used else ". The head does not use it."),
            kind="head",
            slots=("pooler",),
            shape=format_shape(stack.batch, c),
        )
    ]


def _language_head(config: ModelConfig, stack: StackSpec) -> list[Part]:
    b, t, c, v = stack.batch, stack.length, config.d_model, config.vocab_size
    logits = format_shape(b, t, v)
    parts = _pooler(config, stack)
    if config.has_head_transform:
        act = ACTIVATIONS[config.head_activation].curve
        norm = norm_title(config)
        one = int(config.bias == "all")
        parts.append(
            Part(
                key="head.transform",
                title="Transform",
                detail=f"{act}, {norm}",
                formula=f"x = {norm}({act}(x W{' + b' if one else ''})),   W: {c:,} × {c:,}\n{stack.stream}",
                meaning="One more matrix, activation and norm before tokens are predicted, as in BERT.",
                kind="head",
                slots=("head_transform",),
                shape=stack.stream,
            )
        )
    scale = f" / √{c:,}" if config.scaled_logits else ""
    plus = " + b" if config.head_bias else ""
    tied = config.tied_embeddings
    parts.append(
        Part(
            key="head",
            title="Output head",
            detail="tied to embedding" if tied else f"{c:,} → {v:,}",
            formula=f"logits = x{scale} {'Eᵀ' if tied else 'W'}{plus},   {c:,} × {v:,}\n{stack.stream} → {logits}",
            meaning="Gives every token of the vocabulary a score. "
            + ("It reuses the embedding matrix." if tied else "It has its own matrix."),
            kind="head",
            slots=(
                "head",
                "tied_embeddings",
                "head_bias",
                *(("head_transform", "pooler") if config.topology == "encoder-only" else ()),
                "scaled_logits",
            ),
            shape=logits,
        )
    )
    if tied:
        parts.append(
            Part(
                key="tied",
                title="Tied embeddings",
                formula=f"head = Eᵀ,   E: {v:,} × {c:,}\none table saves {v * c:,} parameters",
                meaning="One table for input and output: what is learned about a token serves both.",
                kind="link",
                slots=("tied_embeddings",),
            )
        )
    if config.topology == "encoder-only":
        title, meaning = (
            "token predictions",
            "The probability of each token of the vocabulary at each (masked) position.",
        )
    else:
        title, meaning = (
            "next token",
            "The probability of each token of the vocabulary to come next, after every token.",
        )
    return [*parts, _result(title, logits, f"{meaning} softmax of the logits.", "vocab_size")]


def _result(title: str, shape: str, meaning: str, slot: str) -> Part:
    softmax = "softmax(scores)" if title != "hidden states" else "x"
    return Part(
        key="result",
        title=title,
        formula=f"{softmax}\n{shape}",
        meaning=meaning,
        kind="io",
        slots=(slot,),
        shape=shape,
    )
