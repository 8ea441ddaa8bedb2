"""The code of a design's position scheme: sinusoids, RoPE, ALiBi, T5's biases, or FIRE."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from terrarium.models.architecture.rope import FIRE_C, attention_factor, fire_threshold, yarn_ramp
from terrarium.models.codegen.text import Code, block, join
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import FIRE_WIDTH, POSITIONS, scheme_of
from terrarium.models.settings.slots import check_complete


@dataclass(frozen=True, kw_only=True)
class SchemeCode:
    """The generated code of a position scheme.

    functions: functions and classes before the attention layer. constants: numbers, by name. needs_math: whether this
    code uses the module `math`. member: the line that creates its module in a stack, with {n_head} and {causal}. added:
    the expression that is added to embeddings, with {length}, or to scores, with {n_head} (see `applied_to`).
    """

    functions: Callable[[ModelConfig], Code] = lambda config: None
    constants: Callable[[ModelConfig], dict[str, object]] = lambda config: {}
    needs_math: Callable[[ModelConfig], bool] = lambda config: False
    member: str = ""
    added: str = ""


def code_of(config: ModelConfig) -> SchemeCode:
    """Return the code of a design's position scheme."""
    return _CODE[config.position]


def rotates_in_some(config: ModelConfig) -> bool:
    """Return whether some layers rotate queries and keys, and others do not."""
    return scheme_of(config).applied_to == "queries" and config.nope_interval > 0


def _sinusoidal() -> str:
    return block(
        "def sinusoidal(length: int) -> Tensor:",
        '"""Sinusoidal position encodings, (length, D_MODEL): sines and cosines interleaved."""',
        "frequencies = 10_000.0 ** -(torch.arange(0, D_MODEL, 2) / D_MODEL)",
        "angles = torch.arange(length)[:, None] * frequencies",
        "return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[:, :D_MODEL]",
    )


def _rope(config: ModelConfig) -> str:
    widths = head_dims(config)
    head = str(widths[0]) if len(widths) == 1 else "width"
    pairs = f"torch.arange(0, {head}, 2) / {head}"
    scaling_code = _scaled_frequencies(config, widths, head, pairs)
    extra = "" if len(widths) == 1 else ", width: int"
    scores = attention_factor(config)
    waves = "angle.cos(), angle.sin()"
    if scores != 1.0:
        waves = f"angle.cos() * {scores!r}, angle.sin() * {scores!r}  # yarn: sharper scores"
    return join(
        block(
            f"def angles(length: int{extra}) -> Tensor:",
            '"""The rotation of each pair of numbers at each position, (length, pairs), in radians."""',
            f"frequencies = {config.rope_theta!r} ** -({pairs})",
            scaling_code,
            f"frequencies[round({config.rope_fraction!r} * len(frequencies)) :] = 0.0  # p-RoPE: the slow ones stay"
            if config.rope_fraction != 1.0
            else None,
            "return torch.arange(length)[:, None] * frequencies",
        ),
        "",
        "",
        block(
            "def rotate(x: Tensor) -> Tensor:",
            '"""Rotate the pairs (x[i], x[i + half]) of x (B, heads, T, width) by their position\'s angle."""',
            f"angle = angles(x.size(-2){'' if len(widths) == 1 else ', x.size(-1)'}).to(x)",
            "first, second = x.chunk(2, dim=-1)",
            f"cos, sin = {waves}",
            "return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)",
        ),
    )


def head_dims(config: ModelConfig) -> list[int]:
    """Return the distinct head widths, sorted: two if those of encoder and decoder differ."""
    widths = [config.head_dim]
    if config.topology == "encoder-decoder":
        widths.append(config.encoder().head_dim)
    return sorted(set(widths))


def _scaled_frequencies(config: ModelConfig, widths: list[int], head: str, pairs: str) -> Code:
    """Generate the lines that scale the frequencies for a longer context."""
    scaling, factor, original = config.rope_scaling, f"{config.rope_factor!r}", config.rope_original_context
    low, high = config.rope_low_rotations, config.rope_high_rotations
    slower = f"frequencies = frequencies / {factor} * (1 - kept) + frequencies * kept"
    if scaling == "linear":
        return f"frequencies = frequencies / {factor}"
    if scaling == "dynamic":
        return block(
            f"if length > {original}:  # a larger base as the text grows",
            f"growth = {factor} * length / {original} - {factor} + 1",
            f"theta = {config.rope_theta!r} * growth ** ({head} / max({head} - 2, 1))",
            f"frequencies = theta ** -({pairs})",
        )
    if scaling == "llama3":
        return [
            f"turns = {original} * frequencies / (2 * math.pi)  # within the original context",
            f"kept = ((turns - {low!r}) / {high - low!r}).clamp(0, 1)",
            slower,
        ]
    if scaling == "yarn":
        edges = {width: yarn_ramp(dataclasses.replace(config, d_head=width, n_encoder_head=0)) for width in widths}
        first, last = next(iter(edges.values()))
        ramp = f"(torch.arange({widths[0] // 2}) - {first}) / {last - first or 0.001}"
        choose = None
        if len(widths) > 1:
            choose = f"first, last = {edges!r}[width]"
            ramp = "(torch.arange(width // 2) - first) / (last - first or 0.001)"
        return [choose, f"kept = 1 - ({ramp}).clamp(0, 1)", slower]
    return None


def _alibi() -> str:
    return block(
        "def distance_penalty(distance: Tensor, n_head: int) -> Tensor:",
        '"""ALiBi: scores fall with the distance, each head at its own rate; (T, T) -> (n_head, T, T)."""',
        "power = 2 ** int(math.log2(n_head))",
        "slopes = [2.0 ** (-8 * (i + 1) / power) for i in range(power)]",
        "slopes += [2.0 ** (-4 * (2 * i + 1) / power) for i in range(n_head - power)]",
        "return -torch.tensor(slopes)[:, None, None] * distance.abs()",
    )


def _relative_bias(config: ModelConfig) -> str:
    one_way = config.topology != "encoder-only"
    both_ways = config.topology != "decoder-only"
    bidirectional = join(
        "half = N_BUCKET // 2",
        "offset, n_bucket = (distance > 0) * half, half",
        "distance = distance.abs()",
    )
    causal = "offset, n_bucket, distance = 0, N_BUCKET, (-distance).clamp(min=0)"
    if one_way and both_ways:
        choose: Code = [block("if self.causal:", causal), block("else:", bidirectional)]
    else:
        choose = causal if one_way else bidirectional
    return block(
        "class RelativeBias(nn.Module):",
        '"""T5: a learned bias per head and distance bucket; large distances share a bucket."""',
        "",
        block(
            "def __init__(self, n_head: int, causal: bool) -> None:",
            "super().__init__()",
            "self.causal = causal",
            "self.weight = nn.Parameter(torch.empty(N_BUCKET, n_head))",
        ),
        "",
        block(
            "def forward(self, distance: Tensor) -> Tensor:",
            '"""(T, T) -> (n_head, T, T)."""',
            choose,
            "exact = n_bucket // 2",
            "share = (distance.clamp(min=1) / exact).log() / math.log(MAX_DISTANCE / exact)",
            "far = (exact + (share * (n_bucket - exact)).long()).clamp(max=n_bucket - 1)",
            "bucket = offset + torch.where(distance < exact, distance, far)",
            "return self.weight[bucket].permute(2, 0, 1)",
        ),
    )


def _fire(config: ModelConfig) -> str:
    return block(
        "class Fire(nn.Module):",
        '"""FIRE: a small network of the distance, relative to the text so far if that is longer than a threshold."""',
        "",
        block(
            "def __init__(self, n_head: int) -> None:",
            "super().__init__()",
            f"self.log_c = nn.Parameter(torch.tensor([math.log({FIRE_C})]))",
            f"self.log_threshold = nn.Parameter(torch.tensor([math.log({fire_threshold(config)!r})]))",
            "self.scale = nn.Parameter(torch.empty(FIRE_WIDTH).uniform_(-1, 1))",
            "self.shift = nn.Parameter(torch.empty(FIRE_WIDTH).uniform_(-1, 1))",
            "self.weight = nn.Parameter(torch.empty(FIRE_WIDTH, n_head))",
        ),
        "",
        block(
            "def forward(self, distance: Tensor) -> Tensor:",
            '"""(T, T) -> (n_head, T, T)."""',
            "c, threshold = self.log_c.exp(), self.log_threshold.exp()",
            "later = torch.maximum(-distance[:, :1], distance[:1])  # the position of the later token of each pair",
            "relative = (c * distance.abs()).log1p() / (c * torch.maximum(later, threshold)).log1p()",
            "hidden = F.relu(relative[..., None] * self.scale + self.shift)",
            "return (hidden @ self.weight).permute(2, 0, 1)",
        ),
    )


_CODE = {
    "learned": SchemeCode(
        member="self.position = nn.Embedding(CONTEXT_LENGTH, D_MODEL)", added="self.position.weight[: {length}]"
    ),
    "sinusoidal": SchemeCode(functions=lambda config: _sinusoidal(), added="sinusoidal({length})"),
    "rope": SchemeCode(
        functions=_rope,
        constants=lambda config: {"NOPE_INTERVAL": config.nope_interval or None},
        needs_math=lambda config: config.rope_scaling == "llama3",
    ),
    "alibi": SchemeCode(
        functions=lambda config: _alibi(), needs_math=lambda config: True, added="distance_penalty(distance, {n_head})"
    ),
    "t5": SchemeCode(
        functions=_relative_bias,
        constants=lambda config: {"N_BUCKET": config.n_bucket, "MAX_DISTANCE": config.max_distance},
        needs_math=lambda config: True,
        member="self.score_bias = RelativeBias({n_head}, causal={causal})",
        added="self.score_bias(distance)",
    ),
    "fire": SchemeCode(
        functions=_fire,
        constants=lambda config: {"FIRE_WIDTH": FIRE_WIDTH},
        needs_math=lambda config: True,
        member="self.score_bias = Fire({n_head})",
        added="self.score_bias(distance)",
    ),
    "none": SchemeCode(),
}
check_complete(_CODE, POSITIONS, "code of position schemes")
