"""`terrarium block`: list, read, check and add custom blocks, and withdraw the consent to them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive
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
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_date, format_milliseconds
from terrarium.models.settings.presets import PRESETS

DONE, FAILED = 0, 1

_MIN_HASH = 8
"""The least number of characters of a SHA-256 that stands for a text."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command and what it can do."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "block", help="list, read, check and add custom blocks: parts of a model that you write", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    words = {
        "list": "list the library's blocks, and the texts that may run on this computer",
        "show": "show what a block's text says of itself, and its SHA-256; nothing of it runs",
        "add": "add a text to the library; nothing of it runs, and it still has to be allowed",
        "check": "check a block in a process of its own; it runs, so it needs --trust-block, or consent in the window",
        "withdraw": "no longer let texts run on this computer that were allowed in the window",
    }
    for name, text in words.items():
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == "withdraw":
            action.add_argument("block", metavar="NAME_OR_HASH", help="a name, or 8 or more characters of a SHA-256")
        elif name != "list":
            action.add_argument("file", type=Path, metavar="FILE", help="a Python file")
        if name == "check":
            action.add_argument("--design", default="terrarium-tiny", help="the preset or saved design to check it in")
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    if args.action == "list":
        return _list(as_json=args.json)
    if args.action == "withdraw":
        return _withdraw(args.block, as_json=args.json)
    found = inspect_file(args.file)
    if found.block is None:
        raise ValueError(f"{args.file}: {found.problem}")
    if args.action == "check":
        return _check(found.block, args)
    if args.action == "add":
        save_block(found.source)
    facts = _facts(found.block)
    if args.json:
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


def _list(*, as_json: bool) -> int:
    files, consents = list_blocks(), list_consents()
    if as_json:
        rows = [_facts(each.block) if each.block else {"name": each.name, "problem": each.problem} for each in files]
        print_json({"blocks": rows, "consents": list(map(_consent_facts, consents))})
        return DONE
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
    return DONE


def _consent_facts(consent: Consent) -> dict[str, Any]:
    return {
        "name": consent.name,
        "sha256": consent.sha256,
        "when": consent.when,
        "in_library": consent.block is not None,
    }


def _withdraw(wanted: str, *, as_json: bool) -> int:
    """Withdraw the consent to all texts of a name, or to the one whose hash begins so."""
    found = [each for each in list_consents() if each.name == wanted]
    if not found and len(wanted) >= _MIN_HASH:
        found = [each for each in list_consents() if each.sha256.startswith(wanted.lower())]
    if not found:
        raise ValueError(f"No text was allowed as “{wanted}”: terrarium block list shows those that were.")
    for consent in found:
        withdraw(consent.sha256)
    if as_json:
        print_json({"withdrawn": list(map(_consent_facts, found))})
    else:
        for consent in found:
            print(f"{consent.name} ({consent.sha256[:8]}) may no longer run on this computer.")
    return DONE


def _check(block: CustomBlock, args: argparse.Namespace) -> int:
    from terrarium.models.architecture.block_checks import check_block, stop_checks

    check_allowed(block)
    design = PRESETS.get(args.design) or Library().load_design(args.design)
    try:
        with ProgressLine(as_json=args.json) as line:
            report = drive(check_block(block.source, design, {}), line)
    finally:
        stop_checks()
    if args.json:
        print_json({**dataclasses.asdict(report), "passed": report.passed})
    else:
        for check in report.checks:
            print(f"{'ok    ' if check.passed else 'FAILED'} {check.title}: {check.sentence}")
        if report.passed:
            beside = f", the built-in part {report.n_built_in:,}" if report.n_built_in else ""
            print(f"Parameters of a layer: {report.n_parameters:,}{beside}.")
            beside = (
                f", the built-in part {format_milliseconds(report.milliseconds_built_in)}" if report.n_built_in else ""
            )
            print(f"Forward and backward: {format_milliseconds(report.milliseconds)}{beside}.")
    return DONE if report.passed else FAILED
