"""Plans a GGUF file of a model: its metadata, its tensors and their formats, and its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.inference.weight_kinds import GGUF_FORMATS
from terrarium.models.interop.building import model_without_data
from terrarium.models.interop.export import remote_tensors
from terrarium.models.interop.gguf import rope_divisors
from terrarium.models.interop.graphs.graph import Graph
from terrarium.models.interop.graphs.graphs import graph_of
from terrarium.models.interop.options import id2label_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tasks.row_reader import marked_tokenizer
from terrarium.models.tokenizers.foreign.gguf_fields import tokenizer_fields
from terrarium.models.tokenizers.special_tokens import end_id, start_id

_FILE_TYPES = {
    "F32": LlamaFileType.ALL_F32,
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q4_0": LlamaFileType.MOSTLY_Q4_0,
}
_ALIGNMENT = 32
_F32, _F16 = GGMLQuantizationType.F32, GGMLQuantizationType.F16
_EXACT = ("position_embd", "token_types", "attn_rel_b", "ffn_gate_inp", "rope_freqs")
"""Small tables that llama.cpp's own converter leaves in float32, too."""

_ONE_SEGMENT = "llama.cpp reads all of a text as its first segment, so its answers on pairs of texts may differ."
_SPACE = "llama.cpp puts no space before a text, as the model has learned to read it: begin each text with one."

Value = int | float | bool | str | list[str] | list[int] | list[float]


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor of the file: its shape, format and size in bytes."""

    shape: tuple[int, ...]
    kind: GGMLQuantizationType

    @property
    def n_bytes(self) -> int:
        """Its size in bytes."""
        per_block, block_bytes = GGML_QUANT_SIZES[self.kind]
        return prod(self.shape) // per_block * block_bytes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A file that can be written.

    Attributes:
        fields: the metadata, without general.architecture.
        tensors: the file's tensors, by name, in order.
        notes: notes for its user, one sentence each.
    """

    graph: Graph
    config: ModelConfig
    quantisation: str
    fields: Mapping[str, Value]
    tensors: Mapping[str, PlannedTensor]
    notes: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        """The size of the file in bytes."""
        header = 24 + sum(_field_bytes(key, value) for key, value in self.fields.items())
        header += _field_bytes("general.architecture", self.graph.name)
        header += sum(8 + len(name) + 4 + 8 * len(each.shape) + 4 + 8 for name, each in self.tensors.items())
        return _padded(header) + sum(_padded(each.n_bytes) for each in self.tensors.values())


def plan_gguf(
    config: ModelConfig,
    tokenizer: Tokenizer | None,
    quantisation: str,
    general: Mapping[str, str | list[str]] | None = None,
    template: str = "",
    labels: Sequence[str] = (),
    chat: ChatTemplateConfig | None = None,
) -> Plan:
    """Plan the GGUF file of a model of this design.

    Args:
        quantisation: one of GGUF_FORMATS.
        general: metadata about the model: name, description, license, tags ….
        template: the chat template, as Jinja.
        labels: the names of the outputs of a head that labels texts; by default numbered ones.
        chat: the model's chat settings: the tokens that its template names, and that end a reply.

    Raises:
        ValueError: if llama.cpp has no graph for the design, GGUF does not support the tokenizer, or no matrix is
            wide enough for the quantisation.
    """
    if quantisation not in GGUF_FORMATS:
        raise ValueError(f"{quantisation!r} is no format of GGUF here: choose one of {', '.join(GGUF_FORMATS)}.")
    graph = graph_of(config)
    folded, tensors = file_tensors(graph, config, model_without_data(config).state_dict())
    planned = {name: _planned(name, tuple(tensor.shape), quantisation) for name, tensor in tensors.items()}
    notes = _width_notes(planned, quantisation)
    fields: dict[str, Value] = {f"general.{key}": value for key, value in (general or {}).items() if value}
    fields |= {"general.file_type": int(_FILE_TYPES[quantisation]), "general.quantization_version": 2}
    fields |= {f"{graph.name}.{key}": value for key, value in graph.write(folded).items()}
    if config.head == "sequence":
        fields[f"{graph.name}.classifier.output_labels"] = list(id2label_of(config, labels)["label2id"])
        notes += [_ONE_SEGMENT] if config.n_segment > 1 else []
        if tokenizer is not None:
            tokenizer, said = _marked(config, tokenizer)
            notes += said
    if tokenizer is None:
        fields["tokenizer.ggml.model"] = "no_vocab"
    else:
        described, differing = tokenizer_fields(tokenizer, config.vocab_size, end_id(tokenizer, config))
        fields |= described
        notes += differing
        if config.topology == "encoder-decoder":
            fields[f"{graph.name}.decoder_start_token_id"] = start_id(config, tokenizer)
        if config.topology == "encoder-only":
            fields["tokenizer.ggml.token_type_count"] = config.n_segment or 1
    if template:
        fields["tokenizer.chat_template"] = template
    if template and tokenizer is not None and chat is not None:
        fields |= _chat_ids(tokenizer, chat, fields)
    return Plan(
        graph=graph,
        config=folded,
        quantisation=quantisation,
        fields=fields,
        tensors=planned,
        notes=tuple(notes),
    )


def _chat_ids(tokenizer: Tokenizer, chat: ChatTemplateConfig, fields: Mapping[str, Value]) -> dict[str, Value]:
    """Return the ids of a template's start and end tokens, and of up to two more tokens that end a reply.

    A start token that is added to every text is not replaced.
    """
    ids = {name: tokenizer.token_to_id(token) for name, token in chat.named_tokens.items()}
    if fields.get("tokenizer.ggml.add_bos_token"):
        ids.pop("bos_token", None)
    found: dict[str, Value] = {f"tokenizer.ggml.{name}_id": id for name, id in ids.items() if id is not None}
    end = {**fields, **found}.get("tokenizer.ggml.eos_token_id")
    others = [id for id in dict.fromkeys((*chat.end_ids, fields.get("tokenizer.ggml.eot_token_id"))) if id != end]
    more = {f"tokenizer.ggml.{name}_token_id": id for name, id in zip(("eot", "eom"), others, strict=False)}
    return found | {name: id for name, id in more.items() if id is not None}


def _marked(config: ModelConfig, tokenizer: Tokenizer) -> tuple[Tokenizer, list[str]]:
    """Return the tokenizer with the special tokens of texts to label, and notes on what the user must do by hand."""
    marked = marked_tokenizer(config, tokenizer)
    if marked is tokenizer:
        return tokenizer, []
    marked.normalizer = tokenizer.normalizer  # without the space before a text, for which GGUF has no place
    return marked, [_SPACE]


def file_tensors(
    graph: Graph, config: ModelConfig, state: Mapping[str, Tensor]
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the design that a file of `graph` describes, and its tensors, with the file's names and shapes."""
    folded, state = graph.fold(config, state)
    tensors = remote_tensors(state, graph.weights(folded))
    for name, tensor in tensors.items():
        if "_exps." in name:  # concatenated along the rows in Terrarium's weights
            tensors[name] = tensor.unflatten(0, (folded.n_expert, -1))
    if folded.rope_scaling == "llama3":
        tensors["rope_freqs.weight"] = rope_divisors(folded)
    return folded, tensors


def _planned(name: str, shape: tuple[int, ...], quantisation: str) -> PlannedTensor:
    kind = GGMLQuantizationType[quantisation]
    if len(shape) == 1 or any(part in name for part in _EXACT):
        kind = _F32
    elif shape[-1] % GGML_QUANT_SIZES[kind][0]:
        kind = _F16
    return PlannedTensor(shape, kind)


def _width_notes(planned: Mapping[str, PlannedTensor], quantisation: str) -> list[str]:
    """Return a note on the matrices that stay in F16; ValueError if all do."""
    kind = GGMLQuantizationType[quantisation]
    together = GGML_QUANT_SIZES[kind][0]
    left = {name: each for name, each in planned.items() if together > 1 and each.kind == _F16}
    if not left:
        return []
    width = next(iter(left.values())).shape[-1]
    if not any(each.kind == kind for each in planned.values()):
        raise ValueError(
            f"{quantisation} packs {together} numbers of a row together, and no matrix of this design has rows of a "
            f"multiple of that ({width} numbers): choose F16."
        )
    n_matrices = sum(each.kind != _F32 for each in planned.values())
    return [
        f"{len(left)} of {n_matrices} matrices stay F16: {quantisation} packs {together} numbers of a row together, "
        f"and theirs have {width}."
    ]


def _field_bytes(key: str, value: Value) -> int:
    """Return the size of a key, the type of its value, and the value, in bytes."""
    n = 8 + len(key.encode()) + 4
    if isinstance(value, bool):
        return n + 1
    if isinstance(value, str):
        return n + 8 + len(value.encode())
    if isinstance(value, list):
        items = (8 + len(item.encode()) if isinstance(item, str) else 4 for item in value)
        return n + 4 + 8 + sum(items)
    return n + 4


def _padded(n: int) -> int:
    return -(-n // _ALIGNMENT) * _ALIGNMENT
