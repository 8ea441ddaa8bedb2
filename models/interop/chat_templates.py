"""What a model from elsewhere says about conversations with it: found in its files, kept beside an imported run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.chat.template import MARKS
from models.chat.template_config import ChatTemplateConfig
from models.files.atomic import atomic_write_json, read_json
from models.files.gguf_file import read_description
from models.interop.loading import is_gguf, is_hugging_face
from models.tokenizers.foreign.reading import read_foreign

FILE = "chat_form.json"

_CAREFUL = {"temperature": 0.2, "top_p": 0.9, "frequency_penalty": 0.2}
"""For a chat model whose makers advise nothing: what SmolLM2's say elsewhere, and a little against going in circles. A
repetition penalty would hold back the token that ends a reply, too, since it is in every prompt."""

_ADVISED = ("temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "frequency_penalty")
_GGUF_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
_GGUF_ADVISED = {"temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}


def write_template_config(folder: Path, template_config: ChatTemplateConfig) -> None:
    """Keep it beside a run's other files."""
    about = {
        "template": template_config.template,
        "marks": dict(template_config.marks),
        "end_ids": list(template_config.end_ids),
    }
    atomic_write_json(folder / FILE, {"format": 1, **about, "sampling": dict(template_config.sampling)})


def read_template_config(path: Path) -> ChatTemplateConfig:
    """What the model in `path` (as for `load_model`) says about conversations.

    A run that was imported by an older version is asked for in its source, as far as that is still there.

    Raises:
        ValueError: where chat_form.json is damaged.
    """
    run = path.parent.parent if (path / "state.json").exists() else path
    if (run / FILE).is_file():
        return _from_dict(read_json(run / FILE), run / FILE)
    if (run / "run.json").is_file():
        source = read_json(run / "run.json").get("lineage", {}).get("source")
        made_here = not isinstance(source, dict) or source.get("format") == "terrarium"
        return (
            ChatTemplateConfig()
            if made_here or not Path(source["path"]).exists()
            else read_template_config(Path(source["path"]))
        )
    return external_template_config(path) if is_gguf(path) or is_hugging_face(path) else ChatTemplateConfig()


def external_template_config(path: Path) -> ChatTemplateConfig:
    """What a Hugging Face folder or a .gguf file says; nothing where its tokenizer cannot be read."""
    try:
        found = read_foreign(path)
    except ValueError:  # whoever loads the model says so
        return ChatTemplateConfig()
    end_ids, sampling = _gguf_advice(path) if path.is_file() else _folder_advice(path)
    if found.template and not sampling:
        sampling = dict(_CAREFUL)
    return ChatTemplateConfig(template=found.template, marks=dict(found.marks), end_ids=end_ids, sampling=sampling)


def _folder_advice(folder: Path) -> tuple[tuple[int, ...], dict[str, float]]:
    """The tokens that end a reply, and sampling settings, by generation_config.json."""
    file = folder / "generation_config.json"
    said = read_json(file) if file.is_file() else {}
    ends = said.get("eos_token_id")
    return _ids(ends if isinstance(ends, list) else [ends]), _numbers(said, {name: name for name in _ADVISED})


def _gguf_advice(file: Path) -> tuple[tuple[int, ...], dict[str, float]]:
    about, _ = read_description(file)
    sampling = _numbers(about, {f"general.sampling.{theirs}": ours for theirs, ours in _GGUF_ADVISED.items()})
    return _ids([about.get(f"tokenizer.ggml.{name}") for name in _GGUF_ENDS]), sampling


def _ids(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(value for value in values if type(value) is int and value >= 0))


def _numbers(said: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    found = {ours: said.get(theirs) for theirs, ours in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _from_dict(said: Mapping[str, Any], file: Path) -> ChatTemplateConfig:
    try:
        return ChatTemplateConfig(
            template=str(said["template"]),
            marks={str(name): str(token) for name, token in said["marks"].items() if name in MARKS},
            end_ids=_ids(said["end_ids"]),
            sampling=_numbers(said["sampling"], {name: name for name in _ADVISED}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error!s:.80}): import the model again.") from error
