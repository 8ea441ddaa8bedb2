"""Reading of untrusted tokenizer files in a child process with limits, so that it always ends and can be cancelled."""

from __future__ import annotations

import functools
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.child_process import ChildProcess, LimitError, Limits
from terrarium.models.events import Event
from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign.foreign_files import ExternalTokenizer, read_foreign
from terrarium.models.tokenizers.foreign.patterns import PatternUnknownError

LIMITS = Limits(seconds=120.0, memory_bytes=768 << 20, answer_bytes=64 << 20)
"""The largest known one (262,144 tokens, 520,000 merges) takes 4 to 7 seconds, 536 MiB and an answer of 13 MiB."""


def read_isolated(path: Path, pattern: str = "") -> Generator[Event, None, ExternalTokenizer]:
    """Run `read_foreign` in another process; yields Progress of unknown extent, and closing it stops the reading.

    Raises:
        ValueError: as `read_foreign`, or if it exceeds LIMITS.
    """
    errors = (PatternUnknownError, DamagedError)
    try:
        found = yield from reader().call_events(
            read_as_json, str(path.absolute()), pattern, limits=LIMITS, errors=errors
        )
    except LimitError as error:
        raise DamagedError(f"{path} cannot be read as a tokenizer, because {error}.") from error
    return ExternalTokenizer(
        tokenizer=Tokenizer.from_str(found["tokenizer"]),
        form=found["form"],
        files=tuple(map(Path, found["files"])),
        assumptions=tuple(found["assumptions"]),
        template=found["template"],
        named_tokens=found["named_tokens"],
    )


@functools.cache
def reader() -> ChildProcess:
    """Return the child process for reading, shared by all threads."""
    return ChildProcess()


def read_as_json(path: str, pattern: str) -> dict[str, Any]:
    """Return the fields of an ExternalTokenizer as JSON values (runs in the child process)."""
    found = read_foreign(Path(path), pattern)
    return {
        "tokenizer": found.tokenizer.to_str(),
        "form": found.form,
        "files": list(map(str, found.files)),
        "assumptions": found.assumptions,
        "template": found.template,
        "named_tokens": dict(found.named_tokens),
    }
