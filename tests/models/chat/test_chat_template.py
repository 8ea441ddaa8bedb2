"""Chat templates: the same text as transformers, sandboxed and bounded, with line numbers in errors."""

from __future__ import annotations

import math

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from models.chat.template import ChatTemplateError, render_template

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


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% set x = 1 %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=1) %}{% for i in range(60) %}{% set ns.x = {1: ns.x, 2: ns.x} %}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ ns.x }}",
        "{{ [['a' * 9000] * 9000] * 9000 }}",
        "{{ 'a' * 10**10 }}",
        "{{ [1] * 10**10 }}",
        "{{ 10**100000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '%*d' % (900000000, 1) }}",
        "{{ '{0:{1[0]}}'.format(1, [900000000]) }}",
        "{{ ('%(a)s' * 20000) % {'a': 'b' * 50000} }}",
        "{{ ('{0}' * 20000).format('b' * 50000) }}",
        "{{ ('a' * 20000) | replace('a', 'b' * 50000) }}",
        "{{ ('a' * 20000).translate({97: 'b' * 50000}) }}",
        "{{ ('\t' * 20000).expandtabs(50000) }}",
        "{{ (['a' * 50000] * 20000) | join }}",
        "{{ ''.join(['a' * 50000] * 20000) }}",
        "{{ ('\n' * 20000) | indent(50000) }}",
        "{{ ('a ' * 20000) | wordwrap(1, wrapstring='b' * 50000) }}",
        "{{ 'a'.ljust(10000000000) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ range(10**9) | list }}",
        "{{ lipsum(100000) }}",
    ],
)
def test_time_and_memory_are_bounded(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps and sizes are counted, so that it ends on the slowest machine, too, without a look at the clock."""
    monkeypatch.setattr("models.chat.sandbox.MAX_SECONDS", math.inf)
    with pytest.raises(ChatTemplateError):
        render_template(template, TALK, add_generation_prompt=True)


def test_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.chat.sandbox.MAX_SECONDS", 0.0)
    with pytest.raises(ChatTemplateError, match="may never end"):
        render_template("{% for m in messages %}{{ m }}{% endfor %}", TALK, add_generation_prompt=True)


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
