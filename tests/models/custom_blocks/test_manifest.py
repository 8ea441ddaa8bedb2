"""A block's text is read without running it; what is shown is what runs, and what is wrong has a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.models.custom_blocks.loading import block_class
from terrarium.models.custom_blocks.manifest import MAX_BYTES, decode_source, read_block, sha256_of
from terrarium.models.custom_blocks.store import allow
from terrarium.models.library.library import Library
from tests.models.custom_blocks.writers import NAMES, writer
from tests.models.own_blocks import STARTS, start_source

MANIFEST = 'BLOCK = {"name": "plain", "slot": "norm", "title": "Plain"}\n'
CLASS = "class Block(nn.Module):\n    def forward(self, x):\n        return x\n"
PLAIN = f"from torch import nn\n{MANIFEST}{CLASS}"


def with_options(options: str) -> str:
    return PLAIN.replace('"Plain"}', f'"Plain", "options": {options}}}')


@pytest.mark.parametrize("start", STARTS)
def test_starting_points(start: str) -> None:
    block = read_block(start_source(start))
    assert block.source == start_source(start)
    assert block.reference.sha256 == sha256_of(block.source)
    assert block.takes_positions == (start == "temperature")
    assert block.values({}) == {name: option.default for name, option in block.options.items()}


@pytest.mark.parametrize("name", NAMES)
def test_reading_runs_nothing(name: str, library: Library, tmp_path: Path) -> None:
    """But what runs with consent does write: so these are texts that would."""
    marker = tmp_path / "ran"
    block = read_block(writer(name, marker))
    assert not marker.exists()
    allow(block)
    kind = block_class(block)
    assert marker.exists() or name == "in __init__"
    assert callable(kind)


CHARACTERS = {
    "left-to-right override": "\u202d",
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "mark": "\u200f",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "soft hyphen": "\xad",
    "form feed": "\f",
    "carriage return": "\r",
    "NUL": "\0",
    "escape": "\x1b",
    "next line": "\x85",
    "line separator": "\u2028",
    "no-break space": "\xa0",
    "wide space": "\u3000",
    "Hangul filler": "\u3164",
    "half-width filler": "\uffa0",
    "blank Braille": "\u2800",
    "variation selector": "\ufe0f",
    "variation selector 17": "\U000e0100",
    "tag": "\U000e0041",
    "combining joiner": "\u034f",
    "private": "\ue000",
    "unassigned": "\U000e0fff",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("name", CHARACTERS)
@pytest.mark.parametrize("place", ["# {}", "x = '{}'", "x = 'a{}b'"])
def test_invisible_characters(name: str, place: str) -> None:
    with pytest.raises(ValueError, match=r"^Line 5 has an invisible character \(U\+[0-9A-F]+\): delete it"):
        read_block(f"{PLAIN[: PLAIN.index('class')]}\n\n{place.format(CHARACTERS[name])}\n{CLASS}")


@pytest.mark.parametrize("letter", ["\u05d0", "\u0627", "\u0661"])
def test_letters_from_right_to_left(letter: str) -> None:
    with pytest.raises(ValueError, match=r"^Line 6 has a letter that is written from right to left.*\\u0"):
        read_block(f"{PLAIN}x = '{letter}'")


@pytest.mark.parametrize(
    "line",
    ["\uff45xec = 1", "p\u0430ss_ = 1", "\u017felf = 1", "a\xb7b = 1", "\u2118 = 1", "x.\xb5 = 1", "f(\xfc=1)"],
)
def test_names_that_look_like_others(line: str) -> None:
    with pytest.raises(ValueError, match=r"^Line 6: the name .* has letters that are not ASCII"):
        read_block(PLAIN + line)


@pytest.mark.parametrize("text", ["f'{\uff45xec}'", "f'''\n{\xb5}'''", "f'{\"}\"}{\xb5}'", "'a' f'{x:{\xb5}}'"])
def test_names_in_f_strings(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Line \d: .*not ASCII"):
        read_block(f"{PLAIN}x = {text}")


def test_other_letters_in_texts_are_fine() -> None:
    source = PLAIN.replace('"Plain"', '"Größe – 漢字"') + "# Größe\nx = 'é' + f'{1}'\n"
    assert read_block(source).title == "Größe – 漢字"


@pytest.mark.parametrize(
    "title", [r"a\u202eb", r"a\nb", r"a\x1b[0m", r"a\u200b", "a" * 41, r"\ud800", " ", r"\x00", r"\N{NO-BREAK SPACE}"]
)
def test_titles_that_are_not_shown_as_they_are(title: str) -> None:
    with pytest.raises(ValueError, match="title"):
        read_block(PLAIN.replace('"Plain"', f'"{title}"'))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("BLOCK = dict(name='plain', slot='norm', title='Plain')", "Line 2: BLOCK must be a literal"),
        ("BLOCK = {**{}, 'name': 'plain', 'slot': 'norm', 'title': 'P'}", "Line 2: BLOCK must be a literal"),
        ("BLOCK = {'name': f'plain', 'slot': 'norm', 'title': 'P'}", "Line 2: BLOCK must be a literal"),
        ("BLOCK = {'name': print('x')}", "Line 2: BLOCK must be a literal"),
        ("BLOCK = {'name': 'a' * 9}", "Line 2: BLOCK must be a literal"),
        ("BLOCK = {[]: 1}", "Line 2: BLOCK must be a literal"),
        ("BLOCK = {1: 1}", "Line 2: BLOCK must be a dict of names"),
        ("BLOCK = []", "Line 2: BLOCK must be a dict of names"),
        (MANIFEST + MANIFEST, "Line 3 changes BLOCK"),
        (MANIFEST + "BLOCK |= {}", "Line 3 changes BLOCK"),
        (MANIFEST + "del BLOCK", "Line 3 changes BLOCK"),
        (MANIFEST + "for BLOCK in []: pass", "Line 3 changes BLOCK"),
        (MANIFEST + "with open('x') as BLOCK: pass", "Line 3 changes BLOCK"),
        (MANIFEST + "import torch as BLOCK", "Line 3 changes BLOCK"),
        (MANIFEST + "from torch import BLOCK", "Line 3 changes BLOCK"),
        (MANIFEST + "def BLOCK(): pass", "Line 3 changes BLOCK"),
        (MANIFEST + "class BLOCK: pass", "Line 3 changes BLOCK"),
        (MANIFEST + "(BLOCK := {})", "Line 3 changes BLOCK"),
        (MANIFEST + "*BLOCK, x = [1]", "Line 3 changes BLOCK"),
        (MANIFEST + "x = BLOCK = {}", "Line 3 changes BLOCK"),
        (MANIFEST + "try: pass\nexcept Exception as BLOCK: pass", "Line 4 changes BLOCK"),
        (MANIFEST + "match 1:\n    case BLOCK: pass", "Line 4 changes BLOCK"),
        (MANIFEST + "match 1:\n    case {**BLOCK}: pass", "Line 4 changes BLOCK"),
        (MANIFEST + "def f():\n    global BLOCK\n    BLOCK = {}", "Line 5 changes BLOCK"),
        ("BLOCK: dict = {}", "There is no manifest"),
        ("x = BLOCK = {}", "There is no manifest"),
        ("BLOCK, x = {}, 1", "There is no manifest"),
        ("(BLOCK := {})", "There is no manifest"),
        ("def f():\n    BLOCK = {}", "There is no manifest"),
        ("if True:\n    BLOCK = {}", "There is no manifest"),
        ("globals()['BLOCK'] = {}", "There is no manifest"),
        ("BLOCK['name'] = 1", "There is no manifest"),
    ],
)
def test_manifests_that_are_not_one_literal(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        read_block(PLAIN.replace(MANIFEST.strip(), change.strip()))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"plain"', '"../plain"', "must be of small letters"),
        ('"plain"', '"/etc/x"', "must be of small letters"),
        ('"plain"', r'"a\\b"', "must be of small letters"),
        ('"plain"', r'"plain\n"', "must be of small letters"),
        ('"plain"', '"Plain"', "must be of small letters"),
        ('"plain"', f'"{"a" * 41}"', "must be of small letters"),
        ('"plain"', "7", 'needs a "name"'),
        ('"norm"', '"head"', "is not one of attention"),
        ('"norm"', '"position"', "applied_to"),
        ('"norm"', '"norm", "applied_to": "scores"', "applied_to"),
        ('"norm"', '"norm", "applied_to": "elsewhere"', "applied_to"),
        ('"norm"', '"position", "applied_to": ["scores"]', "applied_to"),
        ('"norm"', '"norm", "author": "me"', "unknown key 'author'"),
        ('"norm"', '"norm", "help": 7', '"help" of at most'),
        ('"norm"', r'"norm", "help": "a\u202eb"', '"help" of at most'),
        ("(self, x)", "(self, x, y)", "takes .x., beside self"),
        ("(self, x)", "()", "takes .x., beside self"),
        ("class Block", "class Blocks", "no class called Block"),
        (CLASS, CLASS + CLASS, "several classes called Block"),
        ("def forward", "def backward", "Line 3: the class Block has no method forward"),
        (CLASS, "from torch.nn import Identity as Block", "no class called Block"),
        ("from torch", "from .torch", "Line 1 imports a module beside it"),
        ("from torch", "from . ", "Line 1 imports a module beside it"),
        ("from torch", "import helper\nfrom torch", "Line 1 imports 'helper'"),
        ("        return x", "        import os, helper\n        return x", "Line 5 imports 'helper'"),
        ("from torch", "from torchvision", "Line 1 imports 'torchvision'"),
        ("return x", "return (", "Line 5: "),
        (CLASS, CLASS + "return 1\n", "Line 6: 'return' outside function"),
        (CLASS, CLASS + "def f(a, a): pass\n", "Line 6: duplicate argument"),
        (CLASS, CLASS + f"x = {'9' * 5000}\n", "Line 6: Exceeds the limit"),
        (CLASS, CLASS + "x = " + "(" * 50_000, "Line 6: too many nested parentheses"),
        (CLASS, CLASS + "x = " + "-" * 90_000 + "1", "nested too deeply"),
        (CLASS, CLASS + "x = a" + ".b" * 45_000, "nested too deeply"),
        (CLASS, CLASS + "x = 1" + "+1" * 45_000, "nested too deeply"),
        (CLASS, CLASS + "#" * MAX_BYTES, "longer than 100,000 bytes"),
        (CLASS, CLASS + "# " + "ä" * (MAX_BYTES // 2), "longer than 100,000 bytes"),
    ],
)
def test_what_is_not_a_proper_block(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_block(PLAIN.replace(old, new, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("[]", "must be a dict"),
        (str({f"o{i}": {"default": 1} for i in range(21)}), "at most 20"),
        ("{'A': {'default': 1}}", "needs a name of small letters"),
        ("{'self': {'default': 1}}", "cannot be an argument"),
        ("{'config': {'default': 1}}", "cannot be an argument"),
        ("{'lambda': {'default': 1}}", "cannot be an argument"),
        ("{'a': 1}", 'needs a "default"'),
        ("{'a': {}}", 'needs a "default"'),
        ("{'a': {'default': 1, 'type': 'int'}}", 'needs a "default"'),
        ("{'a': {'default': None}}", "must be a finite number"),
        ("{'a': {'default': 1e999}}", "must be a finite number"),
        ("{'a': {'default': -1e999}}", "must be a finite number"),
        ("{'a': {'default': 1j}}", "must be a finite number"),
        ("{'a': {'default': 0x" + "F" * 5000 + "}}", "must be a finite number"),
        (r"{'a': {'default': 'a\nb'}}", "must be a finite number"),
        ("{'a': {'default': 1, 'label': 7}}", "label and help"),
        (r"{'a': {'default': 1, 'label': 'a\u202eb'}}", "label and help"),
        ("{'a': {'default': 1, 'range': (2, 3)}}", "range of a"),
        ("{'a': {'default': 1, 'range': (0, 1e999)}}", "range of a"),
        ("{'a': {'default': 1, 'range': (0, 0x" + "F" * 500 + ")}}", "range of a"),
        ("{'a': {'default': 1, 'range': (False, True)}}", "range of a"),
        ("{'a': {'default': 1, 'range': 5}}", "range of a"),
        ("{'a': {'default': True, 'range': (0, 1)}}", "range of a"),
        ("{'a': {'default': 'x', 'range': (0, 1)}}", "range of a"),
        ("{'a': {'default': 'x', 'choices': ('y',)}}", "choices of a"),
        ("{'a': {'default': 1, 'choices': (1,)}}", "choices of a"),
    ],
)
def test_options_that_are_not_proper(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_block(with_options(options))


def test_values_have_the_type_of_the_default() -> None:
    block = read_block(
        with_options(
            "{'n': {'default': 3}, 'on': {'default': True}, 'x': {'default': 1, 'range': (0.5, 2)}, "
            "'word': {'default': 'a', 'choices': ('a', 'b')}, 'free': {'default': ''}}"
        )
    )
    assert block.values({}) == {"n": 3, "on": True, "x": 1.0, "word": "a", "free": ""}
    given = block.values({"n": "7", "on": "False", "x": "2", "word": "b", "free": "{x!r}"})
    assert list(map(type, given.values())) == [int, bool, float, str, str]
    assert given == {"n": 7, "on": False, "x": 2.0, "word": "b", "free": "{x!r}"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n", "1.5"),
        ("n", "True"),
        ("n", ""),
        ("n", "9" * 30),
        ("on", "1"),
        ("on", "true"),
        ("x", "nan"),
        ("x", "inf"),
        ("x", "-inf"),
        ("x", "3"),
        ("free", "a\nb"),
        ("free", "\u202e"),
        ("x", "__import__('os')"),
    ],
)
def test_values_that_an_option_does_not_have(name: str, text: str) -> None:
    block = read_block(
        with_options("{'n': {'default': 3}, 'on': {'default': True}, 'x': {'default': 1.0}, 'free': {'default': ''}}")
    )
    if text == "3":
        block = read_block(with_options("{'x': {'default': 1.0, 'range': (0, 2)}}"))
    with pytest.raises(ValueError, match=f"The option {name} is"):
        block.values({name: text})


def test_an_unknown_option() -> None:
    with pytest.raises(ValueError, match="has no option 'x': it has none"):
        read_block(PLAIN).values({"x": "1"})


def test_files() -> None:
    assert decode_source(PLAIN.replace("\n", "\r\n").encode(), "a.py") == PLAIN
    for data, message in (
        (b"\xff\xfe", "not UTF-8"),
        ("+AAo-".encode("utf-16"), "not UTF-8"),
        (b"x" * (MAX_BYTES + 1), "100,001 bytes"),
    ):
        with pytest.raises(ValueError, match=f"^a.py .*{message}"):
            decode_source(data, "a.py")
    with pytest.raises(ValueError, match=r"^Line 1 has an invisible character \(U\+FEFF\)"):
        read_block(decode_source(b"\xef\xbb\xbf" + PLAIN.encode(), "a.py"))
