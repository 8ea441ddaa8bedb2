"""Small models of every family with non-trivial weights, and texts for them."""

from __future__ import annotations

import dataclasses

import torch

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.inspect.read_text import Text
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

V = 30
SMALL = {"vocab_size": V, "context_length": 24, "d_model": 32, "n_head": 4, "n_layer": 3, "init_std": 0.3}
CONFIGS = {
    **{name: config for name, config in PRESETS.items() if name.endswith("-tiny")},
    "post-norm decoder": ModelConfig(norm_place="post", head_bias=True, embedding_norm=True, bias="all"),
    "pre-norm encoder": ModelConfig(topology="encoder-only", head_bias=True, tied_embeddings=False),
}


def make(name: str, **changes: object) -> AnyModel:
    """The design `name`, small, in float64 and in training mode, with noise in every bias and norm."""
    torch.manual_seed(0)
    settings = {"zero_init_output": False, "dropout": 0.2, **SMALL, **changes}
    config = dataclasses.replace(CONFIGS[name], **settings)  # type: ignore[arg-type]
    model = build_model(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.train()


def text_of(model: AnyModel, seed: int = 1, length: int = 7) -> Text:
    """A random text of `length` tokens, for an encoder-decoder with a source."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, V, (length,), generator=generator).tolist()
    source = torch.randint(0, V, (9,), generator=generator).tolist()
    return Text(ids=tuple(ids), source_ids=tuple(source) if model.config.topology == "encoder-decoder" else ())
