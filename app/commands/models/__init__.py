"""`terrarium models`: published models: a short list, a search of the Hugging Face hub, downloads into the library."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psutil

from terrarium.app.commands.common import add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.interop.hub.catalogue import PURPOSES, listed_models
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_compact, format_count, format_size

if TYPE_CHECKING:
    from terrarium.models.interop.hub.hub_models import HubModel
    from terrarium.models.interop.hub.on_disk import FoundModel

DONE = 0


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "models", help="list, search and download published models", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="the short list, and what other programs have downloaded; nothing is asked of the network"
    )
    search = actions.add_parser("search", help="search the Hugging Face hub (HF_ENDPOINT names another one)")
    search.add_argument("words", nargs="+", metavar="WORD", help="words in the name of a model")
    search.add_argument("--all", action="store_true", help="also those that do not run here, with the reason")
    download = actions.add_parser(
        "download",
        help="download a model into the library; a stopped download resumes where it left off",
        description="Download a model, check it, and import it as a run. Only safetensors, GGUF, config and tokenizer "
        "files are fetched.",
    )
    download.add_argument("id", metavar="OWNER/NAME", help="the model's name on the hub")
    download.add_argument("--file", default="", metavar="NAME", help="which GGUF file of it (default: that of 8 bits)")
    download.add_argument("--name", default="", help="the run's name (default: the model's)")
    download.add_argument("--anyway", action="store_true", help="even if it takes more memory than is free")
    for action in (listing, search, download):
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Perform the action, and print the models found or the path of the run."""
    {"list": _list, "search": _search, "download": _download}[args.action](args)
    return DONE


def _list(args: argparse.Namespace) -> None:
    from terrarium.models.interop.hub.on_disk import find_models

    found = find_models()
    if args.json:
        listed = [{**dataclasses.asdict(model), "memory": model.memory} for model in listed_models()]
        on_disk = [{**dataclasses.asdict(model), "path": str(model.path)} for model in found]
        print_json({"listed": listed, "on_disk": on_disk})
        return
    for purpose, title in PURPOSES.items():
        print(f"{title}:")
        for model in listed_models():
            if model.purpose == purpose:
                print(f"  {model.id}")
                print(
                    f"      about {format_size(model.bytes)} to download, about {format_size(model.memory)} of memory, "
                    f"context {model.context:,}, licence {model.licence}"
                )
                print(f"      {model.good_for}")
    _print_found(found)


def _print_found(found: Sequence[FoundModel]) -> None:
    if found:
        print("On this computer, for terrarium import:")
    for model in found:
        print(f"  {model.name}  ({model.program}, {format_size(model.n_bytes)})")
        print(f"      {model.path}")


def _search(args: argparse.Namespace) -> None:
    from terrarium.models.interop.hub.hub_models import ModelHub

    with ProgressLine(as_json=args.json) as line:
        found = drive(ModelHub().search(" ".join(args.words), sort="downloads"), line)
    shown = [model for model in found if args.all or not model.problem]
    if args.json:
        print_json({"models": [dataclasses.asdict(model) for model in shown]})
        return
    for model in shown:
        print(f"{model.id}  ({_facts(model)})" + (f"\n    {model.problem}" if model.problem else ""))
    if hidden := len(found) - len(shown):
        print(f"{format_count(hidden, 'model')} more that cannot run here: see --all.")
    elif not found:
        print("Nothing found: try other words.")


def _facts(model: HubModel) -> str:
    parts = (
        f"{format_compact(model.n_parameters, billion='B')} parameters" if model.n_parameters else "",
        f"{format_compact(model.downloads)} downloads",
        model.licence or "no licence",
        "gated" if model.gated else "",
    )
    return ", ".join(part for part in parts if part)


def _download(args: argparse.Namespace) -> None:
    from terrarium.models.interop.hub.downloading import download_model
    from terrarium.models.interop.hub.hub_models import ModelHub

    n_free = None if args.anyway else int(psutil.virtual_memory().available)
    with ProgressLine(as_json=args.json) as line:
        work = download_model(Library(), ModelHub(), args.id, args.file, name=args.name, n_free=n_free)
        folder = drive(work, line)
    if args.json:
        print_json({"run": str(folder.folder), "id": folder.id, "config": folder.spec.model.to_dict()})
    else:
        print(folder.folder)
