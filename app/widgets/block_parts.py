"""The parts of an architecture in words and numbers: what the block diagram draws and explains. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from models.config import ModelConfig

_ACTIVATIONS = {
    "gelu": ("GELU", "a · Φ(a)", "passes what is positive, smoothly"),
    "gelu_tanh": ("GELU (tanh)", "a · ½(1 + tanh(√(2/π)(a + 0.0447 a³)))", "passes what is positive, smoothly"),
    "relu": ("ReLU", "max(a, 0)", "passes what is positive"),
    "relu2": ("ReLU²", "max(a, 0)²", "passes what is positive, squared"),
    "swiglu": ("SwiGLU", "SiLU(g) · a", "one half of the numbers opens gates for the other half"),
}

ACTIVATION_CURVES: dict[str, Callable[[float], float]] = {
    "gelu": lambda a: a * 0.5 * (1 + math.erf(a / math.sqrt(2))),
    "gelu_tanh": lambda a: a * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))),
    "relu": lambda a: max(a, 0.0),
    "relu2": lambda a: max(a, 0.0) ** 2,
    "swiglu": lambda a: a / (1 + math.exp(-a)),
}
"""The non-linearities as plain functions of one number, for drawing; SwiGLU's is that of its gate."""


@dataclass(frozen=True)
class Part:
    """One box of the diagram. `group` is the form group that shapes it; `n_parameters` counts one copy of the part;
    `glyph` names a little picture of what it does."""

    key: str
    title: str
    detail: str
    formula: str
    meaning: str
    group: str
    n_parameters: int = 0
    glyph: str = ""

    @property
    def tooltip(self) -> str:
        """What it is, its formula with the numbers filled in, and its parameters, as rich text."""
        count = f"{self.n_parameters:,} parameters" if self.n_parameters else "no parameters"
        return f"<p><b>{self.title}</b><br>{self.meaning}</p><p><code>{self.formula}</code></p><p>{count}</p>"


def describe_parts(config: ModelConfig) -> dict[str, Part]:
    """Every part that `config` has, by key. Parts of a block are described once: the blocks are alike."""
    parts = [*_outside(config), *_attention(config), *_feed_forward(config)]
    return {part.key: part for part in parts}


def _outside(config: ModelConfig) -> list[Part]:
    c, v, t = config.d_model, config.vocab_size, config.context_length
    parts = [
        Part(
            "embedding",
            "Embedding",
            f"{v:,} × {c:,}",
            f"x = E[id],  E: {v:,} × {c:,}",
            f"Looks up each token's row of {c:,} numbers in a table.",
            "Shape",
            v * c,
        ),
        _norm(
            "final_norm", "The last norm, before the numbers are compared with every token of the vocabulary.", config
        ),
        Part(
            "head",
            "Output head" if not config.tied_embeddings else "Output head (tied)",
            f"{c:,} → {v:,}",
            f"logits = x {'Eᵀ' if config.tied_embeddings else 'W'},  {c:,} → {v:,}",
            "Gives every token of the vocabulary a score. "
            + (
                "Tied: it uses the embedding's table again." if config.tied_embeddings else "It has a table of its own."
            ),
            "Details",
            0 if config.tied_embeddings else v * c,
        ),
    ]
    if config.position == "learned":
        parts.append(
            Part(
                "positions",
                "Positions",
                f"{t:,} × {c:,}",
                f"x = x + P[position],  P: {t:,} × {c:,}",
                "Adds a learned row for each place in the text, so that the model knows the order.",
                "Positions",
                t * c,
            )
        )
    return parts


def _attention(config: ModelConfig) -> list[Part]:
    c, d, h, g = config.d_model, config.head_dim, config.n_head, config.kv_heads
    one = int(config.bias == "all")
    kind = config.attention_kind.capitalize()
    parts = [
        _norm("attention_norm", "Brings the numbers into one range before attention reads them.", config),
        *_conv("attention_conv", "attention", config),
        Part(
            "query",
            "Q",
            f"{h} × {d}",
            f"q = x W_q,  {c:,} → {h} heads × {d}",
            "What each token is looking for.",
            "Attention",
            (c + one) * h * d,
        ),
        Part(
            "key",
            "K",
            f"{g} × {d}",
            f"k = x W_k,  {c:,} → {g} {'head' if g == 1 else 'heads'} × {d}",
            "What each token offers to be found by.",
            "Attention",
            (c + one) * g * d,
        ),
        Part(
            "value",
            "V",
            f"{g} × {d}",
            f"v = x W_v,  {c:,} → {g} {'head' if g == 1 else 'heads'} × {d}",
            "What each token hands over when it is found.",
            "Attention",
            (c + one) * g * d,
        ),
        Part(
            "attention",
            "Attention",
            f"{h} {'head' if h == 1 else 'heads'}",
            f"softmax(q kᵀ / √{d}) v,  causal",
            f"{kind} attention: each token collects from itself and the tokens before it, in {h} "
            f"{'pattern' if h == 1 else 'patterns'} at once" + ("." if g == h else f"; {h // g} heads share a key."),
            "Attention",
            glyph="causal",
        ),
        Part(
            "attention_output",
            "Output",
            f"{h * d:,} → {c:,}",
            f"x = x + a W_o,  {h * d:,} → {c:,}",
            "Mixes the heads and adds the result back to the residual stream.",
            "Attention",
            (h * d + one) * c,
        ),
    ]
    if config.qk_norm:
        norm = "RMSNorm" if config.norm == "rmsnorm" else "LayerNorm"
        vectors = 2 if config.norm == "layernorm" and config.norm_bias else 1
        parts.append(
            Part(
                "qk_norm",
                "QK-norm",
                norm,
                f"q = {norm}(q),  k = {norm}(k),  over {d} numbers",
                "Keeps the scores of attention from growing too large.",
                "Attention",
                2 * vectors * d,
            )
        )
    if config.position == "rope":
        parts.append(
            Part(
                "rope",
                "RoPE",
                f"base {config.rope_theta:,.6g}",
                f"(q, k) turned by position × {config.rope_theta:,.6g}^(−2i/{d})",
                "Turns queries and keys by their position, so that their match depends on the distance.",
                "Positions",
            )
        )
    return parts


def _feed_forward(config: ModelConfig) -> list[Part]:
    c, f, one = config.d_model, config.ff_width, int(config.bias == "all")
    name, formula, meaning = _ACTIVATIONS[config.activation]
    parts = [
        _norm("feed_forward_norm", "Brings the numbers into one range before the feed-forward part.", config),
        *_conv("feed_forward_conv", "the feed-forward part", config),
        Part(
            "up",
            "Up",
            f"{c:,} → {f:,}",
            f"a = x W_up,  {c:,} → {f:,}",
            "Spreads each token over a wider row of features.",
            "Feed-forward",
            (c + one) * f,
        ),
        Part(
            "activation",
            name,
            f"{f:,}",
            f"h = {formula}",
            f"The non-linearity: {meaning}.",
            "Feed-forward",
            glyph=config.activation,
        ),
        Part(
            "down",
            "Down",
            f"{f:,} → {c:,}",
            f"x = x + h W_down,  {f:,} → {c:,}",
            "Brings the features back to the model's width and adds them to the residual stream.",
            "Feed-forward",
            (f + one) * c,
        ),
    ]
    if config.activation == "swiglu":
        parts.append(
            Part(
                "gate",
                "Gate",
                f"{c:,} → {f:,}",
                f"g = x W_gate,  {c:,} → {f:,}",
                "Decides how far each feature is let through.",
                "Feed-forward",
                (c + one) * f,
            )
        )
    return parts


def _norm(key: str, meaning: str, config: ModelConfig) -> Part:
    c = config.d_model
    if config.norm == "rmsnorm":
        formula, vectors = f"y = x / √(mean(x²) + {config.norm_eps:g}) · g,  over {c:,} numbers", 1
        return Part(key, "RMSNorm", f"{c:,}", formula, meaning, "Normalisation", vectors * c)
    plus, vectors = (" + b", 2) if config.bias == "all" else ("", 1)
    formula = f"y = (x − mean) / √(variance + {config.norm_eps:g}) · g{plus},  over {c:,} numbers"
    return Part(key, "LayerNorm", f"{c:,}", formula, meaning, "Normalisation", vectors * c)


def _conv(key: str, before: str, config: ModelConfig) -> list[Part]:
    w, c = config.conv_width, config.d_model
    if not w:
        return []
    return [
        Part(
            key,
            "Short conv",
            f"last {w}",
            f"yₜ = xₜ + Σ w_i · xₜ₋ᵢ,  i = 0…{w - 1},  for each of {c:,} channels",
            f"Mixes each token with the {w - 1} before it, ahead of {before} (a Canon layer).",
            "Feed-forward",
            w * c,
        )
    ]
