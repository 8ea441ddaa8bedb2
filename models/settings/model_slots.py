"""The slots of a model's architecture. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import POSITIONS
from terrarium.models.settings.slots import join_choices, slot

NGRAM_PRIME, NGRAM_BASE = 2**31 - 1, 1_103_515_245
"""Constants of the hash that chooses an n-gram's row: the sum of (id + 1) · NGRAM_BASE^i mod NGRAM_PRIME, over its last
token (i = 0) and those before it. Products of two numbers below the prime fit into 64 bits."""


@dataclass(frozen=True, kw_only=True)
class ModelSlots:
    """The slots of a model's architecture, unchecked. Properties that follow from them are in `DerivedSlots`."""

    topology: str = slot(
        "decoder-only",
        "Topology",
        "How information flows. A decoder reads from left to right and predicts the next token; an encoder sees the "
        "whole text at once; an encoder-decoder encodes one text and generates another.",
        group="Shape",
        choices=("decoder-only", "encoder-only", "encoder-decoder"),
    )
    vocab_size: int = slot(
        1024,
        "Vocabulary",
        "How many different tokens the model knows. Training takes it from the tokenizer.",
        group="Shape",
        range=(2, 10_000_000),
    )
    context_length: int = slot(
        256, "Context length", "How many tokens the model can process together.", group="Shape", range=(2, 16_777_216)
    )
    n_layer: int = slot(
        4,
        "Layers",
        "How many blocks are stacked: each refines the output of the one below. In an encoder-decoder, those of the "
        "decoder.",
        group="Shape",
        range=(1, 1024),
    )
    d_model: int = slot(
        128,
        "Width",
        "How many numbers represent one token inside the model (d_model).",
        group="Shape",
        range=(2, 1_048_576),
    )
    n_encoder_layer: int = slot(
        0,
        "Encoder layers",
        "Blocks of the encoder. 0 = as in the decoder.",
        group="Shape",
        range=(0, 1024),
        only_if=("topology", "encoder-decoder"),
    )
    position: str = slot(
        "learned",
        "Positions",
        f"How the model knows the order of tokens: {join_choices(scheme.help for scheme in POSITIONS.values())}.",
        group="Positions",
        choices=tuple(POSITIONS),
    )
    rope_theta: float = slot(
        10_000.0,
        "RoPE base",
        "How slow the slowest rotation is. Longer contexts need larger values.",
        group="Positions",
        range=(1.0, 1e12),
        only_if=("position", "rope"),
    )
    rope_scaling: str = slot(
        "none",
        "RoPE scaling",
        "How a model trained on a short context is extended to a longer one: all rotations slower (linear), a larger "
        "base as the text grows (dynamic), or only the slow rotations slower (llama3, yarn).",
        group="Positions",
        choices=("none", "linear", "dynamic", "llama3", "yarn"),
        only_if=("position", "rope"),
        advanced=True,
    )
    rope_factor: float = slot(
        1.0,
        "Context factor",
        "How many times longer the extended context is.",
        group="Positions",
        range=(1.0, 1e6),
        only_if=("rope_scaling", ("linear", "dynamic", "llama3", "yarn")),
        advanced=True,
    )
    rope_original_context: int = slot(
        256,
        "Original context",
        "The context length before extension, in tokens.",
        group="Positions",
        range=(1, 16_777_216),
        only_if=("rope_scaling", ("dynamic", "llama3", "yarn")),
        advanced=True,
    )
    rope_low_rotations: float = slot(
        1.0,
        "Slow below",
        "Pairs that rotate fewer times than this within the original context are slowed down fully.",
        group="Positions",
        range=(0.0, 1e6),
        only_if=("rope_scaling", ("llama3", "yarn")),
        advanced=True,
    )
    rope_high_rotations: float = slot(
        4.0,
        "Fast above",
        "Pairs that rotate more often than this within the original context are unchanged (llama3: 4, yarn: 32).",
        group="Positions",
        range=(0.0, 1e6),
        only_if=("rope_scaling", ("llama3", "yarn")),
        advanced=True,
    )
    rope_attention_factor: float = slot(
        0.0,
        "Attention factor",
        "YaRN multiplies queries and keys by this. 0 = 0.1 ln(context factor) + 1.",
        group="Positions",
        range=(0.0, 100.0),
        only_if=("rope_scaling", "yarn"),
        advanced=True,
    )
    rope_fraction: float = slot(
        1.0,
        "Rotated fraction",
        "The fraction of a head's pairs that rotate, the fastest first (p-RoPE); the slow ones, which carry meaning "
        "rather than order, are not rotated. 1 = all.",
        group="Positions",
        range=(0.0, 1.0),
        only_if=("position", "rope"),
        advanced=True,
        omit_default=True,
    )
    nope_interval: int = slot(
        0,
        "NoPE every",
        "Every n-th layer does not rotate queries and keys: it attends to content, independent of position "
        "(SmolLM3: 4). 0 = none.",
        group="Positions",
        range=(0, 1024),
        only_if=("position", "rope"),
        advanced=True,
        omit_default=True,
    )
    n_bucket: int = slot(
        32,
        "Distance buckets",
        "How many classes of distance have a learned bias; large distances share one.",
        group="Positions",
        range=(4, 4096),
        only_if=("position", "t5"),
        advanced=True,
    )
    max_distance: int = slot(
        128,
        "Maximum distance",
        "All distances from here on share the last bucket.",
        group="Positions",
        range=(8, 1_048_576),
        only_if=("position", "t5"),
        advanced=True,
    )
    norm: str = slot(
        "layernorm",
        "Normalisation",
        "Keeps activations in range. RMSNorm is LayerNorm without the mean and the bias.",
        group="Normalisation",
        choices=tuple(NORMS),
    )
    norm_place: str = slot(
        "pre",
        "Norm position",
        "Before attention and feed-forward (pre: stable to train), or after the residual sum (post: as in 2017).",
        group="Normalisation",
        choices=("pre", "post"),
    )
    norm_eps: float = slot(
        1e-5,
        "Norm epsilon",
        "A small number that prevents division by zero.",
        group="Normalisation",
        range=(0.0, 1.0),
        advanced=True,
    )
    embedding_norm: bool = slot(
        False,
        "Embedding norm",
        "Normalises the sum of the embeddings before the first block, as BERT and BART do.",
        group="Normalisation",
    )
    n_head: int = slot(
        4, "Heads", "How many attention patterns each layer has in parallel.", group="Attention", range=(1, 4096)
    )
    n_kv_head: int = slot(
        0,
        "Key/value heads",
        "0 = as many as heads. Fewer (grouped-query attention; 1 = multi-query) save memory in generation.",
        group="Attention",
        range=(0, 4096),
    )
    n_encoder_head: int = slot(
        0,
        "Encoder heads",
        "Heads of the encoder's layers. 0 = as in the decoder.",
        group="Attention",
        range=(0, 4096),
        only_if=("topology", "encoder-decoder"),
        advanced=True,
    )
    d_head: int = slot(
        0,
        "Head width",
        "Numbers per head. 0 = width / heads, as in most models.",
        group="Attention",
        range=(0, 65_536),
        advanced=True,
    )
    sliding_window: int = slot(
        0,
        "Sliding window",
        "How many tokens back (itself included) a token can attend; both ways in an encoder. 0 = all.",
        group="Attention",
        range=(0, 16_777_216),
    )
    qk_norm: bool = slot(
        False,
        "QK-norm",
        "Normalises queries and keys, which keeps attention stable at high learning rates.",
        group="Attention",
    )
    scaled_scores: bool = slot(
        True,
        "Scaled scores",
        "Divides attention scores by the square root of the head width. T5 omits this, with smaller initial weights.",
        group="Attention",
        advanced=True,
    )
    activation: str = slot(
        "gelu",
        "Feed-forward",
        "The non-linearity between the feed-forward matrices: two, or three where it is gated (SwiGLU, GeGLU). "
        "GELU (tanh) is GPT-2's approximation of GELU, ReLU² the square of ReLU; SoLU multiplies by a softmax over the "
        "features, and normalises them, so that fewer features mean more each.",
        group="Feed-forward",
        choices=tuple(ACTIVATIONS),
    )
    d_ff: int = slot(
        0,
        "Feed-forward width",
        "0 = 4 × width (gated: 8/3 × width, rounded up to 8).",
        group="Feed-forward",
        range=(0, 16_777_216),
    )
    d_encoder_ff: int = slot(
        0,
        "Encoder FF width",
        "Feed-forward width of the encoder's layers. 0 = as in the decoder.",
        group="Feed-forward",
        range=(0, 16_777_216),
        only_if=("topology", "encoder-decoder"),
        advanced=True,
    )
    n_expert: int = slot(
        0,
        "Experts",
        "A mixture of experts: this many feed-forwards in parallel, of which each token uses a few. 0 = a single one.",
        group="Feed-forward",
        range=(0, 4096),
    )
    n_expert_used: int = slot(
        2,
        "Experts used",
        "How many experts process each token; a router chooses them.",
        group="Feed-forward",
        range=(0, 4096),
        only_if=("n_expert", range(1, 4097)),
    )
    router_balance: float = slot(
        0.01,
        "Load balancing",
        "How much training penalises a router that sends most tokens to the same experts.",
        group="Feed-forward",
        range=(0.0, 10.0),
        only_if=("n_expert", range(1, 4097)),
        advanced=True,
    )
    conv_width: int = slot(
        0,
        "Short convolution",
        "Mixes each token with the few before it, ahead of attention and feed-forward "
        "(Canon layers). 0 = none; 4 helps small models a lot.",
        group="Feed-forward",
        range=(0, 16),
    )
    max_ngram: int = slot(
        0,
        "N-gram embeddings",
        "Adds to each token's embedding a row for each n-gram that it ends: the pair, the triple … up to this many "
        "tokens. 0 = none; 4 helps small models of characters or bytes a lot, and those of words hardly.",
        group="Embeddings",
        range=(0, 8),
        only_if=("topology", "decoder-only"),
        omit_default=True,
    )
    ngram_rows: int = slot(
        8192,
        "N-gram rows",
        "Rows of the table of each length. A hash chooses among them, so that n-grams may share one.",
        group="Embeddings",
        range=(1, 1_000_000_000),
        only_if=("max_ngram", range(2, 9)),
        omit_default=True,
    )
    d_ngram: int = slot(
        16,
        "N-gram width",
        "Numbers in a row of these tables. A matrix makes the model's width of them.",
        group="Embeddings",
        range=(1, 65_536),
        only_if=("max_ngram", range(2, 9)),
        omit_default=True,
    )
    head: str = slot(
        "language",
        "Head",
        "What the model predicts: tokens (language), labels for the text (sequence), labels for each token (token), "
        "where an answer starts and ends (span), or nothing (none: the hidden states themselves).",
        group="Head",
        choices=("language", "sequence", "token", "span", "none"),
    )
    n_label: int = slot(
        2,
        "Labels",
        "How many classes there are.",
        group="Head",
        range=(1, 1_000_000),
        only_if=("head", ("sequence", "token")),
    )
    tied_embeddings: bool = slot(
        True,
        "Tied embeddings",
        "Uses one table for input and output tokens.",
        group="Head",
    )
    head_transform: bool = slot(
        False,
        "Head transform",
        "One more matrix, activation and norm before masked tokens are predicted, as in BERT.",
        group="Head",
        only_if=("topology", "encoder-only"),
    )
    head_bias: bool = slot(
        False,
        "Head bias",
        "Adds a learned bias to each token's logit.",
        group="Head",
        advanced=True,
    )
    pooler: bool = slot(
        False,
        "Pooler",
        "A matrix and tanh over the first token, from which the text is classified, as in BERT.",
        group="Head",
        only_if=("topology", "encoder-only"),
        advanced=True,
    )
    n_segment: int = slot(
        0,
        "Segments",
        "How many kinds of text segments have an embedding (BERT: 2, a question and a passage). 0 = none.",
        group="Details",
        range=(0, 1024),
        only_if=("topology", "encoder-only"),
    )
    bias: str = slot(
        "all",
        "Biases",
        "Where a learned bias is added: in every matrix and LayerNorm (all), in attention's or the feed-forward's "
        "matrices only, or nowhere.",
        group="Details",
        choices=("all", "attention", "feed-forward", "none"),
    )
    scaled_embeddings: bool = slot(
        False,
        "Scaled embeddings",
        "Multiplies token embeddings by the square root of the width, as the 2017 Transformer does.",
        group="Details",
        advanced=True,
    )
    scaled_logits: bool = slot(
        False,
        "Scaled logits",
        "Divides the logits by the square root of the width, as T5 does with tied embeddings.",
        group="Details",
        advanced=True,
    )
    dropout: float = slot(
        0.0,
        "Dropout",
        "The fraction of activations zeroed at random in training, to reduce overfitting.",
        group="Details",
        range=(0.0, 0.9),
    )
    zero_init_output: bool = slot(
        False,
        "Zero-init outputs",
        "Each block initially does nothing, which makes early training faster.",
        group="Details",
    )
    lookback: int = slot(
        0,
        "Look-back layer",
        "The first layer is fixed: its heads copy the tokens before, up to this many back, like a short convolution. "
        "0 = no; 4 helps small models without convolutions a lot.",
        group="Details",
        range=(0, 16),
        only_if=("qk_norm", True),
        advanced=True,
        omit_default=True,
    )
    init_std: float = slot(
        0.02,
        "Init std",
        "The standard deviation of the initial weights.",
        group="Details",
        range=(0.0, 1.0),
        advanced=True,
    )
    attention_block: str = slot(
        "",
        "Attention block",
        "A custom block in place of self-attention, NAME@SHA256 of its text; empty = built in.",
        group="Custom blocks",
        advanced=True,
        omit_default=True,
    )
    feed_forward_block: str = slot(
        "",
        "Feed-forward block",
        "A custom block in place of the feed-forward, NAME@SHA256 of its text; empty = built in.",
        group="Custom blocks",
        advanced=True,
        omit_default=True,
    )
    position_block: str = slot(
        "",
        "Position block",
        "A custom block in place of the position scheme, WHERE:NAME@SHA256 of its text; empty = built in.",
        group="Custom blocks",
        advanced=True,
        omit_default=True,
    )
    norm_block: str = slot(
        "",
        "Norm block",
        "A custom block in place of the norms, NAME@SHA256 of its text; empty = built in.",
        group="Custom blocks",
        advanced=True,
        omit_default=True,
    )
    block_options: tuple[str, ...] = slot(
        (),
        "Block options",
        "The options of custom blocks that differ from their defaults, such as attention.decay=0.97.",
        group="Custom blocks",
        advanced=True,
        omit_default=True,
    )
    start_id: int = slot(
        -1,
        "Start token",
        "The id that the decoder's text begins with. −1 = the tokenizer's padding token, as in T5.",
        group="Details",
        range=(-1, 10_000_000),
        only_if=("topology", "encoder-decoder"),
        advanced=True,
    )
    end_id: int = slot(
        -1,
        "End token",
        "The id that ends a text. −1 = the tokenizer's end token.",
        group="Details",
        range=(-1, 10_000_000),
        advanced=True,
    )
