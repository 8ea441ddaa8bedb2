"""The parts of the feed-forward, or of a mixture of experts. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.activations import CURVES
from terrarium.app.builder.diagram.custom_parts import custom_part
from terrarium.app.builder.diagram.part import Part, StackSpec, format_shape
from terrarium.app.builder.diagram.sublayer import conv_parts, norm_part, sublayer_norm, sum_part
from terrarium.models.settings.activations import ACTIVATIONS


def feed_forward_parts(stack: StackSpec) -> list[Part]:
    """Describe the parts of a stack's feed-forward sublayer, with router and experts if it has them."""
    config, b, t = stack.config, stack.batch, stack.length
    if config.feed_forward_block:
        return [
            sublayer_norm(stack, "feed_forward", "the feed-forward part"),
            *conv_parts(stack, "feed_forward", "the feed-forward part"),
            custom_part(stack, "feed_forward", f"{stack.prefix}feed_forward", "A custom block in its place."),
            sum_part(stack, "feed_forward", "block"),
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
        sublayer_norm(stack, "feed_forward", "the feed-forward part"),
        *conv_parts(stack, "feed_forward", "the feed-forward part"),
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
        sum_part(stack, "feed_forward", "feed_forward"),
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
