"""A Modelfile, with which Ollama runs a GGUF file: chat template, stops, context; and the two commands to use it.

Ollama's templates are Go's, and it can translate only a few published Jinja templates. So the Go template is derived:
the model's own template (Jinja) renders messages with recognisable content, and the text between them is what Go's
must write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from terrarium.models.chat.own_template import ROLES, Message
from terrarium.models.chat.template import render_template
from terrarium.models.chat.template_config import ChatTemplateConfig, reply_ends
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.sampling_config import SamplingConfig

_PROBES = ("\ue000A", "\ue000B", "\ue000C", "\ue000D")  # private-use characters, which no template contains
_PLAIN = "{{ .Prompt }}"


@dataclass(frozen=True, kw_only=True)
class MessageForm:
    """The text that a template writes around the messages of a conversation.

    Attributes:
        start: the text before a first message that is not the system's.
        before, after: the text around a message's content, by role.
        prompt: the text that begins a reply.
    """

    start: str
    before: dict[str, str]
    after: dict[str, str]
    prompt: str

    def text(self, messages: Sequence[Message]) -> str:
        """Render a conversation whose next message is a reply."""
        start = "" if messages and messages[0]["role"] == "system" else self.start
        parts = [self.before[m["role"]] + m["content"] + self.after[m["role"]] for m in messages]
        return start + "".join(parts) + self.prompt

    def go(self) -> str:
        """Return the equivalent Go template."""
        start = f'{{{{ if ne (index .Messages 0).Role "system" }}}}{self.start}{{{{ end }}}}' if self.start else ""
        alike = {role: (self.before[role].replace(role, "\0"), self.after[role].replace(role, "\0")) for role in ROLES}
        if len(set(alike.values())) == 1:
            before, after = (part.replace("\0", "{{ .Role }}") for part in alike["user"])
            body = f"{before}{{{{ .Content }}}}{after}"
        else:
            body = "".join(
                f'{{{{ {"if" if i == 0 else "else if"} eq .Role "{role}" }}}}'
                f"{self.before[role]}{{{{ .Content }}}}{self.after[role]}"
                for i, role in enumerate(ROLES)
            )
            body += "{{ end }}"
        return f"{start}{{{{ range .Messages }}}}{body}{{{{ end }}}}{self.prompt}"


def message_form(template: str, config: ChatTemplateConfig, skipped_start: str = "") -> MessageForm | None:
    """Derive the message form of a chat template; None if it fails, or does more than surround messages.

    skipped_start: a token that the program adds before the text.
    """
    a, b, c, d = _PROBES

    def written(*messages: tuple[str, str], prompt: bool = False) -> str:
        given = [{"role": role, "content": content} for role, content in messages]
        text = render_template(template, given, add_generation_prompt=prompt, named_tokens=config.named_tokens)
        return text.removeprefix(skipped_start)

    try:
        one = written(("user", a))
        two = written(("user", a), ("assistant", b))
        four = written(("system", a), ("user", b), ("assistant", c), ("user", d))
        prompt = written(("user", a), prompt=True)
    except ValueError:
        return None
    first, _, after_user = one.partition(a)
    between, _, after_reply = two.partition(a)[2].partition(b)
    to_user = four.partition(c)[2].partition(d)[0]
    before_user, before_reply = to_user.removeprefix(after_reply), between.removeprefix(after_user)
    after_system = four.partition(a)[2].partition(b)[0].removesuffix(before_user)
    form = MessageForm(
        start=first.removesuffix(before_user),
        before={"system": four.partition(a)[0], "user": before_user, "assistant": before_reply},
        after={"system": after_system, "user": after_user, "assistant": after_reply},
        prompt=prompt.removeprefix(one),
    )
    talks = [
        [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Who are you?")],
        [("user", "Hi"), ("assistant", "Hello"), ("user", "Who are you?")],
    ]
    try:
        exact = all(
            form.text([{"role": role, "content": content} for role, content in talk]) == written(*talk, prompt=True)
            for talk in talks
        )
    except ValueError:
        return None
    return form if exact and not re.search(r'\{\{|"""', form.text([])) else None


def modelfile(
    file: str,
    config: ModelConfig,
    tokenizer: Tokenizer,
    template: str,
    chat: ChatTemplateConfig,
    *,
    skipped_start: str = "",
    licence: str = "",
) -> str:
    """Return the Modelfile beside the GGUF file `file`. Without a template, prompts are continued unchanged."""
    lines = [f"FROM ./{file}"]
    if config.topology == "decoder-only":
        form = message_form(template, chat, skipped_start) if template else None
        if form is not None or not template:
            lines.append(f'TEMPLATE """{form.go() if form is not None else _PLAIN}"""')
        ends = reply_ends(config, tokenizer, chat, template)
        stops = [*(tokenizer.id_to_token(id) for id in ends.ids), *ends.texts]
        lines += [f'PARAMETER stop "{_quoted(stop)}"' for stop in dict.fromkeys(stops) if stop]
        temperature = chat.sampling.get("temperature", SamplingConfig().temperature)
        lines.append(f"PARAMETER temperature {temperature:g}")
    lines.append(f"PARAMETER num_ctx {config.context_length}")
    if licence:
        lines.append(f'LICENSE """{licence}"""')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def ollama_name(name: str) -> str:
    """Return a name that Ollama accepts: lower-case letters, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "model"


def ollama_commands(modelfile: Path, *, makes_embeddings: bool = False) -> tuple[str, str]:
    """Return the commands that create a model from a Modelfile, and use it: for a chat, or for an embedding."""
    name = ollama_name(modelfile.stem)
    use = f"ollama run {name}"
    if makes_embeddings:
        use = f"""curl http://localhost:11434/api/embed -d '{{"model": "{name}", "input": "A text."}}'"""
    return f'ollama create {name} -f "{modelfile}"', use
