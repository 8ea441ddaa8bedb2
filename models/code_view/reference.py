"""Every design in one PyTorch module whose constants are the slots; models.code_view cuts it down to one design.

It is read as text, and imported only by tests, which compare it with models.architecture. models.code_view.pruning cuts
what constants rule out, so statements that depend on them fit on one line; switches (bools and texts) leave no trace.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IS_PAIR = False
IS_CAUSAL = True
VOCAB_SIZE = 1024
CONTEXT_LENGTH = 256
N_LAYER = 4
N_ENCODER_LAYER = 4
D_MODEL = 128
N_HEAD = 4
N_ENCODER_HEAD = 4
N_KV_HEAD = 4
N_ENCODER_KV = 4
HEAD_DIM = 32
D_ENCODER_HEAD = 32
D_FF = 512
D_ENCODER_FF = 512
N_EXPERT = 0
N_EXPERT_USED = 2
CONV_WIDTH = 0
MAX_NGRAM = 0
NGRAM_ROWS = 8192
D_NGRAM = 16
SLIDING_WINDOW = 0
POSITION = "learned"
ROPE_THETA = 10000.0
ROPE_SCALING = "none"
ROPE_FACTOR = 1.0
ROPE_ORIGINAL_CONTEXT = 256
ROPE_LOW_ROTATIONS = 1.0
ROPE_HIGH_ROTATIONS = 4.0
ROPE_FRACTION = 1.0
YARN_RAMPS = {32: (0, 1)}  # by a head's width: the pair from which rotations are slowed down, and from which fully
YARN_FACTOR = 1.0
NOPE_INTERVAL = 0
N_BUCKET = 32
MAX_DISTANCE = 128
FIRE_WIDTH = 32
FIRE_C = 0.1
FIRE_THRESHOLD = 64.0
N_SEGMENT = 0
HEAD = "language"
N_LABEL = 2
TIED_EMBEDDINGS = True
HAS_HEAD_TRANSFORM = False
HEAD_ACTIVATION = "gelu"
HEAD_BIAS = False
HAS_POOLER = False
HAS_MASK = False
IS_GROUPED = False
QK_NORM = False
SCALED_SCORES = True
ACTIVATION = "gelu"
IS_GATED = False
HAS_FF_NORM = False
NORM = "layernorm"
ATTENTION_BLOCK = ""
FEED_FORWARD_BLOCK = ""
NORM_BLOCK = ""
NORM_EPS = 1e-05
NORM_PLACE = "pre"
EMBEDDING_NORM = False
ATTENTION_BIAS = True
FF_BIAS = True
HAS_LABEL_BIAS = True
SCALED_EMBEDDINGS = False
SCALED_LOGITS = False
DROPOUT = 0.0
INIT_STD = 0.02
ZERO_INIT_OUTPUT = False
OUTPUT_TABLE = "embedding.weight"
LOOKBACK = 0


def custom_attention(layer: int) -> nn.Module:  # these three become the texts of custom blocks
    raise NotImplementedError(layer, rotate if POSITION == "rope" else "")  # which may need both


def custom_feed_forward(layer: int) -> nn.Module:
    raise NotImplementedError(layer)


def custom_norm(width: int) -> nn.Module:
    raise NotImplementedError


def make_norm(width: int) -> nn.Module:
    if NORM_BLOCK:
        return custom_norm(width)
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


def sinusoidal(length: int) -> Tensor:
    """Sinusoidal position encodings, (length, D_MODEL): sines and cosines interleaved."""
    frequencies = 10000.0 ** -(torch.arange(0, D_MODEL, 2) / D_MODEL)
    angles = torch.arange(length)[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[:, :D_MODEL]


def rotates(layer: int) -> bool:
    return POSITION == "rope" and (not NOPE_INTERVAL or (layer + 1) % NOPE_INTERVAL != 0)


def rope_frequencies(length: int, width: int) -> Tensor:
    """The rotation of each pair of numbers from one position to the next, (width / 2), in radians."""
    theta = ROPE_THETA
    if ROPE_SCALING == "dynamic":
        growth = max(1.0, ROPE_FACTOR * length / ROPE_ORIGINAL_CONTEXT - ROPE_FACTOR + 1)
        theta = ROPE_THETA * growth ** (width / (width - 2))  # a larger base as the text grows
    frequencies = theta ** -(torch.arange(0, width, 2) / width)
    frequencies = frequencies / ROPE_FACTOR if ROPE_SCALING == "linear" else frequencies
    if ROPE_SCALING == "llama3":
        turns = ROPE_ORIGINAL_CONTEXT * frequencies / (2 * math.pi)  # within the original context
        kept = ((turns - ROPE_LOW_ROTATIONS) / (ROPE_HIGH_ROTATIONS - ROPE_LOW_ROTATIONS)).clamp(0, 1)
        frequencies = frequencies / ROPE_FACTOR * (1 - kept) + frequencies * kept
    if ROPE_SCALING == "yarn":
        first, last = YARN_RAMPS[width]
        kept = 1 - ((torch.arange(width // 2) - first) / (last - first or 0.001)).clamp(0, 1)
        frequencies = frequencies / ROPE_FACTOR * (1 - kept) + frequencies * kept
    if ROPE_FRACTION != 1.0:
        frequencies[round(ROPE_FRACTION * (width // 2)) :] = 0.0  # p-RoPE: the slow ones stay
    return frequencies


def rotate(x: Tensor) -> Tensor:
    """RoPE: rotate the pairs (x[i], x[i + half]) of x (B, heads, T, width) by their position's angle."""
    length, width = x.shape[-2:]
    frequencies = rope_frequencies(length, width)
    angles = (torch.arange(length)[:, None] * frequencies).to(x)
    cos, sin = angles.cos(), angles.sin()
    if YARN_FACTOR != 1.0:
        cos, sin = cos * YARN_FACTOR, sin * YARN_FACTOR  # sharper scores
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def alibi(distance: Tensor, n_head: int) -> Tensor:
    """ALiBi: scores fall with the distance, each head at its own rate; (T, T) -> (n_head, T, T)."""
    power = 2 ** int(math.log2(n_head))
    slopes = [2.0 ** (-8 * (i + 1) / power) for i in range(power)]
    slopes += [2.0 ** (-4 * (2 * i + 1) / power) for i in range(n_head - power)]
    return -torch.tensor(slopes)[:, None, None] * distance.abs()


class RelativeBias(nn.Module):
    """T5: a learned bias per head and distance bucket; large distances share a bucket."""

    def __init__(self, n_head: int, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.weight = nn.Parameter(torch.empty(N_BUCKET, n_head))

    def forward(self, distance: Tensor) -> Tensor:
        """(T, T) -> (n_head, T, T)."""
        if self.causal:
            bucket, n_bucket, distance = torch.zeros_like(distance), N_BUCKET, (-distance).clamp(min=0)
        else:
            n_bucket = N_BUCKET // 2
            bucket, distance = (distance > 0) * n_bucket, distance.abs()
        exact = n_bucket // 2
        share = (distance.clamp(min=1) / exact).log() / math.log(MAX_DISTANCE / exact)
        far = (exact + (share * (n_bucket - exact)).long()).clamp(max=n_bucket - 1)
        bucket = bucket + torch.where(distance < exact, distance, far)
        return self.weight[bucket].permute(2, 0, 1)


class Fire(nn.Module):
    """FIRE: a small network of the distance, relative to the text so far if that is longer than a threshold."""

    def __init__(self, n_head: int) -> None:
        super().__init__()
        self.log_c = nn.Parameter(torch.tensor([math.log(FIRE_C)]))
        self.log_threshold = nn.Parameter(torch.tensor([math.log(FIRE_THRESHOLD)]))
        self.scale = nn.Parameter(torch.empty(FIRE_WIDTH).uniform_(-1, 1))
        self.shift = nn.Parameter(torch.empty(FIRE_WIDTH).uniform_(-1, 1))
        self.weight = nn.Parameter(torch.empty(FIRE_WIDTH, n_head))

    def forward(self, distance: Tensor) -> Tensor:
        """(T, T) -> (n_head, T, T)."""
        c, threshold = self.log_c.exp(), self.log_threshold.exp()
        later = torch.maximum(-distance[:, :1], distance[:1])  # the position of the later token of each pair
        relative = (c * distance.abs()).log1p() / (c * torch.maximum(later, threshold)).log1p()
        hidden = F.relu(relative[..., None] * self.scale + self.shift)
        return (hidden @ self.weight).permute(2, 0, 1)


def make_score_bias(n_head: int, causal: bool) -> nn.Module:
    if POSITION == "fire":
        return Fire(n_head)
    return RelativeBias(n_head, causal) if POSITION == "t5" else nn.Identity()


def attention_mask(length: int, n_head: int, causal: bool, score_bias: nn.Module) -> Tensor:
    """The keys that each query attends to, (T, T) bool, or a bias of the scores, (n_head, T, T)."""
    position = torch.arange(length)
    distance = position[None, :] - position[:, None]  # key - query
    mask = distance <= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    mask = mask & (distance.abs() < SLIDING_WINDOW) if SLIDING_WINDOW else mask
    if POSITION in ("alibi", "t5", "fire"):
        bias = alibi(distance, n_head) if POSITION == "alibi" else score_bias(distance)
        mask = bias.masked_fill(~mask, -torch.inf)
    return mask


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

    def __init__(self, n_head: int, n_kv_head: int, head_dim: int, causal: bool, rotates: bool) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.causal = causal
        self.rotates = rotates
        self.query = nn.Linear(D_MODEL, n_head * head_dim, bias=ATTENTION_BIAS)
        self.key = nn.Linear(D_MODEL, n_kv_head * head_dim if IS_GROUPED else n_head * head_dim, bias=ATTENTION_BIAS)
        self.value = nn.Linear(D_MODEL, n_kv_head * head_dim if IS_GROUPED else n_head * head_dim, bias=ATTENTION_BIAS)
        self.output = nn.Linear(n_head * head_dim, D_MODEL, bias=ATTENTION_BIAS)
        self.query_norm = make_norm(head_dim) if QK_NORM else nn.Identity()
        self.key_norm = make_norm(head_dim) if QK_NORM else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, memory: Tensor | None = None) -> Tensor:
        source = memory if IS_PAIR and memory is not None else x
        q = self.query(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, heads, T, width)
        k = self.key(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.value(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q, k = self.query_norm(q), self.key_norm(k)
        if self.rotates:
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


class FeedForward(nn.Module):
    """Position-wise: each token on its own, through a wider layer."""

    def __init__(self, d_ff: int) -> None:
        super().__init__()
        if IS_GATED:
            self.gate = nn.Linear(D_MODEL, d_ff, bias=FF_BIAS)
        self.up = nn.Linear(D_MODEL, d_ff, bias=FF_BIAS)
        self.norm = make_norm(d_ff) if HAS_FF_NORM else nn.Identity()
        self.down = nn.Linear(d_ff, D_MODEL, bias=FF_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        if IS_GATED:
            return self.down(activate(self.gate(x), ACTIVATION) * self.up(x))
        return self.down(self.norm(activate(self.up(x), ACTIVATION)))


class MixtureOfExperts(nn.Module):
    """A router sends each token to the experts with the highest scores."""

    def __init__(self, d_ff: int) -> None:
        super().__init__()
        self.router = nn.Linear(D_MODEL, N_EXPERT, bias=False)
        self.experts = nn.ModuleList(FeedForward(d_ff) for _ in range(N_EXPERT))

    def forward(self, x: Tensor) -> Tensor:
        share, chosen = self.router(x).softmax(dim=-1).topk(N_EXPERT_USED, dim=-1)
        share = share / share.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            weight = (share * (chosen == i)).sum(dim=-1)  # (B, T), 0 if it was not chosen
            token = weight > 0
            out[token] += weight[token][:, None] * expert(x[token])
        return out


class Block(nn.Module):
    """Attention and feed-forward, each added to the residual stream."""

    def __init__(self, n_head: int, n_kv_head: int, head_dim: int, d_ff: int, causal: bool, layer: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(D_MODEL)
        self.attention_conv = ShortConv() if CONV_WIDTH else nn.Identity()
        if ATTENTION_BLOCK:
            self.attention = custom_attention(layer)
        else:
            self.attention = Attention(n_head, n_kv_head, head_dim, causal, rotates(layer))
        if IS_PAIR and causal:  # in the decoder
            self.cross_attention_norm = make_norm(D_MODEL)
            self.cross_attention = Attention(n_head, n_kv_head, head_dim, causal=False, rotates=False)
        self.feed_forward_norm = make_norm(D_MODEL)
        self.feed_forward_conv = ShortConv() if CONV_WIDTH else nn.Identity()
        if FEED_FORWARD_BLOCK:
            self.feed_forward = custom_feed_forward(layer)
        else:
            self.feed_forward = MixtureOfExperts(d_ff) if N_EXPERT else FeedForward(d_ff)
        self.dropout = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, memory: Tensor | None = None) -> Tensor:
        if NORM_PLACE == "pre":
            x = x + self.dropout(self.attention(self.attention_conv(self.attention_norm(x)), mask))
            if IS_PAIR and memory is not None:
                x = x + self.dropout(self.cross_attention(self.cross_attention_norm(x), None, memory))
            x = x + self.dropout(self.feed_forward(self.feed_forward_conv(self.feed_forward_norm(x))))
        else:
            x = self.attention_norm(x + self.dropout(self.attention(self.attention_conv(x), mask)))
            if IS_PAIR and memory is not None:
                x = self.cross_attention_norm(x + self.dropout(self.cross_attention(x, None, memory)))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(self.feed_forward_conv(x))))
        return x


class Stack(nn.Module):
    """The encoder or, if causal, the decoder: embeddings (B, T, D_MODEL) -> hidden states."""

    def __init__(self, n_layer: int, n_head: int, n_kv_head: int, head_dim: int, d_ff: int, causal: bool) -> None:
        super().__init__()
        self.n_head = n_head
        self.causal = causal
        if POSITION == "learned":
            self.position = nn.Embedding(CONTEXT_LENGTH, D_MODEL)
        self.score_bias = make_score_bias(n_head, causal)
        self.embedding_norm = make_norm(D_MODEL) if EMBEDDING_NORM else nn.Identity()
        self.dropout = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()
        self.blocks = nn.ModuleList(Block(n_head, n_kv_head, head_dim, d_ff, causal, i) for i in range(n_layer))
        self.final_norm = make_norm(D_MODEL) if NORM_PLACE == "pre" else nn.Identity()

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        x = x * D_MODEL**0.5 if SCALED_EMBEDDINGS else x
        x = x + self.position.weight[: x.size(1)] if POSITION == "learned" else x
        x = x + sinusoidal(x.size(1)) if POSITION == "sinusoidal" else x
        x = self.dropout(self.embedding_norm(x))
        mask = attention_mask(x.size(1), self.n_head, self.causal, self.score_bias) if HAS_MASK else None
        for block in self.blocks:
            x = block(x, mask, memory)
        return self.final_norm(x)


class Transform(nn.Module):
    """One more layer before masked tokens are predicted."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(D_MODEL, D_MODEL, bias=ATTENTION_BIAS and FF_BIAS)
        self.norm = make_norm(D_MODEL)

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
            if POSITION == "learned":
                self.position = nn.Embedding(CONTEXT_LENGTH, D_MODEL)
            self.score_bias = make_score_bias(N_HEAD, IS_CAUSAL)
            self.embedding_norm = make_norm(D_MODEL) if EMBEDDING_NORM else nn.Identity()
            self.blocks = nn.ModuleList(Block(N_HEAD, N_KV_HEAD, HEAD_DIM, D_FF, IS_CAUSAL, i) for i in range(N_LAYER))
            self.final_norm = make_norm(D_MODEL) if NORM_PLACE == "pre" else nn.Identity()
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
            x = x + self.position.weight[: x.size(1)] if POSITION == "learned" else x
            x = x + sinusoidal(x.size(1)) if POSITION == "sinusoidal" else x
            x = self.dropout(self.embedding_norm(x))
            mask = attention_mask(x.size(1), N_HEAD, IS_CAUSAL, self.score_bias) if HAS_MASK else None
            for block in self.blocks:
                x = block(x, mask)
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
