"""What a model's components are called, the same for parameters, operations and memory."""

from __future__ import annotations

from dataclasses import dataclass

from models.settings.model_config import ModelConfig

EMBEDDING, SEGMENTS, POSITIONS = "Token embedding", "Segments", "Positions"
CONVOLUTION, NORMS, POOLER, HEAD = "Short convolution", "Norms", "Pooler", "Head"
CROSS = "Cross-attention"


@dataclass(frozen=True)
class Parts:
    """The names within one stack: an encoder-decoder has two, so theirs begin with “Encoder” or “Decoder”."""

    stack: str = ""

    @property
    def attention(self) -> str:
        return self._name("attention")

    @property
    def feed_forward(self) -> str:
        return self._name("feed-forward")

    @property
    def experts(self) -> str:
        return self._name("experts")

    @property
    def router(self) -> str:
        return self._name("router")

    def _name(self, word: str) -> str:
        return f"{self.stack} {word}" if self.stack else word.capitalize()


def stacks(config: ModelConfig) -> list[tuple[ModelConfig, Parts]]:
    """The stacks of layers that a model has, each as settings and names; an encoder-decoder's encoder comes first."""
    if config.topology == "encoder-decoder":
        return [(config.encoder(), Parts("Encoder")), (config, Parts("Decoder"))]
    return [(config, Parts())]
