"""The names of a model's components, shared by parameters, operations and memory."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.settings.model_config import ModelConfig

EMBEDDING, NGRAMS, SEGMENTS, POSITIONS = "Token embedding", "N-gram embeddings", "Segments", "Positions"
CONVOLUTION, NORMS, POOLER, HEAD = "Short convolution", "Norms", "Pooler", "Head"
CROSS = "Cross-attention"


@dataclass(frozen=True)
class PartNames:
    """The names of the components of one stack, prefixed with “Encoder” or “Decoder” if there are two."""

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


def stacks(config: ModelConfig) -> list[tuple[ModelConfig, PartNames]]:
    """Return a model's stacks of layers, each with its settings and names; an encoder comes before its decoder."""
    if config.topology == "encoder-decoder":
        return [(config.encoder(), PartNames("Encoder")), (config, PartNames("Decoder"))]
    return [(config, PartNames())]
