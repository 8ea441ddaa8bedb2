"""Partial evaluation of a module's text: sets its constants, and cuts what they rule out. Comments and layout stay.

Each rule finds edits of the text from its syntax tree, and all rules run until none finds one. They cover what
models/code_view/reference/ needs, not all of Python: see its docstring.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Values = Mapping[str, Any]
"""Constants of the module by name."""


class Edit(NamedTuple):
    """A replacement of the characters from `start` to before `end`."""

    start: int
    end: int
    text: str


class Module:
    """A module's text with its syntax tree, and the places of its nodes."""

    def __init__(self, text: str) -> None:
        self.text, self.tree = text, ast.parse(text)
        self._walks: dict[ast.AST, list[ast.AST]] = {}
        self.lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))

    def walk(self, node: ast.AST | None = None) -> list[ast.AST]:
        """Return a node (by default the whole tree) and all within it, the outer ones first."""
        node = node or self.tree
        if node not in self._walks:
            self._walks[node] = list(ast.walk(node))
        return self._walks[node]

    def names(self, node: ast.AST) -> list[ast.Name]:
        """Return the names within a node."""
        return [each for each in self.walk(node) if isinstance(each, ast.Name)]

    def at(self, line: int, column: int) -> int:
        """Convert a node's line (from 1) and column (in bytes) to a place in the text."""
        words = self.lines[line - 1]
        return self._starts[line - 1] + (column if words.isascii() else len(words.encode()[:column].decode()))

    def span(self, node: Any) -> tuple[int, int]:
        """Return where a node begins and ends."""
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def of(self, node: ast.AST) -> str:
        """Return a node's text."""
        start, end = self.span(node)
        return self.text[start:end]

    def replaced(self, node: ast.AST, text: str) -> Edit:
        """Replace a node."""
        return Edit(*self.span(node), text)

    def removed(self, node: Any) -> Edit:
        """Remove the lines of a statement, with the comments above it."""
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        last = node.end_lineno
        while self.lines[first - 2].lstrip().startswith("#"):
            first -= 1
        if isinstance(node, ast.Import | ast.ImportFrom) and self.lines[last].isspace():
            last += 1
        return Edit(self._starts[first - 1], self._starts[last], "")

    def body(self, statements: list[Any], by: int) -> str:
        """Return the lines of statements, with the comments above them, moved left by `by`."""
        first = statements[0].lineno
        while self.lines[first - 2].lstrip().startswith("#"):
            first -= 1
        lines = self.lines[first - 1 : statements[-1].end_lineno]
        return "".join(line[by:] if line.strip() else line for line in lines)


def pruned(text: str, values: Values) -> str:
    """Return the module with these values of its constants, without what has no effect with them."""

    def with_value(found: re.Match[str]) -> str:
        name = found[1]
        return f"{name} = {values[name]!r}" if name in values else found[0]

    module, before = Module(re.sub(r"^(\w+) = .*?(?=  #|$)", with_value, text, flags=re.MULTILINE)), ""
    while module.text != before:
        before = module.text
        for rule in _RULES:
            if edits := list(rule(module, values)):
                module = Module(_edited(module.text, edits))
    return re.sub(r"\n{4,}", "\n\n\n", module.text)


def _edited(text: str, edits: Iterable[Edit]) -> str:
    """Apply edits, of nested ones the outermost; the others are found again."""
    pieces, done = [], 0
    for start, end, new in sorted(set(edits), key=lambda edit: (edit.start, -edit.end)):
        if start >= done:
            pieces += [text[done:start], new]
            done = end
    return "".join(pieces) + text[done:]


# Conditions


def _simplified(module: Module, node: ast.expr, values: Values) -> bool | str:
    """Evaluate a condition, or return the text of what remains of it."""
    if isinstance(node, ast.BoolOp):
        decides = isinstance(node.op, ast.Or)
        parts = [(each, _simplified(module, each, values)) for each in node.values]
        if any(part is decides for _, part in parts):
            return decides
        left = [(each, part) for each, part in parts if isinstance(part, str)]
        if not left:
            return not decides
        if len(left) == 1:
            return left[0][1]
        grouped = (f"({part})" if isinstance(each, ast.BoolOp) and " " in part else part for each, part in left)
        return (" or " if decides else " and ").join(grouped)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _simplified(module, node.operand, values)
        return not inner if isinstance(inner, bool) else f"not {inner}"
    if _is_known(module, node, values):
        return bool(eval(compile(ast.Expression(node), "", "eval"), {}, dict(values)))
    return module.of(node)


def _is_known(module: Module, node: ast.expr, values: Values) -> bool:
    kinds = (ast.Constant, ast.Name, ast.Compare, ast.Tuple, ast.cmpop, ast.expr_context)
    return all(isinstance(each, kinds) for each in module.walk(node)) and {
        each.id for each in module.walk(node) if isinstance(each, ast.Name)
    } <= set(values)


def _branches(module: Module, values: Values) -> Iterator[Edit]:
    """Choose the branches of conditions that are known, and shorten those that are known in part."""
    for node in module.walk():
        if isinstance(node, ast.If | ast.IfExp):
            test = _simplified(module, node.test, values)
            if isinstance(test, str):
                if test != module.of(node.test):
                    yield module.replaced(node.test, test)
            elif isinstance(node, ast.IfExp):
                yield module.replaced(node, module.of(node.body if test else node.orelse))
            else:
                yield _chosen(module, node, test)
        elif isinstance(node, ast.BoolOp):
            test = _simplified(module, node, values)
            if test != module.of(node):
                yield module.replaced(node, str(test))


def _chosen(module: Module, node: ast.If, test: bool) -> Edit:
    """Replace an `if` or `elif` by the branch that is taken."""
    whole = module.removed(node)
    is_elif = module.of(node).startswith("elif")
    kept = node.body if test else node.orelse
    if not kept:
        return whole
    if not test and isinstance(kept[0], ast.If) and module.of(kept[0]).startswith("elif"):
        text = module.body(kept, 0)
        return whole._replace(text=text if is_elif else text.replace("elif", "if", 1))
    if is_elif:
        return whole._replace(text=" " * node.col_offset + "else:\n" + module.body(kept, 0))
    return whole._replace(text=module.body(kept, kept[0].col_offset - node.col_offset))


def _unreachable(module: Module, values: Values) -> Iterator[Edit]:
    """Remove what follows a return."""
    for node in module.walk():
        for block in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if isinstance(block, list):
                ends = [i for i, statement in enumerate(block) if isinstance(statement, ast.Return)]
                yield from (module.removed(statement) for statement in (block[ends[0] + 1 :] if ends else []))


def _switches(module: Module, values: Values) -> Iterator[Edit]:
    """Write the values of switches, which are bools and texts, in place of their names."""
    for node in module.walk():
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and isinstance(values.get(node.id), bool | str)
        ):
            value = values[node.id]
            yield module.replaced(node, str(value) if isinstance(value, bool) else json.dumps(value))


# Calls


class _Callable(NamedTuple):
    """A function, `__init__` or `forward` of the module, with its calls."""

    function: ast.FunctionDef
    calls: list[ast.Call]

    @property
    def parameters(self) -> list[ast.arg]:
        return [each for each in self.function.args.args if each.arg != "self"]

    def argument(self, call: ast.Call, parameter: ast.arg) -> ast.expr | None:
        place = self.parameters.index(parameter)
        if place < len(call.args):
            return call.args[place]
        return next((each.value for each in call.keywords if each.arg == parameter.arg), None)


def _callables(module: Module) -> Iterator[_Callable]:
    classes = {node.name: node for node in module.tree.body if isinstance(node, ast.ClassDef)}
    calls = [node for node in module.walk() if isinstance(node, ast.Call)]
    kinds = _instances(module, set(classes))
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef):
            yield _Callable(node, [call for call in calls if _name(call.func) == node.name])
    for name, node in classes.items():
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                yield _Callable(method, [call for call in calls if _name(call.func) == name])
            elif isinstance(method, ast.FunctionDef):
                yield _Callable(method, [call for call in calls if name in kinds.get(module.of(call.func), ())])


def _instances(module: Module, classes: set[str]) -> dict[str, set[str]]:
    """Return the classes of the module's objects, by how attributes and variables are written: `self.norm`, `block`."""
    kinds: dict[str, set[str]] = {}
    for node in module.walk():
        if isinstance(node, ast.Assign):
            found = {_name(each.func) for each in module.walk(node.value) if isinstance(each, ast.Call)} & classes
            kinds.setdefault(module.of(node.targets[0]), set()).update(found)
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Attribute):
            kinds.setdefault(module.of(node.target), set()).update(kinds.get(module.of(node.iter), ()))
    return kinds


def _name(node: ast.AST) -> str:
    """Return the last part of a name: `c` of a.b.c."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _parameters(module: Module, values: Values) -> Iterator[Edit]:
    """Remove parameters that nothing reads; write one that is the same constant in all calls as that constant."""
    found: list[Edit] = []
    for each in _callables(module):
        unused = []
        for parameter in each.parameters:
            uses = [name for line in each.function.body for name in module.names(line) if name.id == parameter.arg]
            given = [each.argument(call, parameter) for call in each.calls]
            texts = {module.of(value) if value is not None and _is_constant(value, values) else "" for value in given}
            if not uses:
                unused.append(parameter)
            elif len(texts) == 1 and all(texts) and not any(isinstance(use.ctx, ast.Store) for use in uses):
                found += (module.replaced(use, *texts) for use in uses)
        if unused:
            edits = list(_without(module, each, unused))
            if not any(edit.start < end and start < edit.end for edit in edits for start, end, _ in found):
                found += edits
    return iter(found)


def _without(module: Module, found: _Callable, unused: list[ast.arg]) -> Iterator[Edit]:
    """Remove parameters from a function's first line, and what is given for them from its calls."""
    all_ = found.function.args.args
    defaults = dict(zip([each.arg for each in all_[::-1]], found.function.args.defaults[::-1], strict=False))
    last = defaults.get(all_[-1].arg, all_[-1])
    kept = [each for each in all_ if each not in unused]
    words = (module.text[module.span(each)[0] : module.span(defaults.get(each.arg, each))[1]] for each in kept)
    yield Edit(module.span(all_[0])[0], module.span(last)[1], ", ".join(words))
    for call in found.calls:
        gone = [found.argument(call, parameter) for parameter in unused]
        arguments = [*call.args, *call.keywords]
        if arguments:
            left = [each for each in arguments if getattr(each, "value", each) not in gone and each not in gone]
            start, end = module.span(arguments[0])[0], module.span(arguments[-1])[1]
            yield Edit(start, end, ", ".join(module.of(each) for each in left))


def _is_constant(node: ast.expr, values: Values) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in values)


def _inlined(module: Module, values: Values) -> Iterator[Edit]:
    """Write a call of a function that comes to a single return as what it returns."""
    for each in _callables(module):
        for call in each.calls if each.function in module.tree.body else []:
            given = {parameter.arg: each.argument(call, parameter) for parameter in each.parameters}
            literals = {name: node.value for name, node in given.items() if isinstance(node, ast.Constant)}
            result = _result(module, each.function.body, {**values, **literals})
            if result is not None:
                start, end = module.span(result)
                uses = [(use, node) for use in module.names(result) if (node := given.get(use.id)) is not None]
                edits = (module.replaced(use, module.of(node)) for use, node in uses)
                moved = [Edit(edit.start - start, edit.end - start, edit.text) for edit in edits]
                yield module.replaced(call, _edited(module.text[start:end], moved))


def _result(module: Module, body: list[Any], values: Values) -> ast.expr | None:
    """Return what a function's body returns, if conditions that are known lead to it at once."""
    for line in body:
        if isinstance(line, ast.Return):
            result = line.value
            while isinstance(result, ast.IfExp):
                test = _simplified(module, result.test, values)
                if isinstance(test, str):
                    break
                result = result.body if test else result.orelse
            return result
        test = _simplified(module, line.test, values) if isinstance(line, ast.If) else ""
        if test is True:
            return _result(module, line.body, values)
        if test is not False:
            return None
    return None


_DEFAULTS = {"bias=True", "bias=None", "attn_mask=None", "is_causal=False", "dropout_p=0.0", "scale=None"}
"""Arguments of torch's functions that say nothing."""


def _defaults(module: Module, values: Values) -> Iterator[Edit]:
    """Leave out such arguments."""
    for node in module.walk():
        if isinstance(node, ast.Call) and any(module.of(each) in _DEFAULTS for each in node.keywords):
            arguments = [*node.args, *node.keywords]
            kept = [text for each in arguments if (text := module.of(each)) not in _DEFAULTS]
            yield Edit(module.span(arguments[0])[0], module.span(arguments[-1])[1], ", ".join(kept))


# Names within classes and functions


def _attributes(module: Module, values: Values) -> Iterator[Edit]:
    """Remove attributes that hold constants, that nothing reads, or that are modules which change nothing."""
    for node in (each for each in module.tree.body if isinstance(each, ast.ClassDef)):
        inside = list(module.walk(node))
        for line in (each for each in inside if isinstance(each, ast.Assign)):
            target = line.targets[0]
            if not isinstance(target, ast.Attribute):
                continue
            uses = [each for each in inside if isinstance(each, ast.Attribute) and each.attr == target.attr]
            uses.remove(target)
            if module.of(line.value) == "nn.Identity()":
                yield from (
                    module.replaced(call, module.of(call.args[0]))
                    for call in inside
                    if isinstance(call, ast.Call) and call.func in uses
                )
            elif _is_constant(line.value, values):
                yield from (module.replaced(use, module.of(line.value)) for use in uses)
            elif not isinstance(line.value, ast.Name):
                continue
            if not uses:
                yield module.removed(line)


def _variables(module: Module, values: Values) -> Iterator[Edit]:
    """Remove variables that hold a literal or are never read, and assignments of a name to itself."""
    for function in (each for each in module.walk() if isinstance(each, ast.FunctionDef)):
        names = module.names(function)
        for line in (each for each in module.walk(function) if isinstance(each, ast.Assign)):
            target = line.targets[0]
            if module.of(target) == module.of(line.value):
                yield module.removed(line)
            elif isinstance(target, ast.Name):
                stored = [each for each in names if each.id == target.id and isinstance(each.ctx, ast.Store)]
                loaded = [each for each in names if each.id == target.id and isinstance(each.ctx, ast.Load)]
                if len(stored) == 1 and _stays(line.value, names):
                    yield from (module.replaced(each, module.of(line.value)) for each in loaded)
                if not loaded:
                    yield module.removed(line)
        for loop in (each for each in module.walk(function) if isinstance(each, ast.GeneratorExp)):
            target = loop.generators[0].target
            if isinstance(target, ast.Name) and target.id not in ("_", *(each.id for each in module.names(loop.elt))):
                yield module.replaced(target, "_")


def _stays(node: ast.expr, names: list[ast.Name]) -> bool:
    """Return whether a value is a literal, or a name that is not assigned among `names`."""
    if isinstance(node, ast.Name):
        return not any(each.id == node.id and isinstance(each.ctx, ast.Store) for each in names)
    return isinstance(node, ast.Constant)


def _returns(module: Module, values: Values) -> Iterator[Edit]:
    """Return what is assigned to a variable only to return it."""
    for node in module.walk():
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef) and isinstance(body, list) and len(body) > 1:
            line, end = body[-2:]
            is_plain = isinstance(line, ast.Assign) and isinstance(end, ast.Return) and isinstance(end.value, ast.Name)
            if is_plain and module.of(line.targets[0]) == module.of(end.value):
                start = module.span(line)[0]
                yield Edit(start, module.span(line.value)[0], "return ")
                yield module.removed(end)


def _unused(module: Module, values: Values) -> Iterator[Edit]:
    """Remove constants, functions, classes and imports that nothing uses."""
    used = {name.id for line in module.tree.body for name in module.names(line) if isinstance(name.ctx, ast.Load)}
    for node in module.tree.body:
        if isinstance(node, ast.Assign):
            names = {_name(node.targets[0])} if isinstance(node.targets[0], ast.Name) else set()
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = {node.name} - set(dir(builtins))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = {each.asname or each.name for each in node.names}
        else:
            continue
        if not names & used:
            yield module.removed(node)


_RULES: tuple[Callable[[Module, Values], Iterator[Edit]], ...] = (
    _branches,
    _unreachable,
    _switches,
    _unused,
    _inlined,
    _parameters,
    _attributes,
    _defaults,
    _variables,
    _returns,
)
