"""Texts that write a file as soon as anything of them runs, each from another place of Python."""

from __future__ import annotations

from pathlib import Path

_MANIFEST = 'BLOCK = {"name": "writer", "slot": "feed_forward", "title": "Writer"}\n'
_CLASS = """class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.linear = nn.Linear(config.d_model, config.d_model)

    def forward(self, x):
        return self.linear(x)
"""
_START = """from torch import nn


def write(*args):
    open(%s, "w").close()
    return args[0] if args else None


"""
_PARTS = {
    "at the top": ("write()\n", _CLASS),
    "before the manifest": ("", _CLASS),  # see `writers`
    "in a decorator of the class": ("", "@write\n" + _CLASS),
    "in a decorator of a method": ("", _CLASS.replace("    def forward", "    @write\n    def forward")),
    "in a default": ("", _CLASS.replace("self, x)", "self, x=write())")),
    "in a keyword's default": ("", _CLASS.replace("self, x)", "self, x, *, y=write())")),
    "in an annotation": ("", _CLASS.replace("self, x)", "self, x: write())")),
    "in what is returned, annotated": ("", _CLASS.replace("x):\n", "x) -> write():\n")),
    "in the annotation of a variable": ("x: write() = 1\n", _CLASS),
    "in a base class": ("", _CLASS.replace("(nn.Module)", "(nn.Module, write() or object)")),
    "in a metaclass": (
        "class Meta(type):\n    def __new__(cls, *args, **more):\n"
        "        write()\n        return type.__new__(cls, *args)\n",
        _CLASS.replace("(nn.Module)", "(nn.Module, metaclass=Meta)"),
    ),
    "in __init_subclass__": (
        "class Base(nn.Module):\n    def __init_subclass__(cls):\n        write()\n",
        _CLASS.replace("(nn.Module)", "(Base)"),
    ),
    "in __set_name__": (
        "class Named:\n    def __set_name__(self, *args):\n        write()\n",
        _CLASS + "    x = Named()\n",
    ),
    "in the class's body": ("", _CLASS + "    write()\n"),
    "in __del__": ("class Gone:\n    def __del__(self):\n        write()\nGone()\n", _CLASS),
    "in a comprehension": ("x = [write() for _ in range(1)]\n", _CLASS),
    "in an f-string": ('x = f"{write()}"\n', _CLASS),
    "in an assertion": ("assert write() is None\n", _CLASS),
    "by exec": ('exec("write()")\n', _CLASS),
    "by a pickle": ("import pickle\npickle.loads(b\"cbuiltins\\nexec\\n(S'write()'\\ntR.\")\n", _CLASS),
    "by __builtins__": ('getattr(__builtins__, "exec", None) or __builtins__["exec"]\nwrite()\n', _CLASS),
    "in a match": ("match 1:\n    case x if write():\n        pass\n    case _:\n        pass\n", _CLASS),
    "in __getattr__ of the module": ("def __getattr__(name):\n    write()\nwrite()\n", _CLASS),
    "in __init__": (
        "",
        _CLASS.replace("        super().__init__()\n", "        super().__init__()\n        write()\n"),
    ),
    "with a cookie": ("# -*- coding: utf-7 -*-\n# +AAo-\nwrite()\n", _CLASS),
}
NAMES = tuple(_PARTS)


def writer(name: str, marker: Path) -> str:
    """The text called `name` (one of NAMES), which writes `marker`."""
    before, block = _PARTS[name]
    start = _START % repr(str(marker))
    first = "write()\n" if name == "before the manifest" else ""
    return start + first + _MANIFEST + before + block
