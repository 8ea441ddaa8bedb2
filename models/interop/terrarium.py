"""Any Terrarium design, as a folder with its own code (modeling_terrarium.py). No torch import.

`transformers` computes it with trust_remote_code; read by Terrarium, its config.json contains the design itself.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from terrarium.models.design.tree import design_tree, state_names
from terrarium.models.interop.family import Weight
from terrarium.models.interop.options import id2label_of
from terrarium.models.settings.model_config import ModelConfig

CODE = "modeling_terrarium.py"

CLASSES = {
    ("decoder-only", "language"): ("TerrariumForCausalLM", "AutoModelForCausalLM"),
    ("encoder-only", "language"): ("TerrariumForMaskedLM", "AutoModelForMaskedLM"),
    ("encoder-only", "none"): ("TerrariumModel", "AutoModel"),
    ("encoder-decoder", "language"): ("TerrariumForConditionalGeneration", "AutoModelForSeq2SeqLM"),
}
_LABELS = {
    "sequence": ("TerrariumForSequenceClassification", "AutoModelForSequenceClassification"),
    "token": ("TerrariumForTokenClassification", "AutoModelForTokenClassification"),
    "span": ("TerrariumForQuestionAnswering", "AutoModelForQuestionAnswering"),
}

ARCHITECTURES: tuple[str, ...] = tuple(name for name, _ in (*CLASSES.values(), *_LABELS.values()))
PREFIX = "model."
IGNORED: tuple[str, ...] = ()


def class_of_design(config: ModelConfig) -> tuple[str, str]:
    """Return the class in the folder's code, and the transformers auto class that finds it."""
    return CLASSES.get((config.topology, config.head)) or _LABELS[config.head]


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design in Terrarium's config.json; ValueError if it is missing or wrong."""
    design = raw.get("design")
    if not isinstance(design, dict):
        raise ValueError("the option 'design', which holds the design, is missing.")
    return ModelConfig.from_dict(design)


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: it is the design itself."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json: the design, and the location of its code."""
    name, found_by = class_of_design(config)
    module = CODE.removesuffix(".py")
    return {
        "architectures": [name],
        "model_type": "terrarium",
        "auto_map": {"AutoConfig": f"{module}.TerrariumConfig", found_by: f"{module}.{name}"},
        "design": config.to_dict(),
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "max_position_embeddings": config.context_length,
        "is_encoder_decoder": config.topology == "encoder-decoder",
        "tie_word_embeddings": False,  # a tied table is one tensor in the code already
        **id2label_of(config),
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Return Terrarium's own names, with the class's prefix."""
    return [Weight(local_name=name, remote_name=f"{PREFIX}{name}") for name in state_names(design_tree(config))]
