"""The code of a look-back layer (models.architecture.lookback)."""

from __future__ import annotations

from terrarium.models.architecture.lookback_numbers import CONSTANT, DAMPING, FASTEST, STRENGTH, sharp_gain
from terrarium.models.codegen.text import block
from terrarium.models.settings.model_config import ModelConfig


def look_back(config: ModelConfig) -> str:
    """Generate a function that turns the first layer of `Model` into a look-back layer, and freezes it."""
    factor = config.rope_factor if config.rope_scaling == "linear" else 1.0  # others do not scale the fast pairs
    slowing = f" / {factor}" if factor != 1.0 else ""
    half = config.head_dim // 2
    n_fast = sum(config.rope_theta ** (-pair / half) / factor > FASTEST for pair in range(half))
    width, gain = config.head_dim, round(sharp_gain(config.head_dim), 6)
    return block(
        "def look_back(model: nn.Module) -> None:",
        '"""Make the first layer a short convolution: its heads copy the tokens before, and are not trained."""',
        "first = model.blocks[0]",
        "attention = first.attention",
        f"fast = {config.rope_theta} ** -(torch.arange({n_fast}) / {width // 2}){slowing}  # radians per token",
        f"weights = torch.empty({config.lookback}, D_MODEL).uniform_(-{STRENGTH}, {STRENGTH})  # of a convolution",
        "weights[:, -1] = 0.0",
        block(
            "with torch.no_grad():",
            f"model.embedding.weight[:, -1] = {CONSTANT}  # one channel is the same in all tokens",
            block(
                "for name, parameter in model.named_parameters():",
                block(
                    'if name.endswith("_norm.weight") and not name.endswith(("query_norm.weight", "key_norm.weight")):',
                    f'parameter[-1] = 1.0 if name == "blocks.0.attention_norm.weight" else {DAMPING}',
                ),
            ),
            block(
                "for linear in (attention.query, attention.key, attention.value, attention.output):",
                "linear.weight.zero_()",
            ),
            "first.feed_forward.down.weight.zero_()",
            f"attention.query_norm.weight.fill_({gain})",
            f"attention.key_norm.weight.fill_({gain})",
            block(
                "for head in range(N_HEAD):",
                f"back, part = head % {config.lookback}, head // {config.lookback}",
                f"rows = slice(head * {width}, (head + 1) * {width})",
                f"channels = slice(part * {width}, (part + 1) * {width})",
                f"start, half = head * {width}, head * {width} + {width // 2}",
                "attention.key.weight[start : start + len(fast), -1] = 1.0",
                "attention.query.weight[start : start + len(fast), -1] = torch.cos(-(back + 1) * fast)",
                "attention.query.weight[half : half + len(fast), -1] = torch.sin(-(back + 1) * fast)",
                "n = len(range(D_MODEL)[channels])",
                "attention.value.weight[rows, channels][:n] = torch.eye(n)",
                "attention.output.weight[channels, rows][:, :n] = torch.diag(weights[back, channels])",
            ),
        ),
        "first.requires_grad_(False)",
    )
