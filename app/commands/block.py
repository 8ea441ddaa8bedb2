"""`terrarium block`: list, read, check and add custom blocks, and withdraw the consent to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from terrarium.app.commands.options import Command, Group, argument, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.app.commands.spec_options import find_design
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.store import (
    Consent,
    check_allowed,
    inspect_file,
    is_allowed,
    list_blocks,
    list_consents,
    save_block,
    withdraw,
)
from terrarium.models.number_words import format_date, format_milliseconds

DONE, FAILED = 0, 1

_MIN_HASH = 8
"""The least number of characters of a SHA-256 that stands for a text."""


def _file_argument() -> Any:
    return argument("FILE", "a Python file")


class ListBlocks(Command):
    """List the library's blocks, and the texts that may run on this computer."""

    def run(self) -> None:
        """Print them."""
        files, consents = list_blocks(), list_consents()
        if self.as_json:
            rows = [
                _facts(each.block) if each.block else {"name": each.name, "problem": each.problem} for each in files
            ]
            print_json({"blocks": rows, "consents": list(map(_consent_facts, consents))})
            return
        if not files and not consents:
            print("There are no custom blocks: write one in the builder, or add a file with terrarium block add FILE.")
        for each in files:
            words = each.problem
            if each.block is not None:
                words = f"{each.block.slot}, {'allowed' if is_allowed(each.block) else 'not allowed here'}"
            print(f"{each.name}  {words}")
        if consents:
            print("Allowed on this computer:")
        for consent in consents:
            there = "" if consent.block is not None else "  not in the library"
            print(f"{consent.sha256[:8]}  {consent.name}  {format_date(consent.when)}{there}")


class Show(Command):
    """Show what a block's text says of itself, and its SHA-256; nothing of it runs."""

    file: Path = _file_argument()

    def run(self) -> int:
        """Print it."""
        return _print_facts(_read(self.file), as_json=self.as_json)


class Add(Command):
    """Add a text to the library; nothing of it runs, and it still has to be allowed."""

    file: Path = _file_argument()

    def run(self) -> int:
        """Add it, and print what it says of itself."""
        block = _read(self.file)
        save_block(block.source)
        return _print_facts(block, as_json=self.as_json)


class Check(Command):
    """Check a block in a process of its own; it runs, so it needs --trust-block, or consent in the window."""

    file: Path = _file_argument()
    design: str = option(
        "the preset, saved design or JSON file to check it in", default="terrarium-tiny", complete="design"
    )

    def run(self) -> int:
        """Run the checks and print what they found."""
        block = _read(self.file)
        from terrarium.models.architecture.block_checks import check_block, stop_checks

        check_allowed(block)
        design = find_design(self.design)
        try:
            with ProgressLine(as_json=self.as_json) as line:
                report = drive(check_block(block.source, design, {}), line)
        finally:
            stop_checks()
        if self.as_json:
            print_json({**dataclasses.asdict(report), "passed": report.passed})
        else:
            for check in report.checks:
                print(f"{'ok    ' if check.passed else 'FAILED'} {check.title}: {check.sentence}")
            if report.passed:
                beside = f", the built-in part {report.n_built_in:,}" if report.n_built_in else ""
                print(f"Parameters of a layer: {report.n_parameters:,}{beside}.")
                beside = (
                    f", the built-in part {format_milliseconds(report.milliseconds_built_in)}"
                    if report.n_built_in
                    else ""
                )
                print(f"Forward and backward: {format_milliseconds(report.milliseconds)}{beside}.")
        return DONE if report.passed else FAILED


class Withdraw(Command):
    """No longer let texts run on this computer that were allowed in the window."""

    block: str = argument("NAME_OR_HASH", "a name, or 8 or more characters of a SHA-256")

    def run(self) -> None:
        """Withdraw the consent to all texts of a name, or to the one whose hash begins so."""
        found = [each for each in list_consents() if each.name == self.block]
        if not found and len(self.block) >= _MIN_HASH:
            found = [each for each in list_consents() if each.sha256.startswith(self.block.lower())]
        if not found:
            raise ValueError(f"No text was allowed as “{self.block}”: terrarium block list shows those that were.")
        for consent in found:
            withdraw(consent.sha256)
        if self.as_json:
            print_json({"withdrawn": list(map(_consent_facts, found))})
        else:
            for consent in found:
                print(f"{consent.name} ({consent.sha256[:8]}) may no longer run on this computer.")


COMMAND = Group(
    actions={"list": ListBlocks, "show": Show, "add": Add, "check": Check, "withdraw": Withdraw},
    help="list, read, check and add custom blocks: parts of a model that you write",
    description=__doc__,
)


def _read(file: Path) -> CustomBlock:
    """Read a block's text. Raises ValueError if it is no block."""
    found = inspect_file(file)
    if found.block is None:
        raise ValueError(f"{file}: {found.problem}")
    return found.block


def _print_facts(block: CustomBlock, *, as_json: bool) -> int:
    facts = _facts(block)
    if as_json:
        print_json(facts)
    else:
        print("\n".join(f"{name:8} {value}" for name, value in facts.items()))
    return DONE


def _facts(block: CustomBlock) -> dict[str, Any]:
    return {
        "name": block.name,
        "slot": block.slot,
        "title": block.title,
        "options": {name: option.default for name, option in block.options.items()},
        "sha256": block.sha256,
        "allowed": is_allowed(block),
    }


def _consent_facts(consent: Consent) -> dict[str, Any]:
    return {
        "name": consent.name,
        "sha256": consent.sha256,
        "when": consent.when,
        "in_library": consent.block is not None,
    }
