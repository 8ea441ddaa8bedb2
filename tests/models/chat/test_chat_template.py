"""Chat templates: the same text as transformers, isolated and bounded, with line numbers in errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from terrarium.models.chat.own_template import render_chat
from terrarium.models.chat.sandbox import ChatTemplateError
from terrarium.models.chat.template import render_conversation, render_template, renderer
from terrarium.models.child_process import Limits

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou "
    "are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
    "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if loop.index0 == 0 and system_message %}{% set content = '<<SYS>>\n' ~ "
    "system_message ~ '\n<</SYS>>\n\n' ~ message['content'] %}{% else %}{% set content = message['content'] %}"
    "{% endif %}{% if message['role'] == 'user' %}{{ bos_token ~ '[INST] ' ~ content.strip() ~ ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' ~ content.strip() ~ ' ' ~ eos_token }}{% endif %}{% endfor %}"
)
TOOLS = """
{%- if tools is not none %}{{- tools | tojson(indent=2) }}{% endif -%}
{%- set ns = namespace(n=0) %}
{%- for message in messages if message.role != 'system' %}
    {%- set ns.n = ns.n + loop.length %}
    {{- loop.index ~ '/' ~ loop.length ~ ' ' ~ message.role | upper }}: {{ message.content | trim | replace('a', 'e') }}
    {%- generation %}{{ message | tojson }}{% endgeneration %}
    {%- if loop.last %}{% break %}{% endif %}
{% endfor %}
{{- ns.n }} {{ messages | map(attribute='role') | join(', ') }} {{ '%s-%d' % ('a', 3) }} {{ 'x' * 3 }}
{%- if add_generation_prompt %}<|assistant|>{% endif %}
"""
TALK = [
    {"role": "system", "content": "Be kind. é🙂"},
    {"role": "user", "content": " Who <b>has</b> the kite?\nTell me. "},
    {"role": "assistant", "content": "Ben has it."},
    {"role": "user", "content": "Where?"},
]
NAMED_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("template", [SMOLLM2, LLAMA2, TOOLS], ids=["smollm2", "llama2", "tools"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("asks", [True, False])
def test_texts_equal_those_of_transformers(template: str, first: int, asks: bool) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    expected, _ = render_jinja_template(
        conversations=[TALK[first:]], chat_template=template, add_generation_prompt=asks, tools=None, **NAMED_TOKENS
    )
    assert render_template(template, TALK[first:], add_generation_prompt=asks, named_tokens=NAMED_TOKENS) == expected[0]


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ raise_exception.__globals__.keys() }}",
        "{{ messages.append(1) }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
    ],
)
def test_python_cannot_be_reached(template: str) -> None:
    with pytest.raises(ChatTemplateError, match=r"^Line 1 of the chat template fails: .*(unsafe|safe|undefined)"):
        render_template(template, TALK, add_generation_prompt=True)


@contextmanager
def limited(*, seconds: float = 600.0, memory_bytes: int = 1 << 40) -> Iterator[None]:
    """Other limits: low for what a test is about, and high for the rest, so that a slow machine fails no test."""
    with pytest.MonkeyPatch.context() as patch:
        changed = Limits(seconds=seconds, memory_bytes=memory_bytes, answer_bytes=1 << 20)
        patch.setattr("terrarium.models.chat.template.LIMITS", changed)
        yield


def refused(template: str, *, seconds: float = 600.0, memory_bytes: int = 1 << 40) -> str:
    """The message that refuses it; afterwards the process that rendered it is dead, and the next template works."""
    with limited():
        assert render_template("{{ 1 + 1 }}", TALK, add_generation_prompt=True) == "2"
    child, here = psutil.Process(renderer().pid), psutil.Process()
    before = here.memory_info().rss
    with limited(seconds=seconds, memory_bytes=memory_bytes), pytest.raises(ChatTemplateError) as failure:
        render_template(template, TALK, add_generation_prompt=True)
    assert here.memory_info().rss - before < 32 << 20
    assert not child.is_running()
    with limited():
        assert render_template("{{ 1 + 1 }}", TALK, add_generation_prompt=True) == "2"
    assert renderer().pid not in (0, child.pid)
    return str(failure.value)


@pytest.mark.parametrize(
    "template",
    [
        "{% set ns = namespace(x=0) %}{{ ('%(a)99999d' * 15000) % {'a': 1} }}",
        "{{ range(99999) | map('center', 99999) | list }}",
        "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{{ [1] * 10**10 }}",
        "{{ '{:1000000000}'.format(1) }}",
    ],
)
def test_memory_is_limited(template: str) -> None:
    assert refused(template, memory_bytes=200 << 20) == "The chat template fails: it takes more than 200 MiB of memory."


def test_time_is_limited() -> None:
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% set x = 1 %}{% endfor %}{% endfor %}"
    assert refused(endless, seconds=0.3) == "The chat template fails: it takes longer than 0.3 s."


def test_the_length_of_the_text_is_limited() -> None:
    assert refused("{{ 'x' * 5000000 }}") == "The chat template fails: its result is larger than 1.00 MiB."


def test_all_that_is_measured_of_a_conversation_takes_no_longer_than_one_rendering() -> None:
    """A template that is slow for parts of a conversation does not take the limit once per message."""
    slow = (
        "{% if not add_generation_prompt %}{% for i in range(99999) %}{{ range(99999) | list }}{% endfor %}{% endif %}"
    )
    with limited(seconds=0.3), pytest.raises(ChatTemplateError, match=r"it takes longer than 0\.3 s"):
        render_conversation(
            slow, TALK * 100, mark="\ue000", marked=TALK * 100, add_generation_prompt=True, named_tokens={}
        )


def test_our_own_template_needs_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.models.chat.template.renderer", None)
    assert render_chat([{"role": "user", "content": "Hello!"}]) == "<|user|> Hello!<|end|>"


@pytest.mark.parametrize(
    ("template", "line", "words"),
    [
        ("one\n{{ foo.bar }}", 2, "'foo' is undefined"),
        ("a\n{% for m in messages %}\nb", 3, "Unexpected end of template"),
        ("\n\n{{ messages[7].content }}", 3, "no element 7"),
        ("{{ x | nofilter }}", 1, "No filter named 'nofilter'"),
        ("{% if true %}\n{{ raise_exception('Only one message.') }}{% endif %}", 2, "Only one message"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{% include 'other' %}", 1, "no loader"),
        ("{{ 'a' | dictsort }}", 1, "no attribute 'items'"),
        ("{{ cycler() }}", 1, "at least one item"),
    ],
)
def test_errors_name_the_line(template: str, line: int, words: str) -> None:
    with pytest.raises(ChatTemplateError) as failure:
        render_template(template, TALK, add_generation_prompt=True)
    assert failure.value.line == line
    assert str(failure.value).startswith(f"Line {line} of the chat template fails: ")
    assert words in str(failure.value)
    assert str(failure.value).endswith(".")
    assert "\n" not in str(failure.value)


def test_too_deeply_nested_blocks_are_reported() -> None:
    with pytest.raises(ChatTemplateError, match=r"^The chat template fails: too many statically nested blocks\.$"):
        render_template("{% for a in messages %}" * 25 + "x" + "{% endfor %}" * 25, TALK, add_generation_prompt=True)


def test_an_unknown_named_token_is_reported() -> None:
    with pytest.raises(ChatTemplateError, match="needs its bos_token and eos_token, which its files"):
        render_template(LLAMA2, TALK, add_generation_prompt=True)


def test_a_message_of_ten_megabytes() -> None:
    long = [{"role": "user", "content": "x" * 10_000_000}]
    assert len(render_template(SMOLLM2, long, add_generation_prompt=True)) > 10_000_000
    without = "{% for m in messages %}{{ m.content.replace('<think>', '') | replace('y', '') }}{% endfor %}"
    assert len(render_template(without, long, add_generation_prompt=True)) == 10_000_000
