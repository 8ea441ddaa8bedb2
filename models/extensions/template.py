"""Makes the package of a new extension, from the texts in resources/extension, and a block to start from. No torch."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from string import Template

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FILES = {
    "pyproject.toml": "extension/pyproject.toml.txt",
    "README.md": "extension/README.md.txt",
    "$module/__init__.py": "extension/declaration.py.txt",
    "$module/optimizer.py": "extension/optimizer.py.txt",
    "$module/sampling.py": "extension/sampling.py.txt",
    "$module/blocks/retention.py": "blocks/retention.py",
    "tests/test_$name.py": "extension/test_extension.py.txt",
}
"""Files of the package -> the texts that they are made of."""


def make_package(name: str, folder: Path | None = None, *, taken: Collection[str] = ()) -> Path:
    """Make the package of an extension with an optimizer `name`, a sampling step and a block, and return its folder.

    Args:
        folder: a new or empty folder; None for one of the package's name in the working folder.
        taken: names of optimizers that there are.

    Raises:
        ValueError: if the name or the folder cannot be used.
        OSError: if a file cannot be written.
    """
    if not _NAME.fullmatch(name) or len(name) > 30:
        raise ValueError(
            f"{name!r} is no name for an extension: give it up to 30 small letters, digits and single underscores, "
            "beginning with a letter, such as sign_sgd."
        )
    if name in taken:
        raise ValueError(f"There is an optimizer {name!r} already: choose another name.")
    package = f"terrarium-{name.replace('_', '-')}"
    folder = folder or Path(package)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already, and is not an empty folder: name another one.")
    words = {
        "name": name,
        "package": package,
        "module": f"terrarium_{name}",
        "title": name.replace("_", " ").capitalize(),
        "option": f"{name}_cut".replace("_", "-"),
    }
    texts = files("terrarium.resources")
    for path, text in _FILES.items():
        target = folder / Template(path).substitute(words)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template((texts / text).read_text("utf-8")).substitute(words), encoding="utf-8")
    return folder
