"""The position schemes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.code_view.reference.constants import *

Angles = tuple[Tensor, Tensor]  # cos and sin of each position, (1, 1, T, width)


def position_block(causal: bool) -> nn.Module:
    raise NotImplementedError(causal)


class Placed(nn.Module):
    """A custom block in its place."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def sinusoidal(length: int) -> Tensor:
    """Sinusoidal position encodings, (length, D_MODEL): sines and cosines interleaved."""
    frequencies = 10000.0 ** -(torch.arange(0, D_MODEL, 2) / D_MODEL)
    angles = torch.arange(length)[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[:, :D_MODEL]


def make_position(causal: bool) -> nn.Module:
    if POSITION == "learned":
        return nn.Embedding(CONTEXT_LENGTH, D_MODEL)
    return Placed(position_block(causal)) if POSITION == "custom embeddings" else nn.Identity()


def add_position(x: Tensor, position: nn.Module) -> Tensor:
    if POSITION == "learned":
        return x + position.weight[: x.size(1)]  # type: ignore[index]
    if POSITION == "custom embeddings":
        return x + position(torch.arange(x.size(1))[None])
    return x + sinusoidal(x.size(1)) if POSITION == "sinusoidal" else x


def rotates(layer: int) -> bool:
    return POSITION in ("rope", "custom queries") and (not NOPE_INTERVAL or (layer + 1) % NOPE_INTERVAL != 0)


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


def turn(x: Tensor, angles: Angles) -> Tensor:
    """Rotate the pairs (x[i], x[i + half]) of x (B, heads, T, width) by the cos and sin of a custom block."""
    cos, sin = angles
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def make_rotary(causal: bool) -> nn.Module:
    return Placed(position_block(causal)) if POSITION == "custom queries" else nn.Identity()


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
    if POSITION == "custom scores":
        return Placed(position_block(causal))
    if POSITION == "fire":
        return Fire(n_head)
    return RelativeBias(n_head, causal) if POSITION == "t5" else nn.Identity()


def attention_mask(length: int, n_head: int, causal: bool, score_bias: nn.Module) -> Tensor:
    """The keys that each query attends to, (T, T) bool, or a bias of the scores, (n_head, T, T)."""
    position = torch.arange(length)
    distance = position[None, :] - position[:, None]  # key - query
    mask = distance <= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    mask = mask & (distance.abs() < SLIDING_WINDOW) if SLIDING_WINDOW else mask
    if IS_BIASED:
        bias = alibi(distance, n_head) if POSITION == "alibi" else score_bias(distance)
        bias = bias[0] if POSITION == "custom scores" else bias  # the same for all texts
        mask = bias.masked_fill(~mask, -torch.inf)
    return mask


class Positions(nn.Module):
    """The design's positions, for a custom block."""

    def __init__(self, mask: Tensor, angles: Angles, rotates: bool) -> None:
        super().__init__()
        self.mask = mask
        self.angles = angles
        self.rotates = rotates

    def rotate(self, x: Tensor) -> Tensor:
        if not self.rotates:
            return x
        return turn(x, self.angles) if POSITION == "custom queries" else rotate(x)

    def add_bias(self, scores: Tensor) -> Tensor:
        return scores + self.mask.masked_fill(self.mask == -torch.inf, 0.0) if IS_BIASED else scores
