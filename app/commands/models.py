"""`terrarium models`: published models: a short list, a search of the Hugging Face hub, downloads into the library."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psutil

from terrarium.app.commands.options import Command, Group, argument, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.interop.hub.catalogue import PURPOSES, listed_models
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_compact, format_count, format_size

if TYPE_CHECKING:
    from terrarium.models.interop.hub.hub_models import HubModel
    from terrarium.models.interop.hub.on_disk import FoundModel


class ListModels(Command):
    """The short list, and what other programs have downloaded; nothing is asked of the network."""

    def run(self) -> None:
        """Print the models."""
        from terrarium.models.interop.hub.on_disk import find_models

        found = find_models()
        if self.as_json:
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
                        f"      about {format_size(model.bytes)} to download, about {format_size(model.memory)} of "
                        f"memory, context {model.context:,}, licence {model.licence}"
                    )
                    print(f"      {model.good_for}")
        _print_found(found)


class Search(Command):
    """Search the Hugging Face hub (HF_ENDPOINT names another one)."""

    words: tuple[str, ...] = argument("WORD", "words in the name of a model")
    all: bool = option("also those that do not run here, with the reason")

    def run(self) -> None:
        """Print the models found."""
        from terrarium.models.interop.hub.hub_models import ModelHub

        with ProgressLine(as_json=self.as_json) as line:
            found = drive(ModelHub().search(" ".join(self.words), sort="downloads"), line)
        shown = [model for model in found if self.all or not model.problem]
        if self.as_json:
            print_json({"models": [dataclasses.asdict(model) for model in shown]})
            return
        for model in shown:
            print(f"{model.id}  ({_facts(model)})" + (f"\n    {model.problem}" if model.problem else ""))
        if hidden := len(found) - len(shown):
            print(f"{format_count(hidden, 'model')} more that cannot run here: see --all.")
        elif not found:
            print("Nothing found: try other words.")


class Download(
    Command,
    help="download a model into the library; a stopped download resumes where it left off",
    description="Download a model, check it, and import it as a run. Only safetensors, GGUF, config and tokenizer "
    "files are fetched.",
):
    """Download a model."""

    id: str = argument("OWNER/NAME", "the model's name on the hub")
    file: str = option("which GGUF file of it (default: that of 8 bits)", default="", metavar="NAME")
    name: str = option("the run's name (default: the model's)", default="")
    anyway: bool = option("even if it takes more memory than is free")

    def run(self) -> None:
        """Download, and print the path of the run."""
        from terrarium.models.interop.hub.downloading import download_model
        from terrarium.models.interop.hub.hub_models import ModelHub

        n_free = None if self.anyway else int(psutil.virtual_memory().available)
        with ProgressLine(as_json=self.as_json) as line:
            work = download_model(Library(), ModelHub(), self.id, self.file, name=self.name, n_free=n_free)
            folder = drive(work, line)
        self.show({"run": str(folder.folder), "id": folder.id, "config": folder.spec.model.to_dict()}, folder.folder)


COMMAND = Group(
    actions={"list": ListModels, "search": Search, "download": Download},
    help="list, search and download published models",
    description=__doc__,
)


def _print_found(found: Sequence[FoundModel]) -> None:
    if found:
        print("On this computer, for terrarium import:")
    for model in found:
        print(f"  {model.name}  ({model.program}, {format_size(model.n_bytes)})")
        print(f"      {model.path}")


def _facts(model: HubModel) -> str:
    parts = (
        f"{format_compact(model.n_parameters, billion='B')} parameters" if model.n_parameters else "",
        f"{format_compact(model.downloads)} downloads",
        model.licence or "no licence",
        "gated" if model.gated else "",
    )
    return ", ".join(part for part in parts if part)
