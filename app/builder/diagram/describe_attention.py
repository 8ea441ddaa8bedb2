"""The parts of attention and cross-attention. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.custom_parts import custom_part
from terrarium.app.builder.diagram.part import Part, StackSpec, format_shape
from terrarium.app.builder.diagram.position_parts import format_score_term, position_part
from terrarium.app.builder.diagram.sublayer import conv_parts, norm_title, sublayer_norm, sum_part


def attention_parts(stack: StackSpec, sublayer: str) -> list[Part]:
    """Describe the parts of a stack's "attention" or "cross_attention" sublayer."""
    config, b, t = stack.config, stack.batch, stack.length
    is_cross = sublayer == "cross_attention"
    if config.attention_block and not is_cross:
        return _custom_attention(stack)
    c, d, h, g = config.d_model, config.head_dim, config.n_head, config.kv_heads
    seen = stack.source if is_cross else t
    plus = " + b" if config.attention_bias else ""
    prefix = f"{stack.prefix}{sublayer}."
    word = "cross-attention" if is_cross else "attention"

    def projection(letter: str, title: str, heads: int, length: int, slots: tuple[str, ...], meaning: str) -> Part:
        source, x = ("m", "m (the encoder output)") if is_cross and letter != "q" else ("x", "x")
        return Part(
            key=prefix + title,
            title=letter.upper(),
            detail=f"{heads} × {d}",
            formula=f"{letter} = {source} W_{letter}{plus},   W_{letter}: {c:,} × {heads * d:,}\n"
            f"{format_shape(b, length, c)} → {format_shape(b, heads, length, d)}",
            meaning=meaning if x == "x" else f"{meaning} Computed from m, the encoder output.",
            kind=title,
            slots=slots,
            shape=format_shape(b, heads, length, d),
        )

    kv_slots = ("n_head", "d_head", "bias") if stack.has_own_slots and config.n_kv_head == 0 else ("n_kv_head",)
    parts = [
        sublayer_norm(stack, sublayer, word),
        *([] if is_cross else conv_parts(stack, sublayer, word)),
        projection(
            "q",
            "query",
            h,
            t,
            (stack.heads_slot, "d_head", "bias", *(("lookback",) if config.qk_norm else ())),
            "What each token is looking for.",
        ),
        projection("k", "key", g, seen, (*kv_slots, "d_head", "bias"), "What each token can be found by."),
        projection("v", "value", g, seen, (*kv_slots, "d_head", "bias"), "What each token passes on when found."),
        *_score_parts(stack, sublayer, is_cross),
        _attention_core(stack, sublayer, is_cross, seen),
        Part(
            key=prefix + "output",
            title="Output",
            detail=f"{h * d:,} → {c:,}",
            formula=f"x = a W_o{plus},   W_o: {h * d:,} × {c:,}\n{format_shape(b, t, h * d)} → {stack.stream}",
            meaning="Combines the outputs of the heads, to be added to the residual stream.",
            kind="attention",
            slots=("bias", stack.heads_slot, "d_head", "zero_init_output"),
            shape=stack.stream,
        ),
        sum_part(stack, sublayer, word),
    ]
    return list({part.key: part for part in parts}.values())


def _custom_attention(stack: StackSpec) -> list[Part]:
    """Describe a sublayer whose attention is a custom block, which may use the design's positions."""
    prefix = f"{stack.prefix}attention"
    parts = [sublayer_norm(stack, "attention", "attention"), *conv_parts(stack, "attention", "attention")]
    parts.append(custom_part(stack, "attention", prefix, "A custom block in place of attention."))
    parts += position_part(stack, "queries", f"{prefix}.{stack.config.position}")
    parts += position_part(stack, "scores", f"{stack.prefix}score_bias")
    return [*parts, sum_part(stack, "attention", "block")]


def _attention_core(stack: StackSpec, sublayer: str, is_cross: bool, seen: int) -> Part:
    config, b, t = stack.config, stack.batch, stack.length
    d, h, g, window = config.head_dim, config.n_head, config.kv_heads, config.sliding_window
    kind = config.attention_kind.capitalize()
    bias = "" if is_cross else format_score_term(stack)
    scale = f" / √{d}" if config.scaled_scores else ""
    if is_cross:
        mask, rule, reach = "cross", "", "the whole source text"
    elif window:
        mask = "causal window" if config.is_causal else "window"
        rule = f",   {'0 ≤ i − j' if config.is_causal else '|i − j|'} < {window:,}"
        reach = f"{'the last' if config.is_causal else 'on either side up to'} {window:,} tokens, itself included"
        reach = reach if config.is_causal else f"tokens less than {window:,} positions away, on both sides"
    elif config.is_causal:
        mask, rule, reach = "causal", ",   j ≤ i", "itself and the tokens before it"
    else:
        mask, rule, reach = "full", "", "all tokens, before and after it"
    shared = "" if g == h else f" {h // g} heads share each key and value."
    patterns = "one pattern" if h == 1 else f"{h} patterns at once"
    slots = (stack.heads_slot, "n_kv_head", "sliding_window", "qk_norm", "scaled_scores")
    return Part(
        key=f"{stack.prefix}{sublayer}.core",
        title="Cross-attention" if is_cross else "Attention",
        detail=f"{h} × {d}, window {window:,}"
        if window and not is_cross
        else f"{h} {'head' if h == 1 else 'heads'} × {d}",
        formula=f"a = softmax(q kᵀ{scale}{bias}) v{rule}\n"
        f"scores {format_shape(b, h, t, seen)} → {format_shape(b, h, t, d)}",
        meaning=f"{kind} attention: each token gathers from {reach}, in {patterns}.{shared}",
        kind="attention",
        slots=slots if not is_cross else (stack.heads_slot, "n_kv_head", "qk_norm", "scaled_scores"),
        shape=format_shape(b, h, t, d),
        mask=mask,
        heads=(h, g),
    )


def _score_parts(stack: StackSpec, sublayer: str, is_cross: bool) -> list[Part]:
    """Return the parts between projections and scores: QK-norm, RoPE, and score biases (ALiBi, T5)."""
    config, d = stack.config, stack.config.head_dim
    prefix, parts = f"{stack.prefix}{sublayer}.", []
    if config.qk_norm:
        norm = norm_title(config)
        parts.append(
            Part(
                key=prefix + "qk_norm",
                title="QK-norm",
                detail=f"over {d}",
                formula=f"q = {norm}(q),   k = {norm}(k)\nover each head's {d} numbers",
                meaning="Keeps attention scores from growing too large.",
                kind="norm",
                slots=("qk_norm", "norm"),
            )
        )
    if is_cross:
        return parts
    parts += position_part(stack, "queries", prefix + config.position)
    return parts + position_part(stack, "scores", f"{stack.prefix}score_bias")
