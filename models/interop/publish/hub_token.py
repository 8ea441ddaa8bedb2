"""The token with which models are uploaded to the Hugging Face hub: read where it is, kept in the system keyring alone.

No file, log or setting of ours ever holds it. The keyring may ask its user to unlock it, so call these on no thread
that must not wait. No torch import.
"""

from __future__ import annotations

import os
import re
from typing import Any

SERVICE = "Terrarium: Hugging Face"
"""Under what the keyring has it; the user's name there is the hub's address."""
_LEAST_PRIORITY = 1
"""Of keyring's backends: those below keep passwords in a plain file, or nowhere."""
_TOKEN = re.compile(r"[\x21-\x7e]{8,400}")

NO_KEYRING = (
    "There is no system keyring here, so the token is not kept and is asked for each time; or set HF_TOKEN, which is "
    "read instead."
)


def check_token(token: str) -> str:
    """The token without spaces around it.

    Raises:
        ValueError: where it cannot be one; the sentence does not repeat it.
    """
    token = token.strip()
    if not token:
        raise ValueError(
            "Uploading needs a token of Hugging Face that may write: make one at "
            "https://huggingface.co/settings/tokens, and paste it when asked, or set HF_TOKEN."
        )
    if not _TOKEN.fullmatch(token):
        raise ValueError("This is no token of Hugging Face: copy it whole, without spaces or line breaks.")
    return token


def find_token(endpoint: str) -> str:
    """The token for the hub at `endpoint`: HF_TOKEN, the keyring's, or that of “hf auth login”; "" where none is."""
    if token := os.environ.get("HF_TOKEN", "").strip():
        return token
    if token := _kept(endpoint):
        return token
    from huggingface_hub import get_token

    return get_token() or ""


def keep_token(endpoint: str, token: str) -> bool:
    """Put a token into the system keyring; False where there is none, or it refuses."""
    keyring = _keyring()
    if keyring is None:
        return False
    try:
        keyring.set_password(SERVICE, endpoint, token)
    except Exception:  # noqa: BLE001 (each system's keyring has errors of its own)
        return False
    return True


def forget_token(endpoint: str, token: str) -> None:
    """Take a token that is no longer accepted out of the keyring, if it is the one in there."""
    keyring = _keyring()
    if keyring is None or _kept(endpoint) != token:
        return
    try:
        keyring.delete_password(SERVICE, endpoint)
    except Exception:  # noqa: BLE001
        return


def has_keyring() -> bool:
    """Whether there is a keyring that would keep a token."""
    return _keyring() is not None


def _kept(endpoint: str) -> str:
    keyring = _keyring()
    if keyring is None:
        return ""
    try:
        return keyring.get_password(SERVICE, endpoint) or ""
    except Exception:  # noqa: BLE001 (locked, and its user would not open it)
        return ""


def _keyring() -> Any:
    """The system's keyring, None where there is none."""
    try:
        import keyring

        found = keyring.get_keyring()
        return found if found.priority >= _LEAST_PRIORITY else None
    except Exception:  # noqa: BLE001 (not installed, or what the system has for it is broken)
        return None
