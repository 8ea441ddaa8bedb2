"""Exceptions as sentences: what went wrong, and what the user can do about it."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass

DISK_FULL = "The disk is full"
"""The beginning of the sentence for a full disk."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failure to show: a sentence that says what to do, and `details`, the traceback.

    details: "" for a user's mistake, which its sentence explains.
    """

    sentence: str
    details: str


def describe(error: BaseException) -> Failure:
    """The failure as the user should read it."""
    is_mistake = isinstance(error, ValueError) and str(error).strip().endswith(".")  # written for users: a sentence
    details = "" if is_mistake else "".join(traceback.format_exception(error))
    return Failure(sentence=_sentence(error), details=details)


def _sentence(error: BaseException) -> str:
    text = str(error).strip()
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
        return "A text is not valid UTF-8: convert it, or remove the invalid characters, and try again."
    if isinstance(error, ValueError) and text:
        return text
    if _is_out_of_memory(error):
        return (
            "Not enough memory. Use a smaller batch size, context length or model, or close other programs, "
            "and try again."
        )
    if isinstance(error, OSError):
        return _os_sentence(error)
    if isinstance(error, ImportError):
        return f"Part of the program is missing ({text}): install Terrarium again, for instance with “make run”."
    first_line = text.splitlines()[0] if text else type(error).__name__
    return (
        f"Something went wrong ({type(error).__name__}: {first_line}). Saved work is safe. Try again, "
        "and report the details if it happens again."
    )


def _is_out_of_memory(error: BaseException) -> bool:
    # torch says so in several ways; its exception class is matched by name so that torch need not be imported here.
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text))
    )


def _os_sentence(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{DISK_FULL}{': ' + where.strip() if where else ''}. Free some space and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission to access{where or ' a file'}: change its permissions or choose another location."
    if error.errno == errno.ENOENT:
        return f"The file{where} is missing: restore it or choose another."
    return f"Could not access{where or ' a file'} ({error.strerror or error}). Try again."
