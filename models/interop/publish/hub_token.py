"""The token for uploads to the Hugging Face hub: read from its sources, saved in the system keyring only.

No file, log or setting of Terrarium contains it. The keyring may ask its user to unlock it, so do not call these
functions on a thread that must not block. No torch import.
"""

from __future__ import annotations

import os
import re
from typing import Any

SERVICE = "Terrarium: Hugging Face"
"""The service name in the keyring; the user name is the hub's address."""
_LEAST_PRIORITY = 1
"""The minimum priority of keyring's backends: lower ones keep passwords in a plain file, or nowhere."""
_TOKEN = re.compile(r"[\x21-\x7e]{8,400}")

NO_KEYRING = (
    "There is no system keyring here, so the token is not kept and is asked for each time; or set HF_TOKEN, which is "
    "read instead."
)


def check_token(token: str) -> str:
    """Return the token without surrounding spaces.

    Raises:
        ValueError: if it cannot be a token; the message does not repeat it.
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
    """Find the token for the hub at `endpoint`: HF_TOKEN, the keyring's, or that of “hf auth login”; else ""."""
    if token := os.environ.get("HF_TOKEN", "").strip():
        return token
    if token := _kept(endpoint):
        return token
    from huggingface_hub import get_token

    return get_token() or ""


def keep_token(endpoint: str, token: str) -> bool:
    """Save a token in the system keyring. Returns False if there is no keyring, or it refuses."""
    keyring = _keyring()
    if keyring is None:
        return False
    try:
        keyring.set_password(SERVICE, endpoint, token)
    except Exception:  # noqa: BLE001 (each system's keyring has its own errors)
        return False
    return True


def forget_token(endpoint: str, token: str) -> None:
    """Delete a token that is no longer accepted from the keyring, if it is the one saved there."""
    keyring = _keyring()
    if keyring is None or _kept(endpoint) != token:
        return
    try:
        keyring.delete_password(SERVICE, endpoint)
    except Exception:  # noqa: BLE001
        return


def has_keyring() -> bool:
    """Whether there is a keyring that can save a token."""
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
    """Return the system's keyring, or None."""
    try:
        import keyring

        found = keyring.get_keyring()
        return found if found.priority >= _LEAST_PRIORITY else None
    except Exception:  # noqa: BLE001 (not installed, or what the system has for it is broken)
        return None
