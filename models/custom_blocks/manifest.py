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
        except (KeyError, ValueError):
            raise ValueError(f"The option {name} is {text!r}: it must be {_KIND_WORDS[kind]}.") from None
        if self.range is not None and not self.range[0] <= value <= self.range[1]:  # type: ignore[operator]
            raise ValueError(
                f"The option {name} is {text}: it must lie between {self.range[0]:g} and {self.range[1]:g}."
            )
        if self.choices and value not in self.choices:
            raise ValueError(f"The option {name} is {text!r}: choose one of {', '.join(self.choices)}.")
        return value


_BOOLS = {"True": True, "False": False}
_KIND_WORDS: Mapping[type, str] = {bool: "True or False", int: "a whole number", float: "a number", str: "a word"}


@dataclass(frozen=True, kw_only=True)
class CustomBlock:
    """What a text says of itself. takes_positions: whether `forward` has a third argument, which rotates queries and
    keys and biases scores (models.architecture.custom.PositionHelp).
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
    except SyntaxError as error:
        raise ValueError(f"Line {error.lineno}: {(error.msg or 'not Python').rstrip('.')}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError("The text is not Python that can be read: its expressions are nested too deeply.") from error
    _check_names(source)
    _check_imports(tree)
    return _block_of(_manifest(tree), _forward_arguments(tree), source)


def _check_characters(source: str) -> None:
    """What is shown must be what runs: no invisible characters, and none that reorder text (Trojan Source,
    arXiv:2111.00169).
    """
    for number, line in enumerate(source.split("\n"), 1):
        for character in line:
            category = unicodedata.category(character)
            if (category in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and character != "\t") or character == "\xad":
                raise ValueError(f"Line {number} has an invisible character (U+{ord(character):04X}): delete it.")


def _check_names(source: str) -> None:
    """Names must be ASCII: Python takes letters that look alike for different ones, or different ones for alike."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and not token.string.isascii():
            raise ValueError(f"Line {token.start[0]}: the name {token.string!r} has letters that are not ASCII.")


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
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "BLOCK" and isinstance(node.ctx, ast.Store | ast.Del)
    ]
    tops = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and node.targets[0] in found
    ]
    if not tops:
        raise ValueError(
            'There is no manifest: begin with BLOCK = {"name": …, "slot": …, "title": …}, as in “Your own block”.'
        )
    if len(found) > 1:
        raise ValueError(f"Line {found[1].lineno} changes BLOCK: assign it once.")
    try:
        manifest = ast.literal_eval(tops[0].value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(
            f"Line {tops[0].lineno}: BLOCK must be a literal, since it is read without running the text: write its "
            "values out."
        ) from None
    if not isinstance(manifest, dict) or not all(isinstance(key, str) for key in manifest):
        raise ValueError(f"Line {tops[0].lineno}: BLOCK must be a dict of names.")
    return manifest


def _forward_arguments(tree: ast.Module) -> int:
    """Return the number of arguments of `Block.forward`, without self."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Block"]
    if len(classes) != 1:
        raise ValueError(f"There {'is no class' if not classes else 'are several classes'} called Block: write one.")
    forwards = [node for node in classes[0].body if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    if len(forwards) != 1:
        raise ValueError(f"Line {classes[0].lineno}: the class Block has no method forward: write one.")
    return len(forwards[0].args.args) - 1


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
    if (applied_to in APPLIED_TO) != (slot == "position") or not isinstance(applied_to, str):
        raise ValueError(f'A position block, and no other, has "applied_to": one of {", ".join(APPLIED_TO)}.')
    if n_arguments not in _ARGUMENTS[slot]:
        raise ValueError(f"forward of a block for {slot} takes {_FORWARD[slot]}, beside self.")
    help_text = manifest.get("help", "")
    if not isinstance(help_text, str) or len(help_text) > 1000 or len(manifest["title"]) > 40:
        raise ValueError('"help" must be a text of at most 1,000 characters, and "title" of at most 40.')
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


_FORWARD = {
    "attention": "(x, allowed), or (x, allowed, positions)",
    "feed_forward": "(x)",
    "position": "what it is applied to",
    "norm": "(x)",
}


def _option(name: Any, about: Any) -> BlockOption:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"The option {name!r} needs a name of small letters, digits and _.")
    if not isinstance(about, dict) or set(about) - _OPTION_KEYS or "default" not in about:
        raise ValueError(
            f'The option {name} needs a "default", and may have {", ".join(sorted(_OPTION_KEYS - {"default"}))}.'
        )
    default = about["default"]
    if type(default) not in _KIND_WORDS or default != default:
        raise ValueError(f"The default of {name} must be a number, True, False or a word.")
    if not all(isinstance(about.get(key, ""), str) for key in ("label", "help")):
        raise ValueError(f"The label and help of {name} must be texts.")
    limits, choices = about.get("range"), about.get("choices", ())
    is_number = type(default) in (int, float)
    if limits is not None:
        is_pair = isinstance(limits, tuple | list) and len(limits) == 2 and all(type(n) in (int, float) for n in limits)
        if not is_number or not is_pair or not limits[0] <= default <= limits[1]:
            raise ValueError(f"The range of {name} must be two numbers with its default between them.")
        limits = float(limits[0]), float(limits[1])
    if choices and (
        not isinstance(choices, tuple | list) or not all(isinstance(c, str) for c in choices) or default not in choices
    ):
        raise ValueError(f"The choices of {name} must be words, with its default among them.")
    return BlockOption(
        default=default,
        label=about.get("label", "") or name.replace("_", " ").capitalize(),
        help=about.get("help", ""),
        range=limits,
        choices=tuple(choices),
    )
