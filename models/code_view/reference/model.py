"""The layers, the stacks and the whole model."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.code_view.reference.constants import *
from terrarium.models.code_view.reference.positions import *


def attention_block(layer: int, causal: bool) -> nn.Module:
    raise NotImplementedError(layer, causal)


def feed_forward_block(layer: int, causal: bool) -> nn.Module:
    raise NotImplementedError(layer, causal)


def norm_block(width: int, causal: bool) -> nn.Module:
    raise NotImplementedError(width, causal)


def make_norm(width: int, causal: bool) -> nn.Module:
    if NORM_BLOCK:
        return Placed(norm_block(width, causal))
    if NORM == "layernorm":
        return nn.LayerNorm(width, eps=NORM_EPS, bias=ATTENTION_BIAS and FF_BIAS)
    return nn.RMSNorm(width, eps=NORM_EPS)


def activate(x: Tensor, kind: str) -> Tensor:
    if kind in ("gelu", "geglu"):
        return F.gelu(x)
    if kind in ("gelu_tanh", "geglu_tanh"):
        return F.gelu(x, approximate="tanh")
    if kind == "swiglu":
        return F.silu(x)
    if kind == "solu":
        return x * x.softmax(dim=-1)
    return F.relu(x).square() if kind == "relu2" else F.relu(x)


class NGramEmbedding(nn.Module):
    """A row for the pair, the triple … that each token ends, chosen by a hash, from a table for each length."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding((MAX_NGRAM - 1) * NGRAM_ROWS, D_NGRAM)
        self.projection = nn.Linear((MAX_NGRAM - 1) * D_NGRAM, D_MODEL, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        prime, base, rows = 2**31 - 1, 1103515245, []
        hashes = ids + 1  # 0: nothing, before the text
        for back in range(1, MAX_NGRAM):
            earlier = F.pad(ids + 1, (back, 0))[:, : ids.size(1)]
            hashes = (hashes + earlier * pow(base, back, prime)) % prime
            rows.append(hashes % NGRAM_ROWS + (back - 1) * NGRAM_ROWS)
        return self.projection(self.table(torch.stack(rows, dim=-1)).flatten(2))


class ShortConv(nn.Module):
    """A causal depthwise convolution over the last few tokens, added to its input (a Canon layer)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(CONV_WIDTH, D_MODEL))
        nn.init.uniform_(self.weight, -(CONV_WIDTH**-0.5), CONV_WIDTH**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, CONV_WIDTH - 1, 0))
        return x + sum(padded[:, i : i + x.size(1)] * self.weight[i] for i in range(CONV_WIDTH))


class Attention(nn.Module):
    """Multi-head attention."""

    def __init__(self, n_head: int, n_kv_head: int, head_dim: int, causal: bool, rotates: bool, decoder: bool) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.causal = causal
        self.rotates = rotates
        self.query = nn.Linear(D_MODEL, n_head * head_dim, bias=ATTENTION_BIAS)
        self.key = nn.Linear(D_MODEL, n_kv_head * head_dim if IS_GROUPED else n_head * head_dim, bias=ATTENTION_BIAS)
        self.value = nn.Linear(D_MODEL, n_kv_head * head_dim if IS_GROUPED else n_head * head_dim, bias=ATTENTION_BIAS)
        self.output = nn.Linear(n_head * head_dim, D_MODEL, bias=ATTENTION_BIAS)
        self.query_norm = make_norm(head_dim, decoder) if QK_NORM else nn.Identity()
        self.key_norm = make_norm(head_dim, decoder) if QK_NORM else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, angles: Angles, memory: Tensor | None = None) -> Tensor:
        source = memory if IS_PAIR and memory is not None else x
        q = self.query(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, heads, T, width)
        k = self.key(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.value(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q, k = self.query_norm(q), self.key_norm(k)
        if self.rotates:
            if POSITION == "custom queries":
                q, k = turn(q, angles), turn(k, angles)
            else:
                q, k = rotate(q), rotate(k)
        if IS_GROUPED:
            # Grouped-query attention: several heads share keys and values.
            k, v = (each.repeat_interleave(q.size(1) // each.size(1), dim=1) for each in (k, v))
        dropout = DROPOUT if DROPOUT and self.training else 0.0
        scale = None if SCALED_SCORES else 1.0
        if HAS_MASK:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)
        else:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, dropout_p=dropout, scale=scale)
        return self.output(out.transpose(1, 2).flatten(-2))


class PlacedAttention(nn.Module):
    """A custom block in the place of self-attention: it gets the mask as bool, (1, 1, T, T)."""

    def __init__(self, layer: int, causal: bool, rotates: bool) -> None:
        super().__init__()
        self.rotates = rotates
        self.block = attention_block(layer, causal)

    def forward(self, x: Tensor, mask: Tensor, angles: Angles) -> Tensor:
        allowed = (mask > -torch.inf).any(dim=0)[None, None] if IS_BIASED else mask[None, None]
        if TAKES_POSITIONS:
            out = self.block(x, allowed, Positions(mask, angles, self.rotates))
        else:
            out = self.block(x, allowed)
        return out[0] if isinstance(out, tuple) else out  # without the weights, if it returns them


class FeedForward(nn.Module):
    """Position-wise: each token on its own, through a wider layer."""

    def __init__(self, d_ff: int, causal: bool) -> None:
        super().__init__()
        if IS_GATED:
            self.gate = nn.Linear(D_MODEL, d_ff, bias=FF_BIAS)
        self.up = nn.Linear(D_MODEL, d_ff, bias=FF_BIAS)
        self.norm = make_norm(d_ff, causal) if HAS_FF_NORM else nn.Identity()
        self.down = nn.Linear(d_ff, D_MODEL, bias=FF_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        if IS_GATED:
            return self.down(activate(self.gate(x), ACTIVATION) * self.up(x))
        return self.down(self.norm(activate(self.up(x), ACTIVATION)))


class MixtureOfExperts(nn.Module):
    """A router sends each token to the experts with the highest scores."""

    def __init__(self, d_ff: int, causal: bool) -> None:
        super().__init__()
        self.router = nn.Linear(D_MODEL, N_EXPERT, bias=False)
        self.experts = nn.ModuleList(FeedForward(d_ff, causal) for _ in range(N_EXPERT))

    def forward(self, x: Tensor) -> Tensor:
        share, chosen = self.router(x).softmax(dim=-1).topk(N_EXPERT_USED, dim=-1)
        share = share / share.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            weight = (share * (chosen == i)).sum(dim=-1)  # (B, T), 0 if it was not chosen
            token = weight > 0
            out[token] += weight[token][:, None] * expert(x[token])
        return out


def make_attention(n_head: int, n_kv_head: int, head_dim: int, causal: bool, layer: int) -> nn.Module:
    if ATTENTION_BLOCK:
        return PlacedAttention(layer, causal, rotates(layer))
    return Attention(n_head, n_kv_head, head_dim, causal, rotates(layer), causal)


def make_feed_forward(d_ff: int, causal: bool, layer: int) -> nn.Module:
    if FEED_FORWARD_BLOCK:
        return Placed(feed_forward_block(layer, causal))
    return MixtureOfExperts(d_ff, causal) if N_EXPERT else FeedForward(d_ff, causal)


class Block(nn.Module):
    """Attention and feed-forward, each added to the residual stream."""

    def __init__(self, n_head: int, n_kv_head: int, head_dim: int, d_ff: int, causal: bool, layer: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(D_MODEL, causal)
        self.attention_conv = ShortConv() if CONV_WIDTH else nn.Identity()
        self.attention = make_attention(n_head, n_kv_head, head_dim, causal, layer)
        if IS_PAIR and causal:  # in the decoder
            self.cross_attention_norm = make_norm(D_MODEL, causal)
            self.cross_attention = Attention(n_head, n_kv_head, head_dim, causal=False, rotates=False, decoder=causal)
        self.feed_forward_norm = make_norm(D_MODEL, causal)
        self.feed_forward_conv = ShortConv() if CONV_WIDTH else nn.Identity()
        self.feed_forward = make_feed_forward(d_ff, causal, layer)
        self.dropout = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, angles: Angles, memory: Tensor | None = None) -> Tensor:
        if NORM_PLACE == "pre":
            x = x + self.dropout(self.attention(self.attention_conv(self.attention_norm(x)), mask, angles))
            if IS_PAIR and memory is not None:
                x = x + self.dropout(self.cross_attention(self.cross_attention_norm(x), None, angles, memory))
            x = x + self.dropout(self.feed_forward(self.feed_forward_conv(self.feed_forward_norm(x))))
        else:
            x = self.attention_norm(x + self.dropout(self.attention(self.attention_conv(x), mask, angles)))
            if IS_PAIR and memory is not None:
                x = self.cross_attention_norm(x + self.dropout(self.cross_attention(x, None, angles, memory)))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(self.feed_forward_conv(x))))
        return x


class Stack(nn.Module):
    """The encoder or, if causal, the decoder: embeddings (B, T, D_MODEL) -> hidden states."""

    def __init__(self, n_layer: int, n_head: int, n_kv_head: int, head_dim: int, d_ff: int, causal: bool) -> None:
        super().__init__()
        self.n_head = n_head
        self.causal = causal
        self.position = make_position(causal)
        self.rotary = make_rotary(causal)
        self.score_bias = make_score_bias(n_head, causal)
        self.embedding_norm = make_norm(D_MODEL, causal) if EMBEDDING_NORM else nn.Identity()
        self.dropout = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()
        self.blocks = nn.ModuleList(Block(n_head, n_kv_head, head_dim, d_ff, causal, i) for i in range(n_layer))
        self.final_norm = make_norm(D_MODEL, causal) if NORM_PLACE == "pre" else nn.Identity()

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        x = x * D_MODEL**0.5 if SCALED_EMBEDDINGS else x
        x = add_position(x, self.position)
        x = self.dropout(self.embedding_norm(x))
        angles = self.rotary(torch.arange(x.size(1))[None]) if POSITION == "custom queries" else None
        mask = attention_mask(x.size(1), self.n_head, self.causal, self.score_bias) if HAS_MASK else None
        for block in self.blocks:
            x = block(x, mask, angles, memory)
        return self.final_norm(x)


class Transform(nn.Module):
    """One more layer before masked tokens are predicted."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(D_MODEL, D_MODEL, bias=ATTENTION_BIAS and FF_BIAS)
        self.norm = make_norm(D_MODEL, IS_CAUSAL)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(activate(self.dense(x), HEAD_ACTIVATION))


class Head(nn.Module):
    """From hidden states to logits over the vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.transform = Transform() if HAS_HEAD_TRANSFORM else nn.Identity()
        if not TIED_EMBEDDINGS:
            self.weight = nn.Parameter(torch.empty(VOCAB_SIZE, D_MODEL))
        if HEAD_BIAS:
            self.bias = nn.Parameter(torch.empty(VOCAB_SIZE))

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        x = self.transform(x)
        x = x * D_MODEL**-0.5 if SCALED_LOGITS else x
        return F.linear(x, table if TIED_EMBEDDINGS else self.weight, bias=self.bias if HEAD_BIAS else None)


class LabelHead(nn.Linear):
    """Logits of labels, after a matrix and tanh."""

    def __init__(self) -> None:
        super().__init__(D_MODEL, N_LABEL)
        self.dense = nn.Linear(D_MODEL, D_MODEL)
        self.dropout = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.dropout(torch.tanh(self.dense(x))))


def make_head() -> nn.Module:
    if HEAD == "language" and (HAS_HEAD_TRANSFORM or (HEAD_BIAS and TIED_EMBEDDINGS)):
        return Head()
    if HEAD == "none" or (HEAD == "language" and TIED_EMBEDDINGS):
        return nn.Identity()
    if HEAD == "language":
        return nn.Linear(D_MODEL, VOCAB_SIZE, bias=HEAD_BIAS)
    if HEAD == "sequence" and IS_PAIR:
        return LabelHead()
    return nn.Linear(D_MODEL, N_LABEL, bias=HAS_LABEL_BIAS)


class Model(nn.Module):
    """The whole model, from token ids (B, T) to the output of its head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, D_MODEL)
        if IS_PAIR:
            self.encoder = Stack(N_ENCODER_LAYER, N_ENCODER_HEAD, N_ENCODER_KV, D_ENCODER_HEAD, D_ENCODER_FF, False)
            self.decoder = Stack(N_LAYER, N_HEAD, N_KV_HEAD, HEAD_DIM, D_FF, True)
        else:
            if MAX_NGRAM:
                self.ngrams = NGramEmbedding()
            if N_SEGMENT:
                self.segment = nn.Embedding(N_SEGMENT, D_MODEL)
            self.position = make_position(IS_CAUSAL)
            self.rotary = make_rotary(IS_CAUSAL)
            self.score_bias = make_score_bias(N_HEAD, IS_CAUSAL)
            self.embedding_norm = make_norm(D_MODEL, IS_CAUSAL) if EMBEDDING_NORM else nn.Identity()
            self.blocks = nn.ModuleList(Block(N_HEAD, N_KV_HEAD, HEAD_DIM, D_FF, IS_CAUSAL, i) for i in range(N_LAYER))
            self.final_norm = make_norm(D_MODEL, IS_CAUSAL) if NORM_PLACE == "pre" else nn.Identity()
        if HAS_POOLER:
            self.pooler = nn.Linear(D_MODEL, D_MODEL)
        self.dropout = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()
        self.head = make_head()
        initialise(self)

    def forward(self, ids: Tensor, target_ids: Tensor) -> Tensor:
        x = self.embedding(ids)  # (B, T, D_MODEL)
        if IS_PAIR:
            x = self.decoder(self.embedding(target_ids), self.encoder(x))
        else:
            x = x * D_MODEL**0.5 if SCALED_EMBEDDINGS else x
            x = x + self.ngrams(ids) if MAX_NGRAM else x
            x = x + self.segment.weight[0] if N_SEGMENT else x  # the first kind of text part
            x = add_position(x, self.position)
            x = self.dropout(self.embedding_norm(x))
            angles = self.rotary(torch.arange(x.size(1))[None]) if POSITION == "custom queries" else None
            mask = attention_mask(x.size(1), N_HEAD, IS_CAUSAL, self.score_bias) if HAS_MASK else None
            for block in self.blocks:
                x = block(x, mask, angles)
            x = self.final_norm(x)
        if HEAD == "none":
            return x
        if HEAD == "language" and (HAS_HEAD_TRANSFORM or (HEAD_BIAS and TIED_EMBEDDINGS)):
            return self.head(x, self.embedding.weight)
        x = x * D_MODEL**-0.5 if HEAD == "language" and SCALED_LOGITS else x
        if HEAD == "language":
            return F.linear(x, self.embedding.weight) if TIED_EMBEDDINGS else self.head(x)  # (B, T, VOCAB_SIZE)
        if HEAD == "sequence":
            x = x[:, -1] if IS_CAUSAL else x[:, 0]
            x = torch.tanh(self.pooler(x)) if HAS_POOLER else x
        return self.head(self.dropout(x))  # (B, T, N_LABEL), or of a text (B, N_LABEL)


def initialise(model: nn.Module) -> None:
    """The initial weights; a trained run's weights replace them."""
    for name, parameter in model.named_parameters():
        if name.endswith(("attention.output.weight", ".down.weight")):  # what is added to the residual stream
            nn.init.normal_(parameter, std=0.0 if ZERO_INIT_OUTPUT else INIT_STD / (2 * N_LAYER) ** 0.5)
        elif name.endswith(".bias"):
            nn.init.zeros_(parameter)
        elif not SCALED_SCORES and name.endswith(".query.weight"):  # in place of scaled scores
            nn.init.normal_(parameter, std=INIT_STD / HEAD_DIM**0.5)
        elif SCALED_LOGITS and name == OUTPUT_TABLE:  # in place of the scaled logits
            nn.init.normal_(parameter, std=INIT_STD * D_MODEL**0.5)
        elif MAX_NGRAM and name == "ngrams.projection.weight":
            nn.init.normal_(parameter, std=parameter.size(1) ** -0.5)
        elif parameter.dim() == 2 and (not CONV_WIDTH or "_conv." not in name):
            nn.init.normal_(parameter, std=INIT_STD)
    if LOOKBACK:
        look_back(model)


@torch.no_grad()
def look_back(model: nn.Module) -> None:
    """Make the first layer a short convolution: its heads copy the tokens before, and are not trained."""
    model.get_parameter("embedding.weight")[:, -1] = 1.0  # one channel is the same in all tokens
    for name, parameter in model.named_parameters():
        if name.endswith(("query_norm.weight", "key_norm.weight")):
            parameter.fill_((40.0 / HEAD_DIM**0.5) ** 0.5 if name.startswith("blocks.0.") else 1.0)
        elif name.endswith("_norm.weight"):
            parameter[-1] = 1.0 if name == "blocks.0.attention_norm.weight" else 0.1
        elif name.startswith("blocks.0.attention.") or name == "blocks.0.feed_forward.down.weight":
            parameter.zero_()
    frequencies = rope_frequencies(1, HEAD_DIM)
    fast = (frequencies > 0.05).float()
    weights = torch.empty(LOOKBACK, D_MODEL).uniform_(-0.0675, 0.0675)  # of a convolution
    weights[:, -1] = 0.0
    names = [f"blocks.0.attention.{name}.weight" for name in ("query", "key", "value", "output")]
    query, key, value, output = (model.get_parameter(name) for name in names)
    for head in range(N_HEAD):
        back, part = head % LOOKBACK, head // LOOKBACK
        rows = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        channels = slice(part * HEAD_DIM, (part + 1) * HEAD_DIM)
        angles = -(back + 1) * frequencies
        query[rows, -1] = torch.cat((fast * angles.cos(), fast * angles.sin()))
        key[rows, -1] = torch.cat((fast, torch.zeros_like(fast)))
        n = len(range(D_MODEL)[channels])
        value[rows, channels][:n] = torch.eye(n)
        output[channels, rows][:, :n] = torch.diag(weights[back, channels])
    model.get_submodule("blocks.0").requires_grad_(False)


if __name__ == "__main__":
    model = Model()
    ids = torch.randint(0, VOCAB_SIZE, (2, min(8, CONTEXT_LENGTH)))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    print(model(ids, ids).shape)
