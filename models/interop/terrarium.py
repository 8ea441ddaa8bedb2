"""Any design of ours, as a folder that brings its own code (modeling_terrarium.py): refused nowhere. No torch.

`transformers` computes it with trust_remote_code; read here, its config.json holds the design itself.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

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
    """The class in the folder's code, and the one of transformers by which it is found."""
    return CLASSES.get((config.topology, config.head)) or _LABELS[config.head]


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """The design in a config.json of ours; ValueError where it is missing or wrong."""
    design = raw.get("design")
    if not isinstance(design, dict):
        raise ValueError("the option 'design', which holds the design, is missing.")
    return ModelConfig.from_dict(design)


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: it is the design itself."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """The config.json: the design, and where its code is."""
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
    """Our own names, within the class."""
    from terrarium.models.interop.building import state_names  # it needs torch, as the other families do not

    return [Weight(local_name=name, remote_name=f"{PREFIX}{name}") for name in state_names(config)]
