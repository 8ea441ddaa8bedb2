"""The shape of the source tree: nothing imports in a circle, no folder becomes a catch-all, and no module a crumb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import grimp
import pytest

from terrarium.app.help.panels import PANELS
from tests import ROOT

ROOTS = ("app", "models", "tools")
MAX_FILES = 40
MAX_LINES = 10_000
"""Of a room, which is a folder right below a root: more, and nobody knows all of it."""
LONGEST, SHORTEST = 500, 40
"""Lines of a module: a longer one is about several things; a shorter one is part of another, but for those in SHORT."""
SHORT = {
    "app/__main__.py": "Python runs the file of this name",
    "app/builder/hues.py": "of two sibling folders that may not import each other",
    "app/chat/conversation/starters.py": "of four modules, and keeps the world out of them until a chat begins",
    "app/kit/logo.py": "of four modules of three rooms, and nothing else in the kit draws the icon",
    "app/run_views/shown_run.py": "of fourteen modules, and lower than each",
    "app/serve/endpoint/errors.py": "of seven modules, and lower than each",
    "app/task_pages/mask_colours.py": "of two pages that do not know each other",
    "models/architecture/norms.py": "a part of every model, as positions.py and experts.py; of seven modules",
    "models/files/encodings.py": "of five modules of three rooms, and lower than each",
    "models/importing/formats/squad.py": "an entry of a registry: one format",
    "models/inference/prompts.py": "of seven modules; reply.py, which it belongs to, must not load tokenizers",
    "models/published/film_reviews.py": "an entry of a registry: one collection",
    "models/settings/activations.py": "one table of settings",
    "models/settings/norms.py": "one table of settings",
    "models/training/parallel/join.py": "keeps torch.distributed out of the trainings of one process",
}
"""Modules that are shorter, each with the reason."""

Graph = dict[str, set[str]]


@pytest.fixture(scope="module")
def imports() -> Graph:
    """Each module with those of ours that it imports, also within functions and for type checks."""
    graph = grimp.build_graph("terrarium", "tools", include_external_packages=False, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def circles(graph: Mapping[str, Iterable[str]]) -> Iterator[list[str]]:
    """Groups of nodes that lead to one another: strongly connected components of two or more (Kosaraju's method)."""
    backwards: dict[str, list[str]] = {node: [] for node in graph}
    for node, others in graph.items():
        for other in others:
            backwards[other].append(node)
    seen: set[str] = set()
    order: list[str] = []
    for node in graph:
        order += _reached(node, graph, seen)
    seen = set()
    for node in reversed(order):
        group = _reached(node, backwards, seen)
        if len(group) > 1:
            yield sorted(group)


def _reached(start: str, graph: Mapping[str, Iterable[str]], seen: set[str]) -> list[str]:
    """What can be reached from `start` and is not in `seen`, to which it is added; each node after what it leads to."""
    if start in seen:
        return []
    seen.add(start)
    done, path = [], [(start, iter(graph[start]))]
    while path:
        node, others = path[-1]
        following = next((other for other in others if other not in seen), None)
        if following is None:
            done.append(node)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(graph[following])))
    return done


def inside(folder: str, imports: Graph) -> Graph:
    """What lies directly in a folder, files and folders, and what of that each imports."""
    depth = folder.count(".") + 2
    names = {module: ".".join(module.split(".")[:depth]) for module in imports if module.startswith(f"{folder}.")}
    graph: Graph = {name: set() for name in names.values()}
    for module, name in names.items():
        graph[name] |= {names[other] for other in imports[module] if other in names} - {name}
    return graph


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"f"}, "f": {"d"}, "g": {"a"}}
    assert sorted(circles(graph)) == [["b", "c"], ["d", "e", "f"]]
    assert inside("x", {"x": {"x.a.b"}, "x.a": set(), "x.a.b": {"x.c"}, "x.c": {"x.a"}, "y": {"x.c"}}) == {
        "x.a": {"x.c"},
        "x.c": {"x.a"},
    }


def test_no_files_import_in_a_circle(imports: Graph) -> None:
    assert list(circles(imports)) == []


def test_no_folders_import_in_a_circle(imports: Graph) -> None:
    folders = {_folder(module) for module in imports} - {""}
    assert {"terrarium.app.chat", "terrarium.app.run_views.curves"} <= folders
    assert {folder: found for folder in sorted(folders) if (found := list(circles(inside(folder, imports))))} == {}


def test_the_panels_of_the_glass_box_are_independent(imports: Graph) -> None:
    glass = "terrarium.app.glass."
    modules = [panel.widget.partition(":")[0] for panel in PANELS.values()]
    parts = {".".join(module.split(".")[:4]) for module in modules if module.startswith(glass)} | {f"{glass}embeddings"}
    owner = {module: part for part in parts for module in imports if module == part or module.startswith(f"{part}.")}
    assert {f"{glass}attention", f"{glass}ablation"} <= set(owner.values())
    mixed = {
        (module, other) for module, part in owner.items() for other in imports[module] if owner.get(other, part) != part
    }
    assert mixed == set()


def test_no_folder_has_too_many_files() -> None:
    files = (path for root in ROOTS for path in (ROOT / root).rglob("*.py") if path.name != "__init__.py")
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in files)
    assert {folder: n for folder, n in counts.items() if n > MAX_FILES} == {}


def test_no_room_is_too_large() -> None:
    lines = Counter[str]()
    for root in ROOTS:
        for path in (ROOT / root).rglob("*.py"):
            lines["/".join(path.relative_to(ROOT).parts[:2])] += len(path.read_text(encoding="utf-8").splitlines())
    assert {room: n for room, n in lines.items() if n > MAX_LINES} == {}


def test_no_module_is_too_long() -> None:
    assert {name: n for name, n in _lengths() if n > LONGEST} == {}


def test_no_module_is_too_short_without_a_reason() -> None:
    assert {name for name, n in _lengths() if n < SHORTEST} == SHORT.keys()


def _lengths() -> Iterator[tuple[str, int]]:
    """Each module, as a path, with its number of lines."""
    for path in (path for root in ROOTS for path in (ROOT / root).rglob("*.py") if path.name != "__init__.py"):
        yield path.relative_to(ROOT).as_posix(), len(path.read_text(encoding="utf-8").splitlines())


def _folder(module: str) -> str:
    return module.rpartition(".")[0]
