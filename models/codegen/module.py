"""The code of a complete design: constants, layers, and the model of its topology."""

from __future__ import annotations

from terrarium.models.codegen.layers import (
    activation,
    attention,
    feed_forward,
    layer,
    linear,
    ngram_embedding,
    norm,
    short_convolution,
)
from terrarium.models.codegen.lookback import look_back
from terrarium.models.codegen.positions import code_of, head_dims, rotates_in_some
from terrarium.models.codegen.text import Code, block, join
from terrarium.models.cost import total_parameters
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of


def module_source(config: ModelConfig, name: str = "This design") -> str:
    """Generate a Python module that defines `Model` and needs only torch; its last lines are a trial run.

    `Model()(ids)`, or for an encoder-decoder `Model()(source_ids, target_ids)`, returns logits (B, T, V), or the hidden
    states if an encoder has no head.
    """
    title = " ".join(name.split()) or "This design"
    words = f"{title}: {_describe(config)}.".replace('"', "'").replace("\\", "/")
    pieces: list[Code] = [
        f'"""{words}"""',
        "",
        join(
            "import math\n" if code_of(config).needs_math(config) else None,
            "import torch",
            "import torch.nn.functional as F",
            "from torch import Tensor, nn",
        ),
        "",
        constants(config),
    ]
    parts = [
        code_of(config).functions(config),
        ngram_embedding() if config.has_ngrams else None,
        short_convolution() if config.conv_width else None,
        attention(config),
        feed_forward(config),
        layer(config),
        _head_class(config),
        _pair(config) if config.topology == "encoder-decoder" else _single(config),
        _trial(config),
    ]
    for part in parts:
        if part is not None:
            pieces += ["", "", part]
    return join(*pieces) + "\n"


def constants(config: ModelConfig) -> str:
    """Generate the constants that the layers use, with their customary names."""
    pair = config.topology == "encoder-decoder"
    encoder = config.encoder() if pair else config
    values: dict[str, object] = {
        "VOCAB_SIZE": config.vocab_size,
        "CONTEXT_LENGTH": config.context_length if "CONTEXT_LENGTH" in code_of(config).member else None,
        "N_LAYER": config.n_layer,
        "N_ENCODER_LAYER": encoder.n_layer if pair else None,
        "D_MODEL": config.d_model,
        "N_HEAD": config.n_head,
        "N_ENCODER_HEAD": encoder.n_head if pair and encoder.n_head != config.n_head else None,
        "N_KV_HEAD": config.kv_heads if config.kv_heads != config.n_head else None,
        "HEAD_DIM": config.head_dim if len(head_dims(config)) == 1 else None,
        "D_FF": config.ff_width,
        "D_ENCODER_FF": encoder.ff_width if pair and encoder.ff_width != config.ff_width else None,
        "N_EXPERT": config.n_expert or None,
        "N_EXPERT_USED": config.n_expert_used if config.n_expert else None,
        "CONV_WIDTH": config.conv_width or None,
        "MAX_NGRAM": config.max_ngram if config.has_ngrams else None,
        "NGRAM_ROWS": config.ngram_rows if config.has_ngrams else None,
        "D_NGRAM": config.d_ngram if config.has_ngrams else None,
        "WINDOW": config.sliding_window or None,
        **code_of(config).constants(config),
        "N_SEGMENT": config.n_segment if config.topology == "encoder-only" and config.n_segment else None,
        "N_LABEL": config.n_output if config.head not in ("language", "none") else None,
        "DROPOUT": config.dropout or None,
        "INIT_STD": config.init_std,
    }
    return "\n".join(f"{key} = {value!r}" for key, value in values.items() if value is not None)


def _describe(config: ModelConfig) -> str:
    article = "an" if config.topology.startswith("e") else "a"
    return f"{article} {config.topology} transformer with {total_parameters(config):,} parameters, made in Terrarium"


# The model of one stack


def _single(config: ModelConfig) -> str:
    encoder = config.topology == "encoder-only"
    words = "A bidirectional encoder" if encoder else "A causal decoder"
    head = "hidden states" if config.head == "none" else "logits"
    return block(
        "class Model(nn.Module):",
        f'"""{words}: token ids in, {head} out."""',
        "",
        block(
            "def __init__(self) -> None:",
            "super().__init__()",
            "self.embedding = nn.Embedding(VOCAB_SIZE, D_MODEL)",
            "self.ngrams = NGramEmbedding()" if config.has_ngrams else None,
            "self.segment = nn.Embedding(N_SEGMENT, D_MODEL)" if encoder and config.n_segment else None,
            _stack_members(config, "N_LAYER", [], "N_HEAD", str(not encoder)),
            _head_members(config),
            "initialise(self)",
        ),
        "",
        block(
            "def forward(self, ids: Tensor) -> Tensor:",
            f"x = self.embedding(ids){_scale(config)}{' + self.ngrams(ids)' * config.has_ngrams}  # (B, T, D_MODEL)",
            "x = x + self.segment.weight[0]  # the first kind of text part" if encoder and config.n_segment else None,
            _stack_body(config, "ids.size(1)", causal="False" if encoder else "True", run="x = block(x, mask)"),
            _head_body(config),
        ),
    ) + _initialise(config)


def _scale(config: ModelConfig) -> str:
    return " * D_MODEL**0.5" if config.scaled_embeddings else ""


def _stack_members(config: ModelConfig, n_layer: str, given: list[str], n_head: str, causal: str) -> Code:
    """Generate the lines that create the members of a stack; `given`: the arguments of its blocks."""
    some = rotates_in_some(config)
    make = f"Block({', '.join([*given, *['rotates=(i + 1) % NOPE_INTERVAL != 0'] * some])})"
    return [
        code_of(config).member.format(n_head=n_head, causal=causal) or None,
        f"self.embedding_norm = {norm(config, 'D_MODEL')}" if config.embedding_norm else None,
        f"self.blocks = nn.ModuleList({make} for {'i' if some else '_'} in range({n_layer}))",
        f"self.final_norm = {norm(config, 'D_MODEL')}" if config.norm_place == "pre" else None,
    ]


def _stack_body(config: ModelConfig, length: str, *, causal: str, run: str, n_head: str = "N_HEAD") -> Code:
    """Generate the lines from embeddings `x` to hidden states `x`; `causal`: True, False or an expression."""
    added = code_of(config).added.format(length=length, n_head=n_head)
    return [
        f"x = x + {added}" if scheme_of(config).applied_to == "embeddings" else None,
        "x = self.embedding_norm(x)" if config.embedding_norm else None,
        "x = F.dropout(x, DROPOUT, self.training)" if config.dropout else None,
        _mask(config, length, causal, n_head),
        block("for block in self.blocks:", run),
        "x = self.final_norm(x)" if config.norm_place == "pre" else None,
    ]


def _mask(config: ModelConfig, length: str, causal: str, n_head: str) -> Code:
    """Generate the lines that define `mask`: the keys that each query attends to, or a bias added to the scores."""
    window = "WINDOW" if config.sliding_window else None
    biased = scheme_of(config).applied_to == "scores"
    if causal == "False" and not window and not biased:
        return "mask = None  # every token sees the whole text"
    reach = {
        "True": f"(distance <= 0) & (distance > -{window})" if window else "distance <= 0",
        "False": f"distance.abs() < {window}" if window else "None",
    }
    if causal in reach:
        seen: Code = f"mask = {reach[causal]}" if reach[causal] != "None" else None
    else:
        open_ended = reach["False"] if window else "torch.ones_like(distance, dtype=torch.bool)"
        seen = [block(f"if {causal}:", f"mask = {reach['True']}"), block("else:", f"mask = {open_ended}")]
    bias = code_of(config).added.format(length=length, n_head=n_head)
    combined = f"mask = {bias}" + (".masked_fill(~mask, -torch.inf)" if seen is not None else "")
    return [
        f"position = torch.arange({length})",
        "distance = position[None, :] - position[:, None]  # key - query",
        seen,
        combined if biased else None,
    ]


# The model of two stacks


def _pair(config: ModelConfig) -> str:
    encoder = config.encoder()
    heads = {"encoder": encoder, "decoder": config}
    kind = "next-token logits" if config.head == "language" else "logits of labels"
    return join(
        block(
            "class Stack(nn.Module):",
            '"""Positions, blocks and norm of the encoder or, with has_cross, of the decoder."""',
            "",
            block(
                "def __init__(self, n_layer: int, n_head: int, n_kv_head: int, d_ff: int, has_cross: bool) -> None:",
                "super().__init__()",
                "self.n_head, self.causal = n_head, has_cross",
                _stack_members(config, "n_layer", ["n_head", "n_kv_head", "d_ff", "has_cross"], "n_head", "has_cross"),
            ),
            "",
            block(
                "def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:",
                '"""Embeddings (B, T, D_MODEL) -> hidden states; the decoder attends to `memory` (B, S, D_MODEL)."""',
                _stack_body(
                    config, "x.size(1)", causal="self.causal", run="x = block(x, mask, memory)", n_head="self.n_head"
                ),
                "return x",
            ),
        ),
        "",
        "",
        block(
            "class Model(nn.Module):",
            f'"""An encoder-decoder: source and target token ids in, {kind} out."""',
            "",
            block(
                "def __init__(self) -> None:",
                "super().__init__()",
                "self.embedding = nn.Embedding(VOCAB_SIZE, D_MODEL)  # of both texts",
                *[
                    f"self.{name} = Stack({_sizes(config, stack, name)}, has_cross={name == 'decoder'})"
                    for name, stack in heads.items()
                ],
                _head_members(config),
                "initialise(self)",
            ),
            "",
            block(
                "def forward(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:",
                f"memory = self.encoder(self.embedding(source_ids){_scale(config)})",
                f"x = self.decoder(self.embedding(target_ids){_scale(config)}, memory)",
                _head_body(config),
            ),
        )
        + _initialise(config),
    )


def _sizes(config: ModelConfig, stack: ModelConfig, name: str) -> str:
    is_encoder = name == "encoder"
    n_layer = "N_ENCODER_LAYER" if is_encoder else "N_LAYER"
    n_head = "N_ENCODER_HEAD" if is_encoder and stack.n_head != config.n_head else "N_HEAD"
    d_ff = "D_ENCODER_FF" if is_encoder and stack.ff_width != config.ff_width else "D_FF"
    n_kv_head = n_head
    if stack.kv_heads != stack.n_head:
        n_kv_head = "N_KV_HEAD" if stack.kv_heads == config.kv_heads else str(stack.kv_heads)
    return f"{n_layer}, {n_head}, {n_kv_head}, {d_ff}"


# Heads


def _head_class(config: ModelConfig) -> Code:
    """Generate the class of the head; None if the head is a single matrix or is missing."""
    if config.has_dense_head:
        return _label_head_class(config)
    if config.head != "language" or not (config.has_head_transform or (config.head_bias and config.tied_embeddings)):
        return None
    kind = config.head_activation
    table = "table" if config.tied_embeddings else "self.weight"
    arguments = "x: Tensor, table: Tensor" if config.tied_embeddings else "x: Tensor"
    transform = config.has_head_transform
    return join(
        block(
            "class Transform(nn.Module):",
            '"""One more layer before masked tokens are predicted."""',
            "",
            block(
                "def __init__(self) -> None:",
                "super().__init__()",
                f"self.dense = {linear('D_MODEL', 'D_MODEL', config.bias == 'all')}",
                f"self.norm = {norm(config, 'D_MODEL')}",
            ),
            "",
            block(
                "def forward(self, x: Tensor) -> Tensor:",
                f"return self.norm({activation(kind, 'self.dense(x)', '')})",
            ),
        )
        + "\n\n"
        if transform
        else None,
        block(
            "class Head(nn.Module):",
            '"""From hidden states to logits over the vocabulary."""',
            "",
            block(
                "def __init__(self) -> None:",
                "super().__init__()",
                "self.transform = Transform()" if transform else None,
                None if config.tied_embeddings else "self.weight = nn.Parameter(torch.empty(VOCAB_SIZE, D_MODEL))",
                "self.bias = nn.Parameter(torch.empty(VOCAB_SIZE))" if config.head_bias else None,
            ),
            "",
            block(
                f"def forward(self, {arguments}) -> Tensor:",
                "x = self.transform(x)" if transform else None,
                "x = x * D_MODEL**-0.5" if config.scaled_logits else None,
                f"return F.linear(x, {table}{', self.bias' if config.head_bias else ''})",
            ),
        ),
    )


def _label_head_class(config: ModelConfig) -> str:
    return block(
        "class Head(nn.Linear):",
        '"""Labels of a text, after a matrix and tanh."""',
        "",
        block(
            "def __init__(self) -> None:",
            "super().__init__(D_MODEL, N_LABEL)",
            "self.dense = nn.Linear(D_MODEL, D_MODEL)",
        ),
        "",
        block(
            "def forward(self, x: Tensor) -> Tensor:",
            f"x = torch.tanh(self.dense({_dropped(config, 'x')}))",
            f"return super().forward({_dropped(config, 'x')})",
        ),
    )


def _dropped(config: ModelConfig, x: str) -> str:
    return f"F.dropout({x}, DROPOUT, self.training)" if config.dropout else x


def _head_members(config: ModelConfig) -> Code:
    has_pooler = config.pooler and config.topology == "encoder-only"
    pooler = "self.pooler = nn.Linear(D_MODEL, D_MODEL)" if has_pooler else None
    if _head_class(config) is not None:
        return [pooler, "self.head = Head()"]
    if config.head == "language":
        untied = f"self.head = {linear('D_MODEL', 'VOCAB_SIZE', config.head_bias)}"
        return [pooler, None if config.tied_embeddings else untied]
    if config.head == "none":
        return pooler
    return [pooler, f"self.head = {linear('D_MODEL', 'N_LABEL', config.has_label_bias)}"]


def _head_body(config: ModelConfig) -> Code:
    scale = "x = x * D_MODEL**-0.5" if config.scaled_logits and config.head == "language" else None
    if config.head == "language":
        if _head_class(config) is not None:
            return f"return self.head({'x, self.embedding.weight' if config.tied_embeddings else 'x'})"
        if config.tied_embeddings:
            return [scale, "return F.linear(x, self.embedding.weight)  # (B, T, VOCAB_SIZE)"]
        return [scale, "return self.head(x)  # (B, T, VOCAB_SIZE)"]
    if config.head == "none":
        return "return x"
    if config.head != "sequence":
        return f"return self.head({_dropped(config, 'x')})  # (B, T, N_LABEL)"
    pooled = "x[:, -1]"  # the last token has seen all others
    if config.topology == "encoder-only":
        pooled = "torch.tanh(self.pooler(x[:, 0]))" if config.pooler else "x[:, 0]"
    return f"return self.head({pooled if config.has_dense_head else _dropped(config, pooled)})  # (B, N_LABEL)"


def _initialise(config: ModelConfig) -> str:
    outputs = "nn.init.normal_(parameter, std=INIT_STD / (2 * N_LAYER) ** 0.5)"
    conv = ' and "_conv." not in name' if config.conv_width else ""
    table = "embedding.weight" if config.tied_embeddings or config.head != "language" else "head.weight"
    wide = "    nn.init.normal_(parameter, std=INIT_STD * D_MODEL**0.5)"
    function = block(
        "def initialise(model: nn.Module) -> None:",
        '"""The initial weights; a trained run\'s weights replace them."""',
        block(
            "for name, parameter in model.named_parameters():",
            'if name.endswith(("attention.output.weight", ".down.weight")):  # what is added to the residual stream',
            f"    {'nn.init.zeros_(parameter)' if config.zero_init_output else outputs}",
            'elif name.endswith(".bias"):',
            "    nn.init.zeros_(parameter)",
            None
            if config.scaled_scores
            else join(
                'elif name.endswith(".query.weight"):  # in place of scaled scores',
                f"    nn.init.normal_(parameter, std=INIT_STD / {config.head_dim}**0.5)",
            ),
            join(f'elif name == "{table}":  # in place of the scaled logits', wide) if config.scaled_logits else None,
            join(
                'elif name == "ngrams.projection.weight":',
                "    nn.init.normal_(parameter, std=parameter.size(1) ** -0.5)",
            )
            if config.has_ngrams
            else None,
            f"elif parameter.dim() == 2{conv}:",
            "    nn.init.normal_(parameter, std=INIT_STD)",
        ),
        "look_back(model)" if config.looks_back else None,
    )
    return "\n\n\n".join(["", function, *([look_back(config)] if config.looks_back else [])])


def _trial(config: ModelConfig) -> str:
    length = min(8, config.context_length)
    call = "model(ids, ids)" if config.topology == "encoder-decoder" else "model(ids)"
    return block(
        'if __name__ == "__main__":',
        "model = Model()",
        f"ids = torch.randint(0, VOCAB_SIZE, (2, {length}))",
        'print(f"{sum(p.numel() for p in model.parameters()):,} parameters")',
        f"print({call}.shape)",
    )
