"""Chat template, end tokens and recommended sampling of an imported model: read from its files, saved with its run."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from terrarium.models.chat.template_config import (
    SAMPLING_KEYS,
    ChatTemplateConfig,
    plain_numbers,
    read_kept_template_config,
    whole_numbers,
)
from terrarium.models.events import Event, result_of
from terrarium.models.files.atomic import read_json
from terrarium.models.interop.loading import is_gguf, is_hugging_face
from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated

DEFAULT_SAMPLING = {"temperature": 0.2, "top_p": 0.9, "frequency_penalty": 0.2}
"""For chat models without recommended settings: those of SmolLM2, with a small frequency penalty against repetition.
A repetition penalty would also suppress the end token, which is in every prompt.
"""

_GGUF_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
_GGUF_SAMPLING_KEYS = {"temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}


def read_template_config(path: Path) -> ChatTemplateConfig:
    """Run `read_template_config_events` to its end and return the result."""
    return result_of(read_template_config_events(path))


def read_template_config_events(path: Path) -> Generator[Event, None, ChatTemplateConfig]:
    """Read the chat template configuration of the model in `path` (as for `load_model`).

    For a run imported by an older version it is read from the source, if that still exists. Yields Progress of
    unknown extent.

    Raises:
        ValueError: if chat_form.json is damaged.
    """
    run = path.parent.parent if (path / "state.json").exists() else path
    kept = read_kept_template_config(run)
    if kept is not None:
        return kept
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
        sampling = dict(DEFAULT_SAMPLING)
    return ChatTemplateConfig(
        template=found.template, named_tokens=dict(found.named_tokens), end_ids=end_ids, sampling=sampling
    )


def _folder_settings(folder: Path) -> tuple[tuple[int, ...], dict[str, float]]:
    """Return end token ids and sampling settings from generation_config.json."""
    file = folder / "generation_config.json"
    settings = read_json(file) if file.is_file() else {}
    ends = settings.get("eos_token_id")
    sampling = plain_numbers(settings, {name: name for name in SAMPLING_KEYS})
    return whole_numbers(ends if isinstance(ends, list) else [ends]), sampling


def _gguf_settings(file: Path) -> tuple[tuple[int, ...], dict[str, float]]:
    from terrarium.models.files.gguf_file import read_gguf_header  # its package takes half a second to import

    about, _ = read_gguf_header(file)
    sampling = plain_numbers(
        about, {f"general.sampling.{remote}": local for remote, local in _GGUF_SAMPLING_KEYS.items()}
    )
    return whole_numbers([about.get(f"tokenizer.ggml.{name}") for name in _GGUF_END_KEYS]), sampling
