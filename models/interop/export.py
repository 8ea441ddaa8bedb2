"""Exports a model as a Hugging Face folder, with which `transformers` computes the same logits."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.own_template import CHAT_TEMPLATE
from terrarium.models.chat.template_config import ChatTemplateConfig, reply_ends
from terrarium.models.custom_blocks.carried import carry_texts
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.interop.building import evens_first
from terrarium.models.interop.chat_templates import DEFAULT_SAMPLING
from terrarium.models.interop.families import family_for_export
from terrarium.models.interop.family import Weight
from terrarium.models.interop.hub_code import modeling_source
from terrarium.models.interop.options import id2label_of
from terrarium.models.interop.terrarium import CODE
from terrarium.models.interop.writing import new_folder, write_tensors
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tasks.row_reader import marked_tokenizer
from terrarium.models.tokenizers import SPECIAL_TOKENS
from terrarium.models.tokenizers.special_tokens import end_id, mask_id, pad_id, start_id

SHARD_BYTES = 5_000_000_000
"""The maximum size of a weights file, unless a single tensor is larger."""
CARD = "README.md"
"""The model card, which the hub shows on the model's page."""


def export_hf(
    model: AnyModel,
    tokenizer: Tokenizer | None,
    out: Path,
    *,
    labels: Sequence[str] = (),
    chat: ChatTemplateConfig | None = None,
    name: str = "This design",
    card: str = "",
    shard_bytes: int = SHARD_BYTES,
) -> Generator[Event, None, Path]:
    """Write the folder `out` atomically and return it. Yields Phase and Progress (bytes).

    A design that no published class computes comes with its own code, which transformers runs with trust_remote_code,
    and the texts of its custom blocks.

    Args:
        labels: the names of the outputs of a label head, from its run.
        chat: the model's chat settings; without a template, the native one is used if its tokenizer has the tokens.
        name: the model's name in that code.
        card: the text of CARD.

    Raises:
        ValueError: if `out` exists; OSError if it cannot be written.
    """
    config = model.config
    family = family_for_export(config)
    tensors = remote_tensors(model.state_dict(), family.weights(config))
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    ids = _special_ids(config, tokenizer)
    with new_folder(out) as folder:
        yield Phase(name="Writing the weights")
        yield from _write_weights(folder, tensors, shard_bytes)
        about = {**family.write_config(config), **id2label_of(config, labels)}
        known = {name: id for name, id in ids.items() if id is not None or name not in about}
        atomic_write_json(folder / "config.json", {**about, **known, "dtype": dtype, "use_cache": True}, indent=2)
        atomic_write_json(folder / "generation_config.json", ids | _replying(config, tokenizer, chat), indent=2)
        if "auto_map" in about:
            (folder / CODE).write_text(modeling_source(config, name), encoding="utf-8")
            carry_texts([config], folder)
        if card:
            (folder / CARD).write_text(card, encoding="utf-8")
        if tokenizer is not None:
            write_tokenizer(folder, config, tokenizer, chat)
    return out


def write_tokenizer(folder: Path, config: ModelConfig, tokenizer: Tokenizer, chat: ChatTemplateConfig | None) -> None:
    """Write a model's tokenizer and chat template into a folder in the format of transformers' AutoTokenizer.

    chat: as for `export_hf`.
    """
    if config.head not in ("language", "none"):
        tokenizer = marked_tokenizer(config, tokenizer)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    about = _tokenizer_config(config, tokenizer, chat or ChatTemplateConfig())
    atomic_write_json(folder / "tokenizer_config.json", about, indent=2)


def remote_tensors(state: Mapping[str, Tensor], weights: list[Weight]) -> dict[str, Tensor]:
    """Return the remote tensors by name: rows of several local ones joined, transposed or unsqueezed."""
    groups: dict[str, list[Weight]] = {}
    for weight in weights:
        groups.setdefault(weight.remote_name, []).append(weight)
    found = {}
    for remote_name, group in groups.items():
        first = evens_first(state[group[0].local_name], group[0].halves)
        if group[0].rows is None:
            tensor = first
        else:
            length = max(weight.rows[1] for weight in group if weight.rows)
            tensor = first.new_zeros(length, *first.shape[1:])
            for weight in group:
                assert weight.rows is not None
                tensor[slice(*weight.rows)] = evens_first(state[weight.local_name], weight.halves)
        tensor = tensor.T if group[0].transposed else tensor
        found[remote_name] = tensor[None] if group[0].unsqueeze else tensor
    return found


def _write_weights(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> Generator[Event, None, None]:
    """Write model.safetensors, or several files with an index."""
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        if shards[-1] and filled + _size(tensor) > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += _size(tensor)
    total, done = sum(map(_size, tensors.values())), 0
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
        weight_map = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        atomic_write_json(folder / "model.safetensors.index.json", index, indent=2)
    for name, shard in zip(names, shards, strict=True):
        for n in write_tensors(folder / name, shard):
            done += n
            yield Progress(done=done, total=total)


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _special_ids(config: ModelConfig, tokenizer: Tokenizer | None) -> dict[str, int | None]:
    """Return the start, end and padding ids; null if missing, so that the classes' defaults are not used."""
    end = config.end_id if config.end_id >= 0 else None
    start = config.start_id if config.start_id >= 0 else None
    pad = None
    if tokenizer is not None:
        end, pad = end_id(tokenizer, config), pad_id(tokenizer)
        if config.topology == "encoder-decoder":
            start = start_id(config, tokenizer)
    ids = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    if config.topology == "encoder-decoder":
        ids["decoder_start_token_id"] = start
    return ids


def _replying(config: ModelConfig, tokenizer: Tokenizer | None, chat: ChatTemplateConfig | None) -> dict[str, Any]:
    """Return a chat model's recommended sampling settings, and all tokens that end a reply."""
    if chat is None or tokenizer is None or not chat.template:
        return {}
    ends = reply_ends(config, tokenizer, chat).ids
    found: dict[str, Any] = {"eos_token_id": ends[0] if len(ends) == 1 else [*ends]} if ends else {}
    if chat.sampling and chat.sampling != DEFAULT_SAMPLING:
        found |= {"do_sample": True, **chat.sampling}
    return found


def _tokenizer_config(config: ModelConfig, tokenizer: Tokenizer, chat: ChatTemplateConfig) -> dict[str, Any]:
    config_json = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.context_length,
        "clean_up_tokenization_spaces": False,
    }
    ids = _special_ids(config, tokenizer)
    named = {"eos_token": ids["eos_token_id"], "pad_token": ids["pad_token_id"], "mask_token": mask_id(tokenizer)}
    config_json |= {name: tokenizer.id_to_token(id) for name, id in named.items() if id is not None}
    config_json |= {
        name: token for name, token in chat.named_tokens.items() if tokenizer.token_to_id(token) is not None
    }
    if chat.template:
        config_json["chat_template"] = chat.template
    elif all(tokenizer.token_to_id(token) is not None for token in SPECIAL_TOKENS):
        config_json["chat_template"] = CHAT_TEMPLATE
    return config_json
