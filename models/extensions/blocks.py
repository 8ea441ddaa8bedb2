"""The files of blocks that extensions bring: read, and listed, but not run. No torch."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.models.extensions.registry import Found, installed, left_out, name_problem

MANIFEST = "BLOCK"
"""The name that a file of a block assigns its manifest to, a literal dict with name, slot, title, help and options."""
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class BlockFile:
    """A Python file with a block; `slot`: the part of a design that it can take the place of."""

    title: str
    help: str
    slot: str
    path: Path


def find_blocks() -> Found[BlockFile]:
    """Read the manifests of all files of blocks, by the names of the blocks."""
    entries, packages, problems = dict[str, BlockFile](), dict[str, str](), []
    for extension in installed():
        for file in extension.declaration.blocks if extension.declaration else ():
            try:
                name, block = _read(extension.folder, file)
                wrong = name_problem(name, (), packages)
            except ValueError as error:
                name, wrong = str(file), str(error)
            if wrong:
                problems.append((extension.package, left_out(f"The block “{name}”", extension.package, wrong)))
            else:
                entries[name], packages[name] = block, extension.package
    return Found(kind="blocks", entries=entries, packages=packages, problems=tuple(problems))


def _read(folder: Path, file: Any) -> tuple[Any, BlockFile]:
    """Return the name and the block of a file in a folder. Raises ValueError, the end of “…, because ”."""
    if not isinstance(file, str) or not (path := (folder / file).resolve()).is_relative_to(folder.resolve()):
        raise ValueError("its path does not lead to a file of the package")
    try:
        with path.open("rb") as opened:
            tree = ast.parse(opened.read(_MAX_BYTES))
    except OSError as error:
        raise ValueError(f"its file cannot be read ({error.strerror})") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"its file is no Python ({error})") from error
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == MANIFEST:
                manifest = _literal(value)
                words = {key: manifest.get(key) for key in ("name", "title", "help", "slot")}
                for key, word in words.items():
                    if not isinstance(word, str) or not word.strip():
                        raise ValueError(f"its {MANIFEST} has no {key}")
                return words.pop("name"), BlockFile(**words, path=path)  # type: ignore[arg-type]
    raise ValueError(f"its file assigns no {MANIFEST}")


def _literal(value: ast.expr) -> dict[Any, Any]:
    try:
        manifest = ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"its {MANIFEST} is not written out as a dict, without any computation") from error
    if not isinstance(manifest, dict):
        raise ValueError(f"its {MANIFEST} is no dict")
    return manifest
