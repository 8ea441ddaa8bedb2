"""How programs ask an endpoint: a few lines to copy, for the shell and for Python."""

from __future__ import annotations

import json
import shlex
import sys

_QUESTION = "Hello! Who are you?"
_BEGINNING = "Once upon a time"


def curl_snippet(url: str, model: str, *, is_chat_model: bool) -> str:
    """One command; `is_chat_model`: the model holds conversations, else it goes on with a text."""
    asked: dict[str, object] = {"messages": [{"role": "user", "content": _QUESTION}]}
    path = "chat/completions"
    if not is_chat_model:
        path, asked = "completions", {"prompt": _BEGINNING, "max_tokens": 100}
    data, on = json.dumps({"model": model, **asked}, ensure_ascii=False), "\\\n  "
    if sys.platform == "win32":  # whose shell knows only double quotes, and no lines that go on
        data, on = '"' + data.replace('"', '\\"') + '"', ""
    else:
        data = shlex.quote(data)
    return f'curl {url}/{path} {on}-H "Content-Type: application/json" {on}-d {data}'


def python_snippet(url: str, model: str, *, is_chat_model: bool) -> str:
    """A program for the `openai` package."""
    name = json.dumps(model, ensure_ascii=False)
    head = f'from openai import OpenAI\n\nclient = OpenAI(\n    base_url="{url}",\n    api_key="none",\n)\n'
    if is_chat_model:
        return head + (
            "reply = client.chat.completions.create(\n"
            f"    model={name},\n"
            f'    messages=[{{"role": "user", "content": "{_QUESTION}"}}],\n'
            ")\n"
            "print(reply.choices[0].message.content)"
        )
    return head + (
        "reply = client.completions.create(\n"
        f"    model={name},\n"
        f'    prompt="{_BEGINNING}",\n'
        "    max_tokens=100,\n"
        ")\n"
        "print(reply.choices[0].text)"
    )
