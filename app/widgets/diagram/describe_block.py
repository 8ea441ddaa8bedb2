"""The parts of one block: attention, cross-attention and feed-forward, in words and numbers. No Qt."""

from __future__ import annotations

from app.widgets.diagram.activations import FORMULAS, NAMES
from app.widgets.diagram.part import Part, StackSpec, norm_parameters, norm_part, shape_words


def block_parts(stack: StackSpec) -> list[Part]:
    """Every part of a block of `stack`; each is described once, with as many copies as there are layers."""
    parts = _attention(stack, "attention")
    if stack.source:
        parts += _attention(stack, "cross_attention")
    return parts + _feed_forward(stack)


def _norm(stack: StackSpec, sublayer: str, reader: str) -> Part:
    if stack.config.norm_place == "pre":
        meaning = f"Brings the numbers into one range before {reader} reads them; the stream itself stays as it is."
    else:
        meaning = f"Brings the stream into one range after {reader} has added to it (post-norm)."
    return norm_part(stack, f"{sublayer}_norm", meaning, copies=stack.config.n_layer)


def _sum(stack: StackSpec, sublayer: str, word: str) -> Part:
    return Part(
        key=f"{stack.prefix}{sublayer}.sum",
        title="Add back",
        formula=f"x = x + {word}(x)\n{stack.stream} + {stack.stream}",
        meaning="What the loop found is added to the residual stream, number by number, so nothing is overwritten.",
        kind="sum",
        slots=("norm_place", "dropout"),
        shape=stack.stream,
    )


def _conv(stack: StackSpec, sublayer: str, word: str) -> list[Part]:
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
            n_parameters=width * config.d_model,
            copies=config.n_layer,
        )
    ]


def _attention(stack: StackSpec, sublayer: str) -> list[Part]:
    config, b, t = stack.config, stack.batch, stack.length
    is_cross = sublayer == "cross_attention"
    c, d, h, g, layers = config.d_model, config.head_dim, config.n_head, config.kv_heads, config.n_layer
    seen = stack.source if is_cross else t
    one, plus = int(config.attention_bias), " + b" if config.attention_bias else ""
    prefix = f"{stack.prefix}{sublayer}."
    word = "cross-attention" if is_cross else "attention"

    def projection(letter: str, title: str, heads: int, length: int, slots: tuple[str, ...], meaning: str) -> Part:
        source, x = ("m", "m (the encoder's result)") if is_cross and letter != "q" else ("x", "x")
        return Part(
            key=prefix + title,
            title=letter.upper(),
            detail=f"{heads} × {d}",
            formula=f"{letter} = {source} W_{letter}{plus},   W_{letter}: {c:,} × {heads * d:,}\n"
            f"{shape_words(b, length, c)} → {shape_words(b, heads, length, d)}",
            meaning=meaning if x == "x" else f"{meaning} Made of m, what the encoder read.",
            kind=title,
            slots=slots,
            shape=shape_words(b, heads, length, d),
            n_parameters=(c + one) * heads * d,
            copies=layers,
        )

    kv_slots = ("n_head", "d_head", "bias") if stack.is_second_settings and config.n_kv_head == 0 else ("n_kv_head",)
    parts = [
        _norm(stack, sublayer, word),
        *([] if is_cross else _conv(stack, sublayer, word)),
        projection("q", "query", h, t, (stack.heads_slot, "d_head", "bias"), "What each token is looking for."),
        projection("k", "key", g, seen, (*kv_slots, "d_head", "bias"), "What each token offers to be found by."),
        projection("v", "value", g, seen, (*kv_slots, "d_head", "bias"), "What each token hands over when found."),
        *_score_parts(stack, sublayer, is_cross),
        _attention_core(stack, sublayer, is_cross, seen),
        Part(
            key=prefix + "output",
            title="Output",
            detail=f"{h * d:,} → {c:,}",
            formula=f"x = a W_o{plus},   W_o: {h * d:,} × {c:,}\n{shape_words(b, t, h * d)} → {stack.stream}",
            meaning="Mixes what the heads collected, ready to be added to the residual stream.",
            kind="attention",
            slots=("bias", stack.heads_slot, "d_head", "zero_init_output"),
            shape=stack.stream,
            n_parameters=(h * d + one) * c,
            copies=layers,
        ),
        _sum(stack, sublayer, word),
    ]
    return list({part.key: part for part in parts}.values())


def _attention_core(stack: StackSpec, sublayer: str, is_cross: bool, seen: int) -> Part:
    config, b, t = stack.config, stack.batch, stack.length
    d, h, g, window = config.head_dim, config.n_head, config.kv_heads, config.sliding_window
    kind = config.attention_kind.capitalize()
    bias = "" if is_cross else {"alibi": " − slope · distance", "t5": " + bias[distance]"}.get(config.position, "")
    scale = f" / √{d}" if config.scaled_scores else ""
    if is_cross:
        mask, rule, reach = "cross", "", "the whole text that the encoder read"
    elif window:
        mask = "causal window" if config.is_causal else "window"
        rule = f",   {'0 ≤ i − j' if config.is_causal else '|i − j|'} < {window:,}"
        reach = f"{'the last' if config.is_causal else 'on either side up to'} {window:,} tokens, itself included"
        reach = reach if config.is_causal else f"tokens less than {window:,} places away, on both sides"
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
        detail=f"{h} {'head' if h == 1 else 'heads'} × {d}"
        + (f", window {window:,}" if window and not is_cross else ""),
        formula=f"a = softmax(q kᵀ{scale}{bias}) v{rule}\n"
        f"scores {shape_words(b, h, t, seen)} → {shape_words(b, h, t, d)}",
        meaning=f"{kind} attention: each token collects from {reach}, in {patterns}.{shared}",
        kind="attention",
        slots=slots if not is_cross else (stack.heads_slot, "n_kv_head", "qk_norm", "scaled_scores"),
        shape=shape_words(b, h, t, d),
        mask=mask,
        heads=(h, g),
    )


def _score_parts(stack: StackSpec, sublayer: str, is_cross: bool) -> list[Part]:
    """What shapes queries and keys (QK-norm, rotation) or is added to the scores (ALiBi, T5)."""
    config, d, layers = stack.config, stack.config.head_dim, stack.config.n_layer
    prefix, parts = f"{stack.prefix}{sublayer}.", []
    if config.qk_norm:
        norm = "RMSNorm" if config.norm == "rmsnorm" else "LayerNorm"
        parts.append(
            Part(
                key=prefix + "qk_norm",
                title="QK-norm",
                detail=f"over {d}",
                formula=f"q = {norm}(q),   k = {norm}(k)\nover each head's {d} numbers",
                meaning="Keeps the scores of attention from growing too large.",
                kind="norm",
                slots=("qk_norm", "norm"),
                n_parameters=2 * norm_parameters(config, d),
                copies=layers,
            )
        )
    if is_cross:
        return parts
    if config.position == "rope":
        stretch = "" if config.rope_scaling == "none" else f", {config.rope_scaling} × {config.rope_factor:g}"
        parts.append(
            Part(
                key=prefix + "rope",
                title="RoPE",
                detail=f"{config.rope_theta:,.6g}{stretch}",
                formula=f"(qᵢ, qᵢ₊{d // 2}) turned by position · {config.rope_theta:,.6g}^(−2i/{d})\n"
                f"i = 0 … {d // 2 - 1}, keys alike{stretch}",
                meaning="Turns queries and keys by their position, so that their match depends on the distance.",
                kind="position",
                slots=("position", "rope_theta", "rope_scaling", "rope_factor"),
            )
        )
    if config.position == "alibi":
        parts.append(
            Part(
                key=prefix + "alibi",
                title="ALiBi",
                detail=f"{config.n_head} slopes",
                formula=f"scores − slopeₕ · |i − j|\nh = 1 … {config.n_head}, slopes fixed",
                meaning="A penalty that grows with the distance, for each head at another rate. Nothing is learned.",
                kind="position",
                slots=("position",),
            )
        )
    if config.position == "t5":
        parts.append(
            Part(
                key=prefix + "t5",
                title="T5 bias",
                detail=f"{config.n_bucket} × {config.n_head}",
                formula=f"scores + B[bucket(i − j), head]\nB: {config.n_bucket} × {config.n_head}, "
                f"distances up to {config.max_distance:,}",
                meaning="Adds a learned number by distance and head. One table serves all layers of the stack.",
                kind="position",
                slots=("position", "n_bucket", "max_distance"),
                n_parameters=config.n_bucket * config.n_head,
            )
        )
    return parts


def _feed_forward(stack: StackSpec) -> list[Part]:
    config, b, t = stack.config, stack.batch, stack.length
    c, f, one = config.d_model, config.ff_width, int(config.ff_bias)
    plus = " + b" if config.ff_bias else ""
    prefix, copies = f"{stack.prefix}feed_forward.", config.n_layer * max(config.n_expert, 1)
    inner = shape_words(b, t, f)
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
            n_parameters=(sizes[0] + one) * sizes[1],
            copies=copies,
        )

    parts = [
        _norm(stack, "feed_forward", "the feed-forward part"),
        *_conv(stack, "feed_forward", "the feed-forward part"),
        *(_router(stack) if config.n_expert else []),
        matrix("up", "Up", "x", "Spreads each token over a wider row of features."),
        Part(
            key=prefix + "activation",
            title=NAMES[config.activation],
            detail=f"{f:,}",
            formula=f"h = {FORMULAS[config.activation]}\n{inner}, number by number",
            meaning="The non-linearity: passes what is positive"
            + (", squared" if config.activation == "relu2" else "")
            + ("; here it opens the gate." if config.is_gated else "."),
            kind="feed-forward",
            slots=("activation", stack.ff_slot),
            shape=inner,
            curve=config.activation,
        ),
        matrix("down", "Down", "h", "Brings the features back to the model's width."),
        _sum(stack, "feed_forward", "feed_forward"),
    ]
    if config.is_gated:
        parts.append(matrix("gate", "Gate", "x", "Decides how far each feature is let through."))
        parts.append(
            Part(
                key=prefix + "times",
                title="Gate × up",
                formula=f"h = {NAMES[config.activation]}(g) · a\n{inner} · {inner}",
                meaning="Each feature is multiplied by its gate: what the gate closes is not passed on.",
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
            formula=f"p = softmax(x W_r),   W_r: {config.d_model:,} × {n}\n{stack.stream} → {shape_words(b, t, n)}",
            meaning=f"Finds for each token the {used} of {n} experts that suit it best.",
            kind="router",
            slots=slots,
            shape=shape_words(b, t, n),
            n_parameters=config.d_model * n,
            copies=config.n_layer,
        ),
        Part(
            key=prefix + "experts",
            title=f"Experts × {n}",
            detail=f"{used} of {n} per token",
            formula=f"y = Σ pₑ · expertₑ(x),   {used} of {n} experts\np of the chosen ones scaled to a sum of 1",
            meaning=f"{n} feed-forwards of the same shape. Each token is worked on by {used} of them; "
            "which ones differs from token to token.",
            kind="router",
            slots=slots,
            shape=stack.stream,
        ),
    ]
