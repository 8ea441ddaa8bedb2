"""Reads the options of a config.json: typed access, and rejection of unknown ones. No torch import."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from terrarium.models.settings.block_references import blocks_of
from terrarium.models.settings.model_config import ModelConfig

_HARMLESS = re.compile(
    r"_.*|.*_version|.*_token_id|.*_token_index|.*(dropout(_prob|_rate)?|pdrop|_drop|layerdrop)|torch_dtype|dtype|"
    r"architectures|model_type|transformers_weights|use_cache|initializer_.*|init_std|id2label|label2id|num_labels|"
    r"problem_type|finetuning_task|task_specific_params|summary_.*|output_(attentions|hidden_states|scores|past)|return_dict.*|"
    r"gradient_checkpointing|tokenizer_class|prefix|name_or_path|bos_token_id|pad_token_id|eos_token_id|"
    r"forced_.*|suppress_tokens|begin_suppress_tokens|bad_words_ids|do_sample|temperature|top_[kp]|typical_p|"
    r"repetition_penalty|length_penalty|no_repeat_ngram_size|encoder_no_repeat_ngram_size|early_stopping|num_beams|"
    r"num_beam_groups|diversity_penalty|num_return_sequences|max_length|min_length|max_new_tokens|remove_invalid_values|"
    r"exponential_decay_length_penalty|decoder_start_token_id|is_encoder_decoder|chunk_size_feed_forward|"
    r"pruned_heads|torchscript|use_bfloat16|tie_encoder_decoder|cross_attention_hidden_size|add_cross_attention|"
    r"is_decoder|tie_word_embeddings|attn_implementation|sep_token_id|mask_token_id|cls_token_id|vocab_type|"
    r"is_llama_config|transformers\.js_config|force_bos_token_to_be_generated|save_step"
)
"""Options of the base class of all configurations, options that affect only training, generation and labels, and
notes of other programs: nanotron's is_llama_config, transformers.js's own.

Those that would change the computation if set (pruned_heads, tie_encoder_decoder, add_cross_attention, is_decoder)
are checked in `check_known`.
"""

_MUST_BE_OFF = ("pruned_heads", "tie_encoder_decoder", "add_cross_attention", "cross_attention_hidden_size")


ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "relu": "relu",
    "relu2": "relu2",
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
}
"""Hugging Face's names of activations -> Terrarium's; the first of several names is written."""


def integer(raw: dict[str, Any], key: str, default: int | None = None) -> int:
    """Return the integer option `key`; ValueError if it is not an integer, or missing without a default."""
    value = raw.get(key)
    value = default if value is None else value
    if value is None:
        raise ValueError(f"{key} is missing.")
    if type(value) is not int:
        raise ValueError(f"{key} must be a whole number, not {value!r}.")
    return value


def number(raw: dict[str, Any], key: str, default: float | None = None) -> float:
    """Return the number option `key`; ValueError if it is not a number, or missing without a default."""
    value = raw.get(key)
    value = default if value is None else value
    if value is None:
        raise ValueError(f"{key} is missing.")
    if type(value) not in (int, float):
        raise ValueError(f"{key} must be a number, not {value!r}.")
    return float(value)


def flag(raw: dict[str, Any], key: str, default: bool) -> bool:
    """Return the boolean option `key`; ValueError if it is not a boolean."""
    value = raw.get(key)
    value = default if value is None else value
    if type(value) is not bool:
        raise ValueError(f"{key} must be true or false, not {value!r}.")
    return value


def choice(raw: dict[str, Any], key: str, default: str, choices: dict[str, str]) -> str:
    """Return the string option `key`, translated by `choices` (remote -> local); ValueError for any other value."""
    value = raw.get(key)
    value = default if value is None else value
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{key} {value!r} is not supported: it can be {', '.join(choices)}.")
    return choices[value]


def must_be(raw: dict[str, Any], key: str, *allowed: Any) -> None:
    """Raise ValueError unless `key` is missing or has one of the allowed values."""
    value = raw.get(key)
    if value is not None and value not in allowed:
        raise ValueError(f"{key} {value!r} is not supported: it can only be {' or '.join(repr(a) for a in allowed)}.")


def check_known(raw: dict[str, Any], known: Collection[str]) -> None:
    """Raise ValueError for options that are neither in `known` nor harmless, unless they are off (null or false)."""
    for key in _MUST_BE_OFF:
        if key not in known and raw.get(key):
            raise ValueError(f"{key} {raw[key]!r} is not supported.")
    for key, value in raw.items():
        if value is not None and value is not False and key not in known and not _HARMLESS.fullmatch(key):
            raise ValueError(
                f"the option {key!r} is not known, so the model might compute something else: "
                "remove it if it does not matter."
            )


HEAD_CLASSES = {
    "ForSequenceClassification": "sequence",
    "ForTokenClassification": "token",
    "ForQuestionAnswering": "span",
}
"""Suffixes of class names with a label head -> the head."""


def head_of(raw: dict[str, Any]) -> str:
    """Return the head of config.json's class: "sequence", "token", "span", else "language"."""
    name = raw["architectures"][0]
    return next((head for suffix, head in HEAD_CLASSES.items() if name.endswith(suffix)), "language")


def head_slots(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the head of config.json's class, and its number of labels."""
    head = head_of(raw)
    if head not in ("sequence", "token"):
        return {"head": head}
    labels = raw.get("id2label")
    n_label = len(labels) if isinstance(labels, dict) and labels else integer(raw, "num_labels", 2)
    return {"head": head, "n_label": n_label}


# For write_config


def class_of(config: ModelConfig, prefix: str, language: str) -> str:
    """Return the class of a design's head: `prefix` + ForSequenceClassification …, or `prefix` + `language`."""
    suffixes = {head: suffix for suffix, head in HEAD_CLASSES.items()}
    return prefix + suffixes.get(config.head, language)


def id2label_of(config: ModelConfig, labels: Sequence[str] = ()) -> dict[str, Any]:
    """Return the options for the labels of a design's head, if it has any: `labels`, or numbered ones."""
    if config.head not in ("sequence", "token"):
        return {}
    names = list(labels) or [f"LABEL_{i}" for i in range(config.n_label)]
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }


def custom_block_misfit(config: ModelConfig, who: str) -> str:
    """Return a sentence on why `who` (in the singular) cannot compute a design with custom blocks; "" without them."""
    names = [f"“{reference.name}”" for reference in blocks_of(config).values()]
    if not names:
        return ""
    what = (
        f"The custom block {names[0]} is a program"
        if len(names) == 1
        else (f"The custom blocks {' and '.join(names)} are programs")
    )
    return f"{what} that {who} cannot run: export a Hugging Face folder, which brings its code with it."


def require(config: ModelConfig, slots: dict[str, Any]) -> None:
    """Raise ValueError unless each field (or derived value) of the config is what the class supports."""
    for name, value in slots.items():
        if getattr(config, name) != value:
            raise ValueError(f"needs {name} {value!r}, which is {getattr(config, name)!r} here.")


def remote_choice(choices: dict[str, str], config: ModelConfig, name: str) -> str:
    """Return the first remote value for the field `name`, by `choices` (remote -> local), the inverse of `choice`."""
    value = getattr(config, name)
    for remote, local in choices.items():
        if local == value:
            return remote
    raise ValueError(f"has no {name} {value!r}.")
