"""The parts of the sublayers of a stack: attention and feed-forward, with their norms, positions and sums. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.activations import CURVES
from terrarium.app.builder.diagram.custom_parts import custom_part
from terrarium.app.builder.diagram.part import Part, StackSpec, format_shape
from terrarium.models.architecture.rope import n_rotated_pairs
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import POSITIONS, SchemeWords, scheme_of
from terrarium.models.settings.slots import check_complete

_NORM_FORMULAS = {
    "layernorm": "y = (x − mean) / √(var + {eps}) · g{plus}",
    "rmsnorm": "y = x / √(mean(x²) + {eps}) · g",
}


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
        _sublayer_norm(stack, sublayer, word),
        *([] if is_cross else _conv_parts(stack, sublayer, word)),
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
        _sum_part(stack, sublayer, word),
    ]
    return list({part.key: part for part in parts}.values())


def _custom_attention(stack: StackSpec) -> list[Part]:
    """Describe a sublayer whose attention is a custom block, which may use the design's positions."""
    prefix = f"{stack.prefix}attention"
    parts = [_sublayer_norm(stack, "attention", "attention"), *_conv_parts(stack, "attention", "attention")]
    parts.append(custom_part(stack, "attention", prefix, "A custom block in place of attention."))
    parts += position_part(stack, "queries", f"{prefix}.{stack.config.position}")
    parts += position_part(stack, "scores", f"{stack.prefix}score_bias")
    return [*parts, _sum_part(stack, "attention", "block")]


def _attention_core(stack: StackSpec, sublayer: str, is_cross: bool, seen: int) -> Part:
    config, b, t = stack.config, stack.batch, stack.length
    d, h, g, window = config.head_dim, config.n_head, config.kv_heads, config.sliding_window
    kind = config.attention_kind.capitalize()
    bias = "" if is_cross else _format_score_term(stack)
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


def feed_forward_parts(stack: StackSpec) -> list[Part]:
    """Describe the parts of a stack's feed-forward sublayer, with router and experts if it has them."""
    config, b, t = stack.config, stack.batch, stack.length
    if config.feed_forward_block:
        return [
            _sublayer_norm(stack, "feed_forward", "the feed-forward part"),
            *_conv_parts(stack, "feed_forward", "the feed-forward part"),
            custom_part(stack, "feed_forward", f"{stack.prefix}feed_forward", "A custom block in its place."),
            _sum_part(stack, "feed_forward", "block"),
        ]
    c, f = config.d_model, config.ff_width
    plus = " + b" if config.ff_bias else ""
    prefix = f"{stack.prefix}feed_forward."
    inner = format_shape(b, t, f)
    slots = (stack.ff_slot, "activation", "n_expert", "bias")

    def matrix(key: str, title: str, letter: str, meaning: str) -> Part:
        is_down = key == "down"
        sizes = (f, c) if is_down else (c, f)
        formula = f"{letter} W_{key}{plus},   W_{key}: {sizes[0]:,} × {sizes[1]:,}"
        return Part(
            key=prefix + key,
            title=title,
            detail=f"{sizes[0]:,} → {sizes[1]:,}",
            formula=f"{'y' if is_down else 'g' if key == 'gate' else 'a'} = {formula}\n"
            f"{inner if is_down else stack.stream} → {stack.stream if is_down else inner}",
            meaning=meaning,
            kind="feed-forward",
            slots=slots,
            shape=stack.stream if is_down else inner,
        )

    parts = [
        _sublayer_norm(stack, "feed_forward", "the feed-forward part"),
        *_conv_parts(stack, "feed_forward", "the feed-forward part"),
        *(_router(stack) if config.n_expert else []),
        matrix("up", "Up", "x", "Expands each token to more features."),
        Part(
            key=prefix + "activation",
            title=ACTIVATIONS[config.activation].curve,
            detail=f"{f:,}",
            formula=f"h = {CURVES[config.activation].formula}\n{inner}, {CURVES[config.activation].reach}",
            meaning="The non-linearity: passes positive values"
            + CURVES[config.activation].meaning
            + ("; here it controls the gate." if config.is_gated else "."),
            kind="feed-forward",
            slots=("activation", stack.ff_slot),
            shape=inner,
            curve=config.activation,
        ),
        matrix("down", "Down", "h", "Projects the features back to the model's width."),
        _sum_part(stack, "feed_forward", "feed_forward"),
    ]
    if config.has_ff_norm:
        meaning = "Normalises the features, which the softmax made small."
        parts.append(norm_part(stack, "feed_forward.norm", meaning, width=f, first_slot="activation"))
    if config.is_gated:
        parts.append(matrix("gate", "Gate", "x", "Controls how much of each feature passes."))
        parts.append(
            Part(
                key=prefix + "times",
                title="Gate × up",
                formula=f"h = {ACTIVATIONS[config.activation].curve}(g) · a\n{inner} · {inner}",
                meaning="Each feature is multiplied by its gate.",
                kind="sum",
                slots=("activation", stack.ff_slot),
                shape=inner,
            )
        )
    return parts


def _router(stack: StackSpec) -> list[Part]:
    config, b, t = stack.config, stack.batch, stack.length
    n, used, slots = config.n_expert, config.n_expert_used, ("n_expert", "n_expert_used", "router_balance")
    prefix = f"{stack.prefix}feed_forward."
    return [
        Part(
            key=prefix + "router",
            title="Router",
            detail=f"{config.d_model:,} → {n}",
            formula=f"p = softmax(x W_r),   W_r: {config.d_model:,} × {n}\n{stack.stream} → {format_shape(b, t, n)}",
            meaning=f"Selects the best {used} of {n} experts for each token.",
            kind="router",
            slots=slots,
            shape=format_shape(b, t, n),
        ),
        Part(
            key=prefix + "experts",
            title=f"Experts × {n}",
            detail=f"{used} of {n} per token",
            formula=f"y = Σ pₑ · expertₑ(x),   {used} of {n} experts\np of the chosen ones normalised to a sum of 1",
            meaning=f"{n} feed-forwards of the same shape. Each token is processed by {used} of them, "
            "chosen by the router.",
            kind="router",
            slots=slots,
            shape=stack.stream,
        ),
    ]


def position_part(stack: StackSpec, applied_to: str, key: str) -> list[Part]:
    """Return the part of a design's scheme, with this key; [] unless the scheme applies to `applied_to`."""
    scheme, config = scheme_of(stack.config), stack.config
    if scheme.applied_to != applied_to:
        return []
    if config.position_block:
        return [custom_part(stack, "position", key, _MEANINGS[applied_to])]
    words = scheme.words or _WORDS[config.position](stack)
    return [
        Part(
            key=key,
            title=words.title,
            detail=words.detail.format(design=config),
            formula=words.formula.format(design=config, stream=stack.stream),
            meaning=words.meaning,
            kind="position",
            slots=words.slots,
            shape=stack.stream if applied_to == "embeddings" else "",
        )
    ]


def _format_score_term(stack: StackSpec) -> str:
    """Return the term of the design's scheme in the formula of the scores, '' if it has none."""
    if stack.config.position_block:
        return " + block(i − j)" if scheme_of(stack.config).applied_to == "scores" else ""
    words = scheme_of(stack.config).words
    return words.scores if words is not None else ""


_MEANINGS = {
    "embeddings": "A custom block adds a vector for each position.",
    "queries": "A custom block rotates queries and keys by their position.",
    "scores": "A custom block adds a bias by distance to the scores.",
}
"""What a custom position block does, by where it is applied."""


def _rope(stack: StackSpec) -> SchemeWords:
    config, d = stack.config, stack.config.head_dim
    stretch = "" if config.rope_scaling == "none" else f", {config.rope_scaling} × {config.rope_factor:g}"
    n, is_part = n_rotated_pairs(config), config.rope_fraction != 1.0
    turning = f"i = 0 … {n - 1}" if n else "no i"
    return SchemeWords(
        title="RoPE",
        detail=f"{config.rope_theta:,.6g}{stretch}",
        formula=f"(qᵢ, qᵢ₊{d // 2}) rotated by position · {config.rope_theta:,.6g}^(−2i/{d})\n"
        f"{turning}, keys alike{stretch}",
        meaning="Rotates queries and keys by their position, so that scores depend on the distance."
        + (f" Only the {n} fastest of {d // 2} pairs (p-RoPE)." if is_part else "")
        + (f" Not in {config.n_nope_layers} of the {config.n_layer} layers (NoPE)." if config.nope_interval else ""),
        slots=("position", "rope_theta", "rope_scaling", "rope_factor", "rope_fraction", "nope_interval"),
    )


_WORDS = {"rope": _rope}


check_complete(
    _WORDS,
    (name for name, scheme in POSITIONS.items() if scheme.applied_to and scheme.words is None),
    "position schemes in the diagram",
)


check_complete(_NORM_FORMULAS, NORMS, "norms in the diagram")


def norm_title(config: ModelConfig) -> str:
    """Return the title of a design's norms in words and formulas: “norm” for a custom block."""
    return "norm" if config.norm_block else NORMS[config.norm].title


def norm_part(stack: StackSpec, key: str, meaning: str, *, first_slot: str = "norm", width: int = 0) -> Part:
    """Describe the norm with this key, over `width` numbers (0: the stream's). first_slot: what it stands for."""
    config = stack.config
    if config.norm_block:
        return custom_part(stack, "norm", stack.prefix + key, meaning)
    shape = format_shape(stack.batch, stack.length, width) if width else stack.stream
    width = width or config.d_model
    plus = " + b" if config.norm_bias else ""
    formula = _NORM_FORMULAS[config.norm].format(eps=f"{config.norm_eps:g}", plus=plus)
    slots = ("norm", "norm_place", "norm_eps", "bias")
    return Part(
        key=stack.prefix + key,
        title=NORMS[config.norm].title,
        detail=f"{width:,}",
        formula=f"{formula}\nover each token's {width:,} numbers",
        meaning=meaning,
        kind="norm",
        slots=slots if first_slot == "norm" else (first_slot, *slots),
        shape=shape,
    )


def _sublayer_norm(stack: StackSpec, sublayer: str, reader: str) -> Part:
    """Describe the norm of a sublayer, which its explanation calls `reader`."""
    if stack.config.norm_place == "pre":
        meaning = f"Normalises the input of {reader} (pre-norm); the stream itself is unchanged."
    else:
        meaning = f"Normalises the stream after {reader} has added to it (post-norm)."
    return norm_part(stack, f"{sublayer}_norm", meaning)


def _sum_part(stack: StackSpec, sublayer: str, word: str) -> Part:
    """Describe the residual connection of a sublayer, which its formula calls `word`."""
    return Part(
        key=f"{stack.prefix}{sublayer}.sum",
        title="Add back",
        formula=f"x = x + {word}(x)\n{stack.stream} + {stack.stream}",
        meaning="The sublayer's output is added to the residual stream, so nothing is overwritten.",
        kind="sum",
        slots=("norm_place", "dropout"),
        shape=stack.stream,
    )


def _conv_parts(stack: StackSpec, sublayer: str, word: str) -> list[Part]:
    """Describe the short convolution before a sublayer (called `word`); [] if the design has none."""
    config, width = stack.config, stack.config.conv_width
    if not width:
        return []
    before = f"the {width - 1} before it" if width > 2 else "the one before it" if width == 2 else "itself"
    return [
        Part(
            key=f"{stack.prefix}{sublayer}_conv",
            title="Short conv",
            detail=f"last {width}",
            formula=f"yₜ = xₜ + Σ wᵢ · xₜ₋ᵢ,  i = 0 … {width - 1}\nfor each of {config.d_model:,} channels",
            meaning=f"Mixes each token with {before}, ahead of {word} (a Canon layer).",
            kind="conv",
            slots=("conv_width",),
            shape=stack.stream,
        )
    ]
