"""The custom blocks that extensions bring: read, not run. Each needs the user's consent, as every text. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.store import inspect_file
from terrarium.models.extensions.registry import Found, installed, left_out, name_problem


def find_installed_blocks() -> Found[CustomBlock]:
    """Read the texts of all blocks of the installed extensions, by the names of the blocks."""
    entries, packages, problems = dict[str, CustomBlock](), dict[str, str](), []
    for extension in installed():
        package = extension.package
        for file in extension.declaration.blocks if extension.declaration else ():
            try:
                block = _read(extension.folder, file)
                if wrong := name_problem(block.name, (), packages):
                    raise ValueError(wrong)
            except ValueError as error:
                problems.append((package, left_out(f"The block in {file}", package, str(error))))
            else:
                entries[block.name], packages[block.name] = block, package
    return Found(kind="blocks", entries=entries, packages=packages, problems=tuple(problems))


def _read(folder: Path, file: Any) -> CustomBlock:
    """Return the block in a file of a folder. Raises ValueError, the end of “…, because ”."""
    if not isinstance(file, str) or not (path := (folder / file).resolve()).is_relative_to(folder.resolve()):
        raise ValueError("its path does not lead to a file of the package")
    found = inspect_file(path)
    if found.block is None:
        raise ValueError(f"it is not a proper block (“{found.problem}”)")
    return found.block
