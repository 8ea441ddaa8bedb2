"""`terrarium settings`: the settings of runs, replies, tokenizers and judges: their defaults, what is allowed, and
what they do.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.app.commands.options import Command, argument, print_json
from terrarium.models.alignment.annotator import Annotator
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.settings.spec_changes import TABLES
from terrarium.models.settings.tokenizer_options import TokenizerOptions


@dataclass(frozen=True, kw_only=True)
class Section:
    """Settings that belong together: their class, a title, and how commands set one, with NAME for its name."""

    cls: type
    title: str
    set_by: str


_BY_SET = "--set {}.NAME=VALUE of train, find, sweep and queue add, and in SPEC.toml"
_TITLES = {
    "model": "The design of a model",
    "tokenizer": "The tokenizer",
    "data": "What a run learns from",
    "train": "How it is trained",
    "tune": "Fine-tuning: what starts from the weights of another model",
    "align": "Alignment: learning from preferences and rewards",
}
SECTIONS: Mapping[str, Section] = {
    **{name: Section(cls=TABLES[name], title=title, set_by=_BY_SET.format(name)) for name, title in _TITLES.items()},
    "sampling": Section(
        cls=SamplingConfig, title="How replies are drawn", set_by="--NAME of generate, chat and inspect"
    ),
    "vocabulary": Section(
        cls=TokenizerOptions, title="How a vocabulary is learned", set_by="--NAME of tokenizer train"
    ),
    "annotator": Section(cls=Annotator, title="What the simulated annotator likes", set_by="--NAME of data simulate"),
}
"""The sections of a run's TOML file, and the settings that are options of other commands."""


class Settings(Command, description=__doc__):
    """List all settings, or say what some of them do."""

    names: tuple[str, ...] = argument(
        "NAME",
        f"a setting, as train.lr, or a section: {', '.join(SECTIONS)} (default: all)",
        default=(),
        complete="name",
    )

    def run(self) -> None:
        """Print the settings; if some are named, with their meaning."""
        found = [each for each in _settings() if not self.names or {each["name"], each["section"]} & {*self.names}]
        for name in self.names:
            if not any(name in (each["name"], each["section"]) for each in found):
                raise ValueError(f"There is no setting or section called {name!r}: terrarium settings lists all.")
        if self.as_json:
            print_json({"settings": found})
            return
        width = max(len(each["name"]) for each in found)
        section = ""
        for each in found:
            if each["section"] != section:
                section = each["section"]
                print(f"\n{SECTIONS[section].title} ({SECTIONS[section].set_by})")
            print(f"  {each['name']:<{width}}  {each['default']}  {each['allowed']}".rstrip())
            if self.names:
                words = textwrap.fill(f"{each['label']}. {each['help']}", 100)
                print(textwrap.indent(words, " " * 6))


def _settings() -> Iterator[dict[str, str]]:
    for name, section in SECTIONS.items():
        for slot in dataclasses.fields(section.cls):
            if "label" in slot.metadata:
                yield {
                    "name": f"{name}.{slot.name}",
                    "section": name,
                    "label": slot.metadata["label"],
                    "default": format_value(slot.default),
                    "allowed": describe_allowed(slot.metadata),
                    "help": slot.metadata["help"],
                }


def format_value(value: Any) -> str:
    """Format a value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)


def describe_allowed(hints: Mapping[str, Any], mark: str = "") -> str:
    """Describe the choices or the range of a slot, by its metadata; "" if it has neither. mark: set around a choice."""
    if "choices" in hints:
        return ", ".join(f"{mark}{choice}{mark}" for choice in hints["choices"])
    if "range" in hints:
        low, high = map(_number, hints["range"])
        return f"{low} to {high}"
    return ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
