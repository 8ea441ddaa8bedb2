"""A custom block's text, read without running it: what it says of itself, and what makes a text acceptable. No torch.

A block is one Python text with a literal manifest and a class `Block`:

    BLOCK = {"name": "retention", "slot": "attention", "title": "Retention", "help": "…",
             "options": {"decay": {"default": 0.97, "label": "Decay", "help": "…", "range": (0.5, 1.0)}}}

    class Block(nn.Module):
        def __init__(self, config, decay): ...
        def forward(self, x, allowed): ...
"""

from __future__ import annotations

import ast
import hashlib
import io
import keyword
import math
import sys
import tokenize
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terrarium.models.settings.block_references import APPLIED_TO, BLOCK_SLOTS, NAME, BlockReference

MAX_BYTES = 100_000
"""The size limit of a text."""

_IMPORTABLE = frozenset(sys.stdlib_module_names | {"torch", "numpy"})
"""What a text may import. Its hash says nothing of other modules, so consent to it would not cover theirs."""

_KEYS = {"name", "slot", "title", "help", "options", "applied_to"}
_OPTION_KEYS = {"default", "label", "help", "range", "choices"}


@dataclass(frozen=True, kw_only=True)
class BlockOption:
    """An option of a block. default: bool, int, float or str, whose type the values have.

    range: the lowest and highest value of a number, or None. choices: the possible words, () = not limited.
    """

    default: bool | int | float | str
    label: str
    help: str = ""
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()

    def read(self, name: str, text: str) -> bool | int | float | str:
        """Return the value that a design gives as text; ValueError if it is not one of this option's."""
        kind = type(self.default)
        try:
            value = _BOOLS[text] if kind is bool else kind(text)
            if not _is_plain(value):
                raise ValueError
        except (KeyError, ValueError):
            raise ValueError(f"The option {name} is {text!r}: it must be {_KIND_WORDS[kind]}.") from None
        if self.range is not None and not self.range[0] <= value <= self.range[1]:  # type: ignore[operator]
            raise ValueError(
                f"The option {name} is {text}: it must lie between {self.range[0]:g} and {self.range[1]:g}."
            )
        if self.choices and value not in self.choices:
            raise ValueError(f"The option {name} is {text!r}: choose one of {', '.join(self.choices)}.")
        return value


def _is_plain(value: bool | int | float | str) -> bool:
    """Return whether a value can be shown, written and read again: a finite number of 64 bits, or a line of text."""
    if isinstance(value, str):
        return value.isprintable()
    return abs(value) < 2**63 and math.isfinite(value)


_BOOLS = {"True": True, "False": False}
_KIND_WORDS: Mapping[type, str] = {bool: "True or False", int: "a whole number", float: "a number", str: "a word"}


@dataclass(frozen=True, kw_only=True)
class CustomBlock:
    """What a text says of itself. takes_positions: whether `forward` has a third argument, which rotates queries and
    keys and biases scores (models.custom_blocks.loading.PositionHelp).
    """

    name: str
    slot: str
    title: str
    source: str = field(repr=False)
    help: str = ""
    options: Mapping[str, BlockOption] = field(default_factory=dict)
    applied_to: str = ""
    takes_positions: bool = False

    def __hash__(self) -> int:
        return hash(self.source)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the exact text, in hexadecimal."""
        return sha256_of(self.source)

    @property
    def reference(self) -> BlockReference:
        """How a design names this block."""
        return BlockReference(self.name, self.sha256, self.applied_to)

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the values of all options: those that a design gives as text, and the defaults of the others.

        Raises:
            ValueError: for an unknown option or a value that it does not have.
        """
        for name in given:
            if name not in self.options:
                has = f"its options are {', '.join(self.options)}" if self.options else "it has none"
                raise ValueError(f"The block “{self.title}” has no option {name!r}: {has}.")
        return {
            name: option.read(name, given[name]) if name in given else option.default
            for name, option in self.options.items()
        }


def sha256_of(source: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(source.encode()).hexdigest()


def decode_source(data: bytes, where: str) -> str:
    """Return the text of a file, with the line ends of Unix; ValueError, naming `where`, if it cannot be a block."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{where} has {len(data):,} bytes, and a block at most {MAX_BYTES:,}: shorten it.")
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ValueError(f"{where} is not UTF-8 text, so it is not a block: choose a Python file.") from None


def read_block(source: str) -> CustomBlock:
    """Read a block's manifest by its syntax tree; nothing of it runs.

    Raises:
        ValueError: if the text does not parse, shows other characters than it has, imports what its hash does not
            cover, or has no proper manifest; with the line, if one is to blame.
    """
    if len(source.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ValueError(f"The text is longer than {MAX_BYTES:,} bytes: shorten it.")
    _check_characters(source)
    try:
        tree = ast.parse(source)
        compile(tree, "<block>", "exec", dont_inherit=True)  # finds what parsing does not, such as a lone `return`
    except SyntaxError as error:
        raise ValueError(f"Line {error.lineno}: {(error.msg or 'not Python').rstrip('.')}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError("The text is not Python that can be read: its expressions are nested too deeply.") from error
    _check_names(source, tree)
    _check_imports(tree)
    return _block_of(_manifest(tree), _forward_arguments(tree), source)


def _check_characters(source: str) -> None:
    """What is shown must be what runs: no invisible characters, and none that reorder text (Trojan Source,
    arXiv:2111.00169).
    """
    for number, line in enumerate(source.split("\n"), 1):
        if line.isascii() and line.replace("\t", " ").isprintable():
            continue
        for character in line:
            if character != "\t" and (not character.isprintable() or character in _INVISIBLE):
                raise ValueError(f"Line {number} has an invisible character (U+{ord(character):04X}): delete it.")
            if unicodedata.bidirectional(character) in ("R", "AL", "AN"):
                raise ValueError(
                    f"Line {number} has a letter that is written from right to left, which reorders what is shown: "
                    f"write it as \\u{ord(character):04x}."
                )


_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
"""Letters and marks that are drawn as nothing, beside the controls and spaces that Python calls not printable: fillers,
joiners and variation selectors."""


def _check_names(source: str, tree: ast.Module) -> None:
    """Names must be ASCII: Python takes letters that look alike for different ones, or different ones for alike."""
    if source.isascii():
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _TEXTS and not token.string.isascii():
            raise ValueError(f"Line {token.start[0]}: the name {token.string!r} has letters that are not ASCII.")
    lines = [line.encode() for line in source.split("\n")]
    for node in ast.walk(tree):  # before Python 3.12, an f-string is one token, with all names in it
        if isinstance(node, ast.JoinedStr) and not _segment(lines, node).isascii():
            raise ValueError(f"Line {node.lineno}: this f-string has letters that are not ASCII: add another string.")


_TEXTS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def _segment(lines: list[bytes], node: ast.expr) -> bytes:
    """Return the part of the lines that a node is read from."""
    assert node.end_lineno is not None
    found = lines[node.lineno - 1 : node.end_lineno]
    found[-1] = found[-1][: node.end_col_offset]
    found[0] = found[0][node.col_offset :]
    return b"".join(found)


def _check_imports(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "."] if not node.level else ["."]
        for name in names:
            if name.partition(".")[0] not in _IMPORTABLE:
                shown = "a module beside it" if name == "." else f"{name!r}"
                raise ValueError(
                    f"Line {node.lineno} imports {shown}: a block is one text, which may import torch, numpy and "  # type: ignore[attr-defined]
                    "Python's own modules."
                )


def _manifest(tree: ast.Module) -> dict[str, Any]:
    """Return the literal that is assigned to BLOCK, at the top level and once."""
    found: list[Any] = [node for node in ast.walk(tree) if _binds_manifest(node)]
    if len(found) > 1:
        line = sorted(node.lineno for node in found)[1]
        raise ValueError(f"Line {line} changes BLOCK: assign it once.")
    tops = [node for node in tree.body if isinstance(node, ast.Assign) and node.targets == found]
    if not tops:
        raise ValueError(
            'There is no manifest: begin with BLOCK = {"name": …, "slot": …, "title": …}, as in “Your own block”.'
        )
    try:
        manifest = ast.literal_eval(tops[0].value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        name = next((f" ({node.id} is a name)" for node in ast.walk(tops[0].value) if isinstance(node, ast.Name)), "")
        raise ValueError(
            f"Line {tops[0].lineno}: BLOCK must be a literal, since it is read without running the text: write its "
            f"values out{name}."
        ) from None
    if not isinstance(manifest, dict) or not all(isinstance(key, str) for key in manifest):
        raise ValueError(f"Line {tops[0].lineno}: BLOCK must be a dict of names.")
    return manifest


def _binds_manifest(node: ast.AST) -> bool:
    """Return whether a node assigns or deletes the name BLOCK: as a variable, an import, a function, a class, …"""
    if isinstance(node, ast.Name):
        return node.id == "BLOCK" and not isinstance(node.ctx, ast.Load)
    return "BLOCK" in (getattr(node, "name", ""), getattr(node, "asname", ""), getattr(node, "rest", ""))


def _forward_arguments(tree: ast.Module) -> int:
    """Return the number of arguments of `Block.forward`, without self."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Block"]
    if len(classes) != 1:
        raise ValueError(f"There {'is no class' if not classes else 'are several classes'} called Block: write one.")
    forwards = [node for node in classes[0].body if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    if len(forwards) != 1:
        raise ValueError(f"Line {classes[0].lineno}: the class Block has no method forward: write one.")
    return len(forwards[0].args.posonlyargs) + len(forwards[0].args.args) - 1


_ARGUMENTS = {"attention": (2, 3), "feed_forward": (1,), "position": (1,), "norm": (1,)}
"""The possible numbers of arguments of `forward`, by place."""


def _block_of(manifest: dict[str, Any], n_arguments: int, source: str) -> CustomBlock:
    if unknown := sorted(set(manifest) - _KEYS):
        raise ValueError(f"BLOCK has an unknown key {unknown[0]!r}: its keys are {', '.join(sorted(_KEYS))}.")
    for key in ("name", "slot", "title"):
        if not isinstance(manifest.get(key), str) or not manifest[key].strip():
            raise ValueError(f'BLOCK needs a "{key}", a word in quotation marks.')
    name, slot = manifest["name"], manifest["slot"]
    if not NAME.fullmatch(name):
        raise ValueError(
            f"The name {name[:60]!r} must be of small letters, digits and _, at most 40, and begin with a letter."
        )
    if slot not in BLOCK_SLOTS:
        raise ValueError(f"The slot {slot[:60]!r} is not one of {', '.join(BLOCK_SLOTS)}.")
    applied_to = manifest.get("applied_to", "")
    if applied_to not in (APPLIED_TO if slot == "position" else ("",)):
        raise ValueError(f'A position block, and no other, has "applied_to": one of {", ".join(APPLIED_TO)}.')
    if n_arguments not in _ARGUMENTS[slot]:
        raise ValueError(f"forward of a block for {slot} takes {_FORWARD[slot]}, beside self.")
    help_text = manifest.get("help", "")
    if not _is_line(manifest["title"], 40) or not _is_line(help_text, 1000):
        raise ValueError('"title" must be one line of at most 40 characters, and "help" of at most 1,000.')
    options = manifest.get("options", {})
    if not isinstance(options, dict) or len(options) > 20:
        raise ValueError('"options" must be a dict, of at most 20 options.')
    return CustomBlock(
        name=name,
        slot=slot,
        title=manifest["title"].strip(),
        help=help_text,
        options={key: _option(key, value) for key, value in options.items()},
        applied_to=applied_to,
        takes_positions=slot == "attention" and n_arguments == 3,
        source=source,
    )


def _is_line(text: Any, most: int) -> bool:
    """Return whether this is a text of one line, whose characters are shown as they are."""
    return isinstance(text, str) and len(text) <= most and text.isprintable()


_FORWARD = {
    "attention": "(x, allowed), or (x, allowed, positions)",
    "feed_forward": "(x)",
    "position": "what it is applied to",
    "norm": "(x)",
}


def _option(name: Any, about: Any) -> BlockOption:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"The option {name!r} needs a name of small letters, digits and _.")
    if keyword.iskeyword(name) or name in ("self", "config"):
        raise ValueError(f"The option {name!r} cannot be an argument of __init__: choose another name.")
    if not isinstance(about, dict) or set(about) - _OPTION_KEYS or "default" not in about:
        raise ValueError(
            f'The option {name} needs a "default", and may have {", ".join(sorted(_OPTION_KEYS - {"default"}))}.'
        )
    default, limits, choices = about["default"], about.get("range"), about.get("choices", ())
    if type(default) not in _KIND_WORDS or not _is_plain(default):
        raise ValueError(f"The default of {name} must be a finite number, True, False or a word.")
    if not all(_is_line(about.get(key, ""), 1000) for key in ("label", "help")):
        raise ValueError(f"The label and help of {name} must be texts of one line.")
    if limits is not None:
        if not _are_limits(limits) or type(default) not in (int, float) or not limits[0] <= default <= limits[1]:
            raise ValueError(f"The range of {name} must be two numbers with its default between them.")
        if float in map(type, limits):  # as in "default": 1, "range": (0.5, 2.0)
            default = float(default)
        limits = float(limits[0]), float(limits[1])
    if choices and (
        not isinstance(choices, tuple | list) or not all(_is_line(c, 100) for c in choices) or default not in choices
    ):
        raise ValueError(f"The choices of {name} must be words, with its default among them.")
    return BlockOption(
        default=default,
        label=about.get("label", "") or name.replace("_", " ").capitalize(),
        help=about.get("help", ""),
        range=limits,
        choices=tuple(choices),
    )


def _are_limits(limits: Any) -> bool:
    is_pair = isinstance(limits, tuple | list) and len(limits) == 2
    return is_pair and all(type(n) in (int, float) and _is_plain(n) for n in limits)
