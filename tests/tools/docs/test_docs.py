"""The documentation builds without a warning, its links and commands are right, and generated pages are complete."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from terrarium.app.commands.parser import COMMANDS, TOOLS, make_parser
from terrarium.app.commands.settings import SECTIONS
from terrarium.app.session import life
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.settings.align_spec import STAGES
from tests import ROOT
from tools.docs.pages import generated_pages, with_site_links
from tools.docs.pictures import MOVES, OVER, WORKING, draw_layers, pictures

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "guide" / "01-what-is-a-language-model.html").is_file()


def test_what_is_generated_is_complete() -> None:
    pages = generated_pages()
    for command in COMMANDS:
        assert f"## terrarium {command}\n" in pages["reference/options.md"]
    assert "`--steps N`" in pages["reference/options.md"]
    for cls in (section.cls for section in SECTIONS.values()):
        names = [f.name for f in dataclasses.fields(cls) if "label" in f.metadata]
        assert names
        assert [name for name in names if f"| `{name}` |" not in pages["reference/settings.md"]] == []
    assert [name for name in STAGES if f"| `{name}` |" not in pages["reference/stages-and-recipes.md"]] == []
    assert [name for name in METRICS if f"| `{name}` |" not in pages["reference/metrics.md"]] == []
    assert not any("{{" in text for text in pages.values())


def test_links_lead_to_where_the_site_has_their_targets() -> None:
    text = "[a](docs/use/data.md#b) [c](resources/guide/glossary.md) [d](https://example.org) [e](#f)"
    assert with_site_links(text, "README.md", "index.md") == (
        "[a](use/data.md#b) [c](reference/glossary.md) [d](https://example.org) [e](#f)"
    )
    text = "[a](../../CONTRIBUTING.md)"
    assert with_site_links(text, "docs/use/x.md", "use/x.md") == "[a](../develop/contributing.md)"
    assert with_site_links("[a](data.md)", "docs/use/x.md", "use/x.md") == "[a](data.md)"


def test_the_pictures_are_those_of_the_code() -> None:
    drawn = re.findall(r'y="(\d+)" text-anchor="middle">(\w+)<', draw_layers(["a | b", "c"]))
    rows = {name: int(y) for y, name in drawn}
    assert rows["a"] == rows["b"] < rows["c"]
    old = {name for name, picture in pictures().items() if (ROOT / name).read_text(encoding="utf-8") != picture}
    assert old == set(), "python -m tools.docs.pictures draws them again"


def test_the_machine_is_drawn_as_it_is() -> None:
    def is_at(each: life.Life, place: str) -> bool:
        if place == OVER:
            return each.is_over
        return not each.is_over and (each.status in life.WORK if place == WORKING else each.status == place)

    lives = {before for before, _, _ in life.all_moves()}
    for start, end, words, _ in MOVES:
        for events in words.split(" or "):
            ends = [functools.reduce(life.after, events.split(", then "), each) for each in lives if is_at(each, start)]
            assert any(is_at(each, end) for each in ends), (start, events, end)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_are_right(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page.read_text(encoding="utf-8")
    known = {*COMMANDS, *TOOLS}
    assert {name for name in re.findall(r"`terrarium ([a-z]+)", text) if name not in known} == set()
    for fence in re.findall(r"^```(?:sh|bat)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in fence.replace("\\\n", " ").splitlines():
            name, *words = shlex.split(line, comments=True) or [""]
            if name == "terrarium" and words:
                code: object = 0
                try:
                    make_parser(words).parse_args(words)
                except SystemExit as end:
                    code = end.code
                assert code == 0, f"“{line}”: {capsys.readouterr().err}"  # as it is after --help
