"""What constants rule out is cut from a module's text, and the rest stays as it is written."""

from __future__ import annotations

from terrarium.models.code_view.pruning import pruned

SOURCE = '''"""A module."""

import math

SIZE = 1  # of all
KIND = "a"
IS_WIDE = False


def scaled(x: float) -> float:
    if KIND == "a":
        return x * SIZE
    return math.sqrt(x)


def total(x: float, y: float, wide: bool) -> float:
    # The first of two.
    if KIND == "b":
        x = x + y
    elif wide or not IS_WIDE:
        # Kept with its comment.
        x = scaled(x)  # once
    else:
        x = 0.0
    print(x)
    return x


print(total(1.0, 2.0, IS_WIDE))
'''


def test_branches_parameters_and_unused_names_are_cut() -> None:
    assert (
        pruned(SOURCE, {"SIZE": 3, "KIND": "a", "IS_WIDE": False})
        == '''"""A module."""

SIZE = 3  # of all


def total(x: float) -> float:
    # Kept with its comment.
    x = x * SIZE  # once
    print(x)
    return x


print(total(1.0))
'''
    )
    assert (
        pruned(SOURCE, {"SIZE": 3, "KIND": "b", "IS_WIDE": True})
        == '''"""A module."""


def total(x: float) -> float:
    x = x + 2.0
    print(x)
    return x


print(total(1.0))
'''
    )


def test_what_is_not_known_stays() -> None:
    text = pruned(SOURCE.replace("IS_WIDE))", "input()))"), {"SIZE": 3, "KIND": "a", "IS_WIDE": True})
    assert "    if wide:\n        # Kept with its comment.\n" in text
    assert "    else:\n        x = 0.0\n" in text
    assert "total(1.0, input())" in text


def test_conditions_that_are_known_in_part_are_shortened() -> None:
    source = "SIZE = 1\nif (SIZE and x > 1) or (SIZE == 2 and y):\n    print(x or (y and not SIZE))\n"
    assert "if x > 1:\n    print(x)\n" in pruned(source, {"SIZE": 1})
    assert "if x > 1 or y:\n    print(x)\n" in pruned(source, {"SIZE": 2})
    assert "if " not in pruned(source, {"SIZE": 0})


def test_modules_that_change_nothing_are_cut() -> None:
    source = """class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = make() if HAS_NORM else nn.Identity()
        self.drop = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.norm(x + 1))


print(Part()(y))
"""
    assert "return self.norm(x + 1)\n" in pruned(source, {"HAS_NORM": True})
    assert "return x + 1\n" in pruned(source, {"HAS_NORM": False})


def test_an_attribute_is_not_a_variable_of_the_same_name() -> None:
    source = """class Part(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + 1


class Whole(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.parts = nn.ModuleList(Part() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x, x)
        return self.part(x, x)


print(Whole(given)(z))
"""
    text = pruned(source, {})
    assert "x = part(x)\n" in text
    assert "return self.part(x, x)\n" in text
