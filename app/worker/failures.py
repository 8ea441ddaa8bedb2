"""Exceptions as sentences: what went wrong, and what the user can do about it."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a failed job says: a sentence to act on, and the traceback behind “Details”."""

    sentence: str
    details: str


def describe(error: BaseException) -> Failure:
    """The failure as a user should read it."""
    return Failure(sentence=_sentence(error), details="".join(traceback.format_exception(error)))


def _sentence(error: BaseException) -> str:
    words = str(error).strip()
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
        return "A text is not UTF-8, or has half of a character in it: convert it, or take that out, and try again."
    if isinstance(error, ValueError) and words:
        return words
    if _is_out_of_memory(error):
        return (
            "There was not enough memory for this. Make the batch size, the context length or the model smaller, "
            "or close other programs, and try again."
        )
    if isinstance(error, OSError):
        return _os_sentence(error)
    if isinstance(error, ImportError):
        return f"A part of the program is missing ({words}): install Terrarium again, for instance with “make run”."
    first_line = words.splitlines()[0] if words else type(error).__name__
    return (
        f"Something unexpected went wrong ({type(error).__name__}: {first_line}). What was saved is safe: try again, "
        "and send the details along if it happens again."
    )


def _is_out_of_memory(error: BaseException) -> bool:
    # torch says so in several ways; its exception class is matched by name so that torch need not be imported here.
    words = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words))
    )


def _os_sentence(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{', at' + where if where else ''}. Free some space and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Terrarium may not read or write{where}: change its permissions or choose another place."
    if error.errno == errno.ENOENT:
        return f"The file{where} is gone: put it back or choose another."
    return f"The system refused to work with{where or ' a file'} ({error.strerror or error}). Try again."
