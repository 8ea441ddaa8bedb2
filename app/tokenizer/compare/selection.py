"""Which tokenizers are compared, and in which colours."""

from __future__ import annotations

from collections.abc import Sequence


class Selection:
    """The current tokenizer, unless the user takes it out, and those that the user adds."""

    def __init__(self) -> None:
        self._current = ""
        self._added: list[str] = []
        self._is_taken_out = False
        self._colours: dict[str, int] = {}

    @property
    def current(self) -> str:
        """The current tokenizer, '' for none."""
        return self._current

    def set_current(self, name: str) -> None:
        """Another one is current, '' for none."""
        if name != self._current:
            self._current, self._is_taken_out = name, False

    def tick(self, name: str, is_in: bool) -> None:
        """The user adds one, or takes it out."""
        self._added = [each for each in self._added if each != name] + [name] * is_in
        if name == self._current:
            self._is_taken_out = not is_in

    def keep(self, names: Sequence[str]) -> None:
        """Forget all but these."""
        self._added = [name for name in self._added if name in names]

    def __contains__(self, name: str) -> bool:
        return name in self._added or (name == self._current and not self._is_taken_out)

    def order(self, names: Sequence[str]) -> list[str]:
        """The names with those that are compared first: the current one, then the others as they were added."""
        first = [self._current, *self._added]
        return sorted(names, key=lambda name: first.index(name) if name in self else len(first))

    def give_colours(self, names: Sequence[str]) -> None:
        """Number the colours of what is compared; each keeps its own as long as it is."""
        self._colours = {name: number for name, number in self._colours.items() if name in names}
        for name in names:
            taken = self._colours.values()
            if name not in self._colours:
                self._colours[name] = next(n for n in range(len(names)) if n not in taken)

    def colour(self, name: str) -> int:
        """The number of its colour."""
        return self._colours.get(name, 0)
