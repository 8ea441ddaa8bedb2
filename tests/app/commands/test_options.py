"""Commands as dataclasses: what a field's type makes of its option, what is read, and what every command has."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from terrarium.app.commands.options import (
    Command,
    Entry,
    Group,
    OptionSet,
    action_name,
    add_command,
    argument,
    option,
    read_options,
    slots,
)
from terrarium.app.commands.parser import COMMANDS, TOOLS
from terrarium.models.settings.tokenizer_options import TokenizerOptions


class Part(OptionSet):
    seed: int | None = option("a seed of 50 %")


class Every(Command):
    """Have an option of every form."""

    what: str = action_name()
    first: str = argument("FIRST", "needed")
    rest: tuple[Path, ...] = argument("REST", "more", default=())
    needed: float = option("must be given")
    name: str = option("a name", default="Anna")
    on: bool = option("a switch")
    off: bool = option("a switch that is on", default=True)
    maybe: bool | None = option("on, off or neither")
    again: tuple[int, ...] = option("may be repeated", "--more")
    many: tuple[str, ...] = option("several at once", many=True)
    size: str | None = option("with or without a value", const="")
    left: str | None = option("one", one_of="side")
    right: str | None = option("or the other", one_of="side")
    part: Part
    made: Mapping[str, Any] = slots(TokenizerOptions, group="making")

    def run(self) -> None:
        raise NotImplementedError


def parse(*words: str) -> Every:
    parser = argparse.ArgumentParser()
    group = Group(actions={"do": Entry(command=Every, help="", description="")}, help="", description="")
    add_command(parser.add_subparsers(), "thing", group)
    return read_options(Every, parser.parse_args(["thing", "do", *words]))


def test_what_is_not_given_has_its_default() -> None:
    found = parse("x", "--needed", "1.5")
    assert (found.what, found.first, found.rest, found.needed, found.name) == ("do", "x", (), 1.5, "Anna")
    assert (found.on, found.off, found.maybe, found.again, found.many, found.size) == (False, True, None, (), (), None)
    assert (found.part, found.made) == (Part(seed=None), {})
    assert (found.as_json, found.device, found.threads, found.trusted_blocks) == (False, "auto", None, ())


def test_what_is_given_has_the_type_of_its_field() -> None:
    found = parse("x", "a", "b", "--needed", "2", "--on", "--no-off", "--no-maybe", "--more", "1", "--more", "2")
    assert found.rest == (Path("a"), Path("b"))
    assert (found.on, found.off, found.maybe, found.again) == (True, False, False, (1, 2))
    found = parse("x", "--needed", "2", "--many", "a", "b", "--many", "c", "--size", "--seed", "3", "--json")
    assert (found.many, found.size, found.part.seed, found.as_json) == (("a", "b", "c"), "", 3, True)
    found = parse("x", "--needed", "2", "--min-frequency", "5", "--no-byte-fallback", "--special-token", "<a>")
    assert found.made == {"min_frequency": 5, "byte_fallback": False, "special_tokens": ("<a>",)}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "required: FIRST, --needed"),
        (("x", "--needed", "much"), "argument --needed: invalid float value: 'much'"),
        (("x", "--needed", "1", "--left", "a", "--right", "b"), "--right: not allowed with argument --left"),
        (("x", "--needed", "1", "--normalizer", "none of them"), "argument --normalizer: invalid choice"),
        (("x", "--needed", "1", "--threads", "0"), "argument --threads: '0' is no number of cores"),
    ],
)
def test_bad_usage_is_argparses_sentence(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_help_says_what_is_the_default_and_of_all_commands_last(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "a name (default: Anna)" in text
    assert "a seed of 50 %" in text
    assert text.index("--seed") < text.index("--json")
    assert Every.help == "have an option of every form"


def classes() -> Iterator[tuple[str, type[Command]]]:
    """Yield the name and the class of every command and action."""
    for name, target in {**{n: f"terrarium.app.commands.{t}" for n, t in COMMANDS.items()}}.items():
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        actions = command.actions if isinstance(command, Group) else {"": command}
        for action, each in actions.items():
            yield f"{name} {action}".strip(), each.command if isinstance(each, Entry) else each


def test_every_command_says_what_it_is_for() -> None:
    found = dict(classes())
    assert len(found) > len(COMMANDS) > len(TOOLS)
    for name, command in found.items():
        assert command.help, name
        assert command.help[0].islower() or command.help.startswith("“"), name
