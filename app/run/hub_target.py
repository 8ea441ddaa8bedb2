"""The form for an upload to the Hugging Face hub: repository name, visibility and access token."""

from __future__ import annotations

import re

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from terrarium.app.kit.basics import column, label, plain_tip
from terrarium.app.kit.inputs import caption, line_edit
from terrarium.app.kit.theme import SPACE

_FORBIDDEN = re.compile(r"[^A-Za-z0-9._]+")
_PASTE = "Paste a token with write access, made at huggingface.co/settings/tokens."
_KEPT = f"{_PASTE} It is kept in the system keyring, and nowhere else."
_NOT_KEPT = f"{_PASTE} There is no system keyring here, so it is not kept; or set HF_TOKEN before you start Terrarium."
_KNOWN = "A token was found: from HF_TOKEN, the system keyring or “hf auth login”. One that you paste is used instead."


class HubTarget(QWidget):
    """Asks for a repository name, and for a token if none is known. A pasted token is only in its password field.

    Args:
        name: the proposed name.

    Signals:
        changed(): an entry has changed, or the search for a token has ended.
    """

    changed = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()
        self._is_known = False
        self.name = line_edit("Name on the hub", placeholder="a name, or owner/name")
        self.name.setText(_FORBIDDEN.sub("-", name).strip("-."))
        self.public = QCheckBox("Public: everybody may see and download it")
        self.public.setToolTip(
            plain_tip("Otherwise only you, or the members of the organisation that owns it, may see it")
        )
        self.pasted = line_edit("Hugging Face token")
        self.pasted.setEchoMode(QLineEdit.EchoMode.Password)
        self.about_token = label("Looking for a token…", "caption", wrap=True)
        self.setLayout(
            column(
                caption("Name on the hub", self.name),
                self.name,
                self.public,
                SPACE + SPACE // 2,
                caption("Token", self.pasted),
                self.pasted,
                self.about_token,
                spacing=SPACE // 2,
            )
        )
        self.name.textChanged.connect(self.changed)
        self.pasted.textChanged.connect(self.changed)

    @property
    def repository(self) -> str:
        """The name of the repository on the hub: “name” or “owner/name”."""
        return self.name.text().strip()

    @property
    def token(self) -> str:
        """The pasted token; "" to use the one that was found."""
        return self.pasted.text().strip()

    @property
    def is_public(self) -> bool:
        """Whether the repository is to be public."""
        return self.public.isChecked()

    @property
    def missing(self) -> str:
        """What is missing for an upload, as a sentence; "" if nothing is."""
        if not self.repository:
            return "Enter a name on the hub."
        return "" if self._is_known or self.token else "Paste a token with write access."

    @Slot(bool, bool)
    def set_known(self, is_known: bool, has_keyring: bool) -> None:
        """Set whether a token was found, and whether there is a keyring that would save a pasted one."""
        self._is_known = is_known
        self.about_token.setText(_KNOWN if is_known else _KEPT if has_keyring else _NOT_KEPT)
        self.pasted.setPlaceholderText("empty: the one that was found" if is_known else "hf_…")
        self.changed.emit()

    def clear_token(self) -> None:
        """Clear the pasted token."""
        self.pasted.clear()
