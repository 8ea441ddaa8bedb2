"""The code of a design's layers: norms, n-grams, convolution, attention, feed-forward or experts, and the block."""

from __future__ import annotations

from terrarium.models.codegen.positions import head_dims, rotates_in_some
from terrarium.models.codegen.text import Code, block, join
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.model_slots import NGRAM_BASE, NGRAM_PRIME
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import scheme_of
from terrarium.models.settings.slots import check_complete


def norm(config: ModelConfig, width: str) -> str:
    """Generate the expression that creates a norm over `width` numbers."""
    return _NORMS[config.norm](config, width)


def _layer_norm(config: ModelConfig, width: str) -> str:
    return f"nn.LayerNorm({width}, eps={config.norm_eps!r}{'' if config.norm_bias else ', bias=False'})"


def _rms_norm(config: ModelConfig, width: str) -> str:
    return f"nn.RMSNorm({width}, eps={config.norm_eps!r})"


_NORMS = {"layernorm": _layer_norm, "rmsnorm": _rms_norm}
check_complete(_NORMS, NORMS, "code of norms")


def linear(inputs: str, outputs: str, has_bias: bool) -> str:
    """Generate the expression that creates a linear layer with or without a bias."""
    return f"nn.Linear({inputs}, {outputs}{'' if has_bias else ', bias=False'})"


def activation(kind: str, h: str, gate: str) -> str:
    """Generate the expression of an activation of `h` or, if gated, of `gate`, times `h`."""
    if ACTIVATIONS[kind].is_gated:
        return f"{_CURVES[kind].format(gate)} * {h}"
    return _CURVES[kind].format(h)


_CURVES = {
    "relu": "F.relu({})",
    "gelu": "F.gelu({})",
    "gelu_tanh": 'F.gelu({}, approximate="tanh")',
    "relu2": "F.relu({}) ** 2",
    "solu": "(h := {}) * h.softmax(dim=-1)",
    "swiglu": "F.silu({})",
    "geglu": "F.gelu({})",
    "geglu_tanh": 'F.gelu({}, approximate="tanh")',
}
check_complete(_CURVES, ACTIVATIONS, "code of activations")


def ngram_embedding() -> str:
    """Generate the class of n-gram embeddings."""
    return block(
        "class NGramEmbedding(nn.Module):",
        '"""A row for the pair, the triple … that each token ends, chosen by a hash, from a table for each length."""',
        "",
        block(
            "def __init__(self) -> None:",
            "super().__init__()",
            "self.table = nn.Embedding((MAX_NGRAM - 1) * NGRAM_ROWS, D_NGRAM)",
            "self.projection = nn.Linear((MAX_NGRAM - 1) * D_NGRAM, D_MODEL, bias=False)",
        ),
        "",
        block(
            "def forward(self, ids: Tensor) -> Tensor:",
            f"prime, base, rows = {NGRAM_PRIME}, {NGRAM_BASE}, []",
            "hashes = ids + 1  # 0: nothing, before the text",
            block(
                "for back in range(1, MAX_NGRAM):",
                "earlier = F.pad(ids + 1, (back, 0))[:, : ids.size(1)]",
                "hashes = (hashes + earlier * pow(base, back, prime)) % prime",
                "rows.append(hashes % NGRAM_ROWS + (back - 1) * NGRAM_ROWS)",
            ),
            "return self.projection(self.table(torch.stack(rows, dim=-1)).flatten(2))",
        ),
    )


def short_convolution() -> str:
    """Generate the class of the short convolution (Canon layer)."""
    return block(
        "class ShortConv(nn.Module):",
        '"""A causal depthwise convolution over the last few tokens, added to its input (a Canon layer)."""',
        "",
        block(
            "def __init__(self) -> None:",
            "super().__init__()",
            "self.weight = nn.Parameter(torch.empty(CONV_WIDTH, D_MODEL))",
            "nn.init.uniform_(self.weight, -(CONV_WIDTH**-0.5), CONV_WIDTH**-0.5)",
        ),
        "",
        block(
            "def forward(self, x: Tensor) -> Tensor:",
            "padded = F.pad(x, (0, 0, CONV_WIDTH - 1, 0))",
            "return x + sum(padded[:, i : i + x.size(1)] * self.weight[i] for i in range(CONV_WIDTH))",
        ),
    )


def attention(config: ModelConfig) -> str:
    """Generate the class of the attention layer; in an encoder-decoder it can attend to `memory`."""
    is_pair = config.topology == "encoder-decoder"
    heads, groups = ("n_head", "n_kv_head") if is_pair else ("N_HEAD", "N_KV_HEAD")
    shares = config.kv_heads != config.n_head
    if not shares:
        groups = heads
    width = "HEAD_DIM" if len(head_dims(config)) == 1 else "self.head_dim"
    inner, narrow = f"{heads} * {width}", f"{groups} * {width}"
    bias = config.attention_bias
    x_or_memory = "source" if is_pair else "x"
    rotate: Code = "q, k = rotate(q), rotate(k)" if scheme_of(config).applied_to == "queries" else None
    some = rotates_in_some(config)
    conditions = ["self.rotates"] * some + ["memory is None"] * is_pair
    if rotate is not None and conditions:
        rotate = block(f"if {' and '.join(conditions)}:", rotate)
    given = ["n_head: int", "n_kv_head: int"] * is_pair + ["rotates: bool"] * some
    options = [
        "attn_mask=mask",
        None if config.scaled_scores else "scale=1.0",
        "enable_gqa=True" if shares else None,
        "dropout_p=dropout" if config.dropout else None,
    ]
    arguments = "x: Tensor, mask: Tensor | None" + (", memory: Tensor | None = None" if is_pair else "")
    described = "x (B, T, D_MODEL) -> the same shape; mask: bool, True = visible, or a bias added to the scores."
    return block(
        "class Attention(nn.Module):",
        f'"""{_describe_attention(config)}."""',
        "",
        block(
            f"def __init__({', '.join(['self', *given])}) -> None:",
            "super().__init__()",
            _when(some, ["self.rotates = rotates"]),
            _when(width != "HEAD_DIM", ["self.head_dim = D_MODEL // n_head"]),
            f"self.query = {linear('D_MODEL', inner, bias)}",
            f"self.key = {linear('D_MODEL', narrow, bias)}",
            f"self.value = {linear('D_MODEL', narrow, bias)}",
            f"self.output = {linear(inner, 'D_MODEL', bias)}",
            _when(config.qk_norm, [f"self.{part}_norm = {norm(config, width)}" for part in ("query", "key")]),
        ),
        "",
        block(
            f"def forward(self, {arguments}) -> Tensor:",
            f'"""{described}"""',
            _when(is_pair, ["source = x if memory is None else memory"]),
            f"q = self.query(x).unflatten(-1, (-1, {width})).transpose(1, 2)  # (B, heads, T, width)",
            f"k = self.key({x_or_memory}).unflatten(-1, (-1, {width})).transpose(1, 2)",
            f"v = self.value({x_or_memory}).unflatten(-1, (-1, {width})).transpose(1, 2)",
            _when(config.qk_norm, ["q, k = self.query_norm(q), self.key_norm(k)"]),
            rotate,
            _when(bool(config.dropout), ["dropout = DROPOUT if self.training else 0.0"]),
            f"out = F.scaled_dot_product_attention(q, k, v, {', '.join(filter(None, options))})",
            "return self.output(out.transpose(1, 2).flatten(-2))",
        ),
    )


def _describe_attention(config: ModelConfig) -> str:
    words = {
        "multi-head": "Multi-head attention",
        "grouped-query": "Grouped-query attention: several heads share one set of keys and values",
        "multi-query": "Multi-query attention: all heads share one set of keys and values",
    }[config.attention_kind]
    return words + (
        ", as self-attention or as cross-attention to `memory`" if config.topology == "encoder-decoder" else ""
    )


def feed_forward(config: ModelConfig) -> str:
    """Generate the class of the feed-forward layer, and that of a mixture of experts if the design has one."""
    is_pair = config.topology == "encoder-decoder"
    width, argument = ("d_ff", ", d_ff: int") if is_pair else ("D_FF", "")
    made = activation(config.activation, "self.up(x)", "self.gate(x)")
    dense = block(
        "class FeedForward(nn.Module):",
        f'"""Position-wise: {3 if config.is_gated else 2} matrices with {config.activation} between."""',
        "",
        block(
            f"def __init__(self{argument}) -> None:",
            "super().__init__()",
            _when(config.is_gated, [f"self.gate = {linear('D_MODEL', width, config.ff_bias)}"]),
            f"self.up = {linear('D_MODEL', width, config.ff_bias)}",
            _when(config.has_ff_norm, [f"self.norm = {norm(config, width)}"]),
            f"self.down = {linear(width, 'D_MODEL', config.ff_bias)}",
        ),
        "",
        block(
            "def forward(self, x: Tensor) -> Tensor:",
            f"return self.down({f'self.norm({made})' if config.has_ff_norm else made})",
        ),
    )
    if not config.n_expert:
        return dense
    mixture = block(
        "class MixtureOfExperts(nn.Module):",
        '"""A router sends each token to the experts with the highest scores."""',
        "",
        block(
            f"def __init__(self{argument}) -> None:",
            "super().__init__()",
            "self.router = nn.Linear(D_MODEL, N_EXPERT, bias=False)",
            f"self.experts = nn.ModuleList(FeedForward({width if is_pair else ''}) for _ in range(N_EXPERT))",
        ),
        "",
        block(
            "def forward(self, x: Tensor) -> Tensor:",
            "share, chosen = self.router(x).softmax(dim=-1).topk(N_EXPERT_USED, dim=-1)",
            "share = share / share.sum(dim=-1, keepdim=True)",
            "out = torch.zeros_like(x)",
            block(
                "for i, expert in enumerate(self.experts):",
                "weight = (share * (chosen == i)).sum(dim=-1)  # (B, T), 0 if it was not chosen",
                "token = weight > 0",
                "out[token] += weight[token][:, None] * expert(x[token])",
            ),
            "return out",
        ),
    )
    return join(dense, "", "", mixture)


def layer(config: ModelConfig) -> str:
    """Generate the class of a block."""
    is_pair = config.topology == "encoder-decoder"
    mixture = "MixtureOfExperts" if config.n_expert else "FeedForward"
    some = rotates_in_some(config)
    heads = ["n_head", "n_kv_head"] * is_pair
    attention = f"Attention({', '.join([*heads, *['rotates'] * some])})"
    across_attention = f"Attention({', '.join([*heads, *['rotates=False'] * some])})"
    conv = bool(config.conv_width)
    parts = [
        join(
            f"self.attention_norm = {norm(config, 'D_MODEL')}",
            _when(conv, ["self.attention_conv = ShortConv()"]),
            f"self.attention = {attention}",
        ),
        _when(
            is_pair,
            [
                block(
                    "if has_cross:",
                    f"self.cross_attention_norm = {norm(config, 'D_MODEL')}",
                    f"self.cross_attention = {across_attention}",
                )
            ],
        ),
        join(
            f"self.feed_forward_norm = {norm(config, 'D_MODEL')}",
            _when(conv, ["self.feed_forward_conv = ShortConv()"]),
            f"self.feed_forward = {mixture}({'d_ff' if is_pair else ''})",
        ),
    ]
    given = ["n_head: int", "n_kv_head: int", "d_ff: int", "has_cross: bool"] * is_pair + ["rotates: bool"] * some
    signature = ", ".join(["self", *given])
    arguments = "x: Tensor, mask: Tensor | None" + (", memory: Tensor | None = None" if is_pair else "")
    across = _added(config, "cross_attention", "self.cross_attention({}, None, memory)", has_conv=False)
    return block(
        "class Block(nn.Module):",
        f'"""Attention and feed-forward, each added to the residual stream; norms {_norm_position(config)}."""',
        "",
        block(f"def __init__({signature}) -> None:", "super().__init__()", *parts),
        "",
        block(
            f"def forward(self, {arguments}) -> Tensor:",
            _added(config, "attention", "self.attention({}, mask)", has_conv=conv),
            _when(is_pair, [block("if memory is not None:", across)]),
            _added(config, "feed_forward", "self.feed_forward({})", has_conv=conv),
            "return x",
        ),
    )


def _norm_position(config: ModelConfig) -> str:
    return "before each" if config.norm_place == "pre" else "after each sum"


def _added(config: ModelConfig, part: str, call: str, *, has_conv: bool) -> str:
    """Generate the line that adds a sublayer's output to the residual stream."""
    is_pre = config.norm_place == "pre"
    inner = f"self.{part}_norm(x)" if is_pre else "x"
    if has_conv:
        inner = f"self.{part}_conv({inner})"
    result = call.format(inner)
    if config.dropout:
        result = f"F.dropout({result}, DROPOUT, self.training)"
    return f"x = x + {result}" if is_pre else f"x = self.{part}_norm(x + {result})"


def _when(condition: bool, lines: list[Code]) -> Code:
    return lines if condition else None
