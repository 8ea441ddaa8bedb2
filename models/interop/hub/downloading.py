"""Downloads a model from the hub into the library: resumable, verified, and then imported as a run."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

from filelock import FileLock, Timeout

from terrarium.models.events import Event, Phase
from terrarium.models.files.atomic import remove_folder
from terrarium.models.hub_client import part_of
from terrarium.models.interop.hub.catalogue import instead_of, open_bytes, too_large
from terrarium.models.interop.hub.hub_models import ModelDetails, ModelHub, Variant
from terrarium.models.library.library import Library, safe_name
from terrarium.models.number_words import format_size
from terrarium.models.runs.run_folder import RunFolder


def download_model(
    library: Library, hub: ModelHub, id: str, file: str = "", *, name: str = "", n_free: int | None = None
) -> Generator[Event, None, RunFolder]:
    """Download a model, verify it, and import it as a run of the library, which is returned.

    Yields Phase, Progress (bytes) and Notice. Closing the generator keeps what has been downloaded: the next call
    resumes there. The download is deleted once the run exists.

    Args:
        id: owner/name.
        file: the GGUF file to download, "" for the first of `ModelDetails.variants`.
        name: the name of the run; "" for the model's.
        n_free: free memory in bytes: a model that needs more is refused; None accepts any.

    Raises:
        ValueError: if the hub has no such model, cannot be reached or sends wrong data, the model is not supported,
            or memory or disk space is too small.
    """
    from terrarium.models.interop.importing import import_model  # which needs torch

    yield Phase(name=f"Asking {hub.host}")
    details = yield from hub.details(id)
    if details.problem:
        raise ValueError(f"“{id}” cannot be opened here. {details.problem}")
    variant, needed = details.variant(file), open_bytes(details.n_parameters)
    if n_free is not None and needed > n_free:
        raise ValueError(f"“{id}” is too large. {too_large(needed, n_free, instead_of(id, n_free))}")
    folder = downloads_of(library, id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0, thread_local=False):
            source = yield from _fetch(hub, details, variant, folder)
            origin = {
                "path": f"{hub.endpoint}/{id}",
                "repository": id,
                "revision": details.revision,
                "licence": details.model.licence,
            }
            own = name or (Path(variant.name).stem if variant.is_gguf else id.rpartition("/")[2])
            run = yield from import_model(source, library, name=library.free_run_name(own), origin=origin)
            remove_folder(folder)
            return run
    except Timeout:
        raise ValueError(f"“{id}” is being downloaded by another Terrarium already: wait for it.") from None


def downloads_of(library: Library, id: str) -> Path:
    """Return the folder of a model's downloads; ValueError if its name cannot be a folder's."""
    return library.home / "downloads" / safe_name(id.replace("/", " "))


def downloaded_runs(library: Library) -> dict[str, str]:
    """Return the hub's models that are in the library: their names on the hub -> the id of the newest run of each."""
    found: dict[str, str] = {}
    for info in library.list_runs():
        if info.status != "imported" or info.problem:
            continue
        try:
            source = RunFolder.open(info.folder).lineage.get("source")
        except ValueError:
            continue
        if isinstance(source, dict) and isinstance(source.get("repository"), str):
            found.setdefault(source["repository"], info.id)
    return found


def kept_bytes(library: Library, id: str) -> int:
    """Return the bytes of a model left by an earlier download."""
    folder = downloads_of(library, id)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def discard(library: Library, id: str) -> None:
    """Delete what an earlier download has left of a model."""
    folder = downloads_of(library, id)
    if folder.is_dir():
        remove_folder(folder)


def _fetch(hub: ModelHub, details: ModelDetails, variant: Variant, folder: Path) -> Generator[Event, None, Path]:
    """Download the files of a variant, and return the path to import."""
    id, within = details.model.id, folder / safe_name(details.revision)
    if folder.is_dir():
        for other in folder.iterdir():
            if other.is_dir() and other != within:  # of an older version of the model
                shutil.rmtree(other)
    within.mkdir(parents=True, exist_ok=True)
    _check_room(details, variant, within)
    yield Phase(name="Downloading")
    files = [(hub.url(id, file.name, details.revision), within / file.name, file) for file in variant.files]
    yield from hub.fetch(files, f"“{id}”")
    return within / variant.name if variant.is_gguf else within


def _check_room(details: ModelDetails, variant: Variant, within: Path) -> None:
    """Raise ValueError if the disk has too little space for the missing files and for the run made from them."""
    there = 0
    for file in variant.files:
        paths = (within / file.name, part_of(within / file.name, file))
        there += min(file.size, sum(path.stat().st_size for path in paths if path.is_file()))
    missing = variant.n_bytes - there
    as_run = variant.n_bytes if variant.is_gguf else max(variant.n_bytes, open_bytes(details.n_parameters))
    free = shutil.disk_usage(within).free
    if missing + as_run > free:
        raise ValueError(
            f"“{details.model.id}” needs {format_size(missing + as_run)} on the disk ({format_size(missing)} to "
            f"download, {format_size(as_run)} as a model of the library), but {format_size(free)} are free there: make "
            "room first."
        )
