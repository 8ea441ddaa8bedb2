"""Chat template, end tokens and recommended sampling of an imported model: read from its files, kept with its run."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.chat.sandbox import NAMED_TOKENS
from models.chat.template_config import ChatTemplateConfig
from models.events import Event, result_of
from models.files.atomic import atomic_write_json, read_json
from models.files.gguf_file import read_gguf_header
from models.interop.loading import is_gguf, is_hugging_face
from models.runs.run_folder import CHAT_FORM
from models.tokenizers.foreign.isolated_reading import read_isolated

_DEFAULT_SAMPLING = {"temperature": 0.2, "top_p": 0.9, "frequency_penalty": 0.2}
"""For chat models that come without recommended settings: those of SmolLM2, with a small frequency penalty against
repetition. A repetition penalty would also suppress the end token, which is in every prompt."""

_SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "frequency_penalty")
_GGUF_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
_GGUF_SAMPLING_KEYS = {"temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}


def write_template_config(folder: Path, template_config: ChatTemplateConfig) -> None:
    """Write it into a run folder."""
    about = {
        "template": template_config.template,
        "marks": dict(template_config.named_tokens),
        "end_ids": list(template_config.end_ids),
    }
    atomic_write_json(folder / CHAT_FORM, {"format": 1, **about, "sampling": dict(template_config.sampling)})


def read_template_config(path: Path) -> ChatTemplateConfig:
    """As `read_template_config_events`, which it waits for."""
    return result_of(read_template_config_events(path))


def read_template_config_events(path: Path) -> Generator[Event, None, ChatTemplateConfig]:
    """The chat template configuration of the model in `path` (as for `load_model`).

    For a run imported by an older version it is read from the source, if that still exists. Yields Progress of unknown
    extent.

    Raises:
        ValueError: where chat_form.json is damaged.
    """
    run = path.parent.parent if (path / "state.json").exists() else path
    if (run / CHAT_FORM).is_file():
        return _from_dict(read_json(run / CHAT_FORM), run / CHAT_FORM)
    if (run / "run.json").is_file():
        source = read_json(run / "run.json").get("lineage", {}).get("source")
        made_here = not isinstance(source, dict) or source.get("format") == "terrarium"
        if made_here or not Path(source["path"]).exists():
            return ChatTemplateConfig()
        return (yield from read_template_config_events(Path(source["path"])))
    if not is_gguf(path) and not is_hugging_face(path):
        return ChatTemplateConfig()
    try:
        found = yield from read_isolated(path)
    except ValueError:  # loading the model reports this
        return ChatTemplateConfig()
    end_ids, sampling = _gguf_settings(path) if path.is_file() else _folder_settings(path)
    if found.template and not sampling:
        sampling = dict(_DEFAULT_SAMPLING)
    return ChatTemplateConfig(
        template=found.template, named_tokens=dict(found.named_tokens), end_ids=end_ids, sampling=sampling
    )


def _folder_settings(folder: Path) -> tuple[tuple[int, ...], dict[str, float]]:
    """End token ids and sampling settings from generation_config.json."""
    file = folder / "generation_config.json"
    settings = read_json(file) if file.is_file() else {}
    ends = settings.get("eos_token_id")
    return _ids(ends if isinstance(ends, list) else [ends]), _numbers(settings, {name: name for name in _SAMPLING_KEYS})


def _gguf_settings(file: Path) -> tuple[tuple[int, ...], dict[str, float]]:
    about, _ = read_gguf_header(file)
    sampling = _numbers(about, {f"general.sampling.{remote}": local for remote, local in _GGUF_SAMPLING_KEYS.items()})
    return _ids([about.get(f"tokenizer.ggml.{name}") for name in _GGUF_END_KEYS]), sampling


def _ids(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(value for value in values if type(value) is int and value >= 0))


def _numbers(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    found = {local: settings.get(remote) for remote, local in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _from_dict(settings: Mapping[str, Any], file: Path) -> ChatTemplateConfig:
    try:
        return ChatTemplateConfig(
            template=str(settings["template"]),
            named_tokens={str(name): str(token) for name, token in settings["marks"].items() if name in NAMED_TOKENS},
            end_ids=_ids(settings["end_ids"]),
            sampling=_numbers(settings["sampling"], {name: name for name in _SAMPLING_KEYS}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error!s:.80}): import the model again.") from error
