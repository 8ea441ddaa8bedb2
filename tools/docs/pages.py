"""The generated pages of the documentation, made of the registries that the program itself reads.

mkdocs calls `on_files` and `on_page_markdown` (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import argparse
import dataclasses
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from terrarium.app.commands.parser import COMMANDS, make_parser
from terrarium.app.commands.settings import SECTIONS, describe_allowed, format_value
from terrarium.app.guide.chapters import Chapter, Step, read_chapters
from terrarium.app.help.glossary import load_glossary
from terrarium.app.help.pictures import PICTURES
from terrarium.app.help.places import PLACES
from terrarium.app.lineage.stage_words import KINDS
from terrarium.app.session import life
from terrarium.app.session.life import all_moves
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES
from terrarium.models.settings.align_spec import STAGES

ROOT = Path(__file__).resolve().parents[2]
_BETTER = {True: "higher", False: "lower", None: "neither"}
_MOVED = {
    "docs/": "",
    "resources/guide/glossary.md": "reference/glossary.md",
    "resources/guide/": "guide/",
    "CONTRIBUTING.md": "develop/contributing.md",
    "ARCHITECTURE.md": "develop/architecture.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
}
"""Where on the site the files of the repository are."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, content in generated_pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs, as to the guide's chapters, to where that is on the site."""
    path = page.file.src_uri
    return markdown if page.file.generated_by else with_site_links(markdown, f"docs/{path}", path)


def generated_pages() -> dict[str, str]:
    """Return each generated page, in Markdown, and the icon by their paths on the site."""
    chapters, problems = read_chapters()
    assert not problems, problems
    return {
        "index.md": _from_the_top("README.md", "index.md"),
        "changelog.md": _from_the_top("CHANGELOG.md", "changelog.md"),
        "assets/icon.svg": (ROOT / "resources" / "icon.svg").read_text(encoding="utf-8"),
        "license.md": f"# License\n\n```text\n{(ROOT / 'LICENSE').read_text(encoding='utf-8')}```\n",
        "develop/contributing.md": _from_the_top("CONTRIBUTING.md", "develop/contributing.md"),
        "develop/architecture.md": _from_the_top("ARCHITECTURE.md", "develop/architecture.md"),
        "reference/options.md": _options(),
        "reference/settings.md": _settings(),
        "reference/stages-and-recipes.md": _stages_and_recipes(),
        "reference/metrics.md": _metrics(),
        "reference/life.md": _life(),
        "reference/glossary.md": _glossary(),
        "guide/index.md": _guide(chapters),
        **{f"guide/{chapter.name}.md": _chapter(chapter) for chapter in chapters},
    }


def _from_the_top(name: str, site_path: str) -> str:
    """Return a page at the top of the repository with its links as they are on the site."""
    return with_site_links((ROOT / name).read_text(encoding="utf-8"), name, site_path)


def with_site_links(markdown: str, path: str, site_path: str) -> str:
    """Point the links of a page to where their targets are on the site.

    Args:
        path: of the page in the repository. site_path: of the page on the site.
    """
    folder, site_folder = posixpath.dirname(path), posixpath.dirname(site_path)

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        for old, new in _MOVED.items():
            if target.startswith(old):
                return f"]({posixpath.relpath(new + target.removeprefix(old), site_folder or '.')}{match[2] or ''})"
        return match[0]

    return re.sub(r"\]\(([^)\s#:]+)(#[^)\s]*)?\)", moved, markdown)


def _cell(text: object) -> str:
    """Return a text that may stand in a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


# -- Commands ----------------------------------------------------------------------------------------------------------


def _options() -> str:
    lines = [
        "# Options of the commands",
        "",
        "[Commands](commands.md) says what each is for. `--help` prints what stands here.",
        "",
    ]
    for name in COMMANDS:
        (commands,) = make_parser([name])._subparsers._group_actions  # type: ignore[union-attr]
        lines += _command(f"terrarium {name}", commands.choices[name], level=2)  # type: ignore[index]
    return "\n".join(lines)


def _command(title: str, parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    """Yield the lines about a command: its description, its options, and its actions."""
    yield f"{'#' * level} {title}"
    yield ""
    if parser.description:
        yield f"{parser.description}\n"
    actions = [each for each in parser._actions if not isinstance(each, argparse._HelpAction)]
    groups = [each for each in actions if isinstance(each, argparse._SubParsersAction)]
    formatter = parser._get_formatter()
    rows = [
        (f"`{_named(each)}`", formatter._expand_help(each) if each.help else "")
        for each in actions
        if each not in groups and each.help != argparse.SUPPRESS
    ]
    if rows:
        yield _table(["option", "meaning"], rows)
    for group in groups:
        for name, below in group.choices.items():
            yield from _command(f"{title} {name}", below, level + 1)


def _named(action: argparse.Action) -> str:
    """Return an option with its value as it is typed: “--steps N”, “MODEL”, “[FILE …]”."""
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    shown = " ".join(value) if isinstance(value, tuple) else str(value)
    if action.option_strings:
        takes = "" if action.nargs == 0 else f" {shown}"
        return f"{', '.join(action.option_strings)}{takes}"
    many = f"{shown} …" if action.nargs in ("+", "*") else shown
    return f"[{many}]" if action.nargs in ("?", "*") else many


# -- Settings ----------------------------------------------------------------------------------------------------------


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "The settings of a run by the sections of its TOML file (`terrarium export RUN --format toml`, "
        "`terrarium train FILE`, `--set train.steps=500`). In the window, “?” beside a setting says the same.",
        "",
    ]
    for name, section in SECTIONS.items():
        lines += [f"## {name}: {section.title[0].lower()}{section.title[1:]}", "", f"`{section.set_by}`", ""]
        rows = [
            (
                f"`{f.name}`",
                f.metadata["label"],
                f"`{format_value(f.default)}`",
                describe_allowed(f.metadata, "`"),
                f.metadata["help"],
            )
            for f in dataclasses.fields(section.cls)
            if "label" in f.metadata
        ]
        lines += [_table(["setting", "in the window", "default", "allowed", "meaning"], rows)]
    return "\n".join(lines)


# -- Registries --------------------------------------------------------------------------------------------------------


def _stages_and_recipes() -> str:
    stages = [(f"`{name}`", KINDS[name][0], KINDS[name][2]) for name in STAGES]
    tasks = [
        (f"`{each.name}`", each.title, each.help, "; ".join(map(str, each.bars)), f"{each.minutes:g}")
        for each in TASK_RECIPES.values()
    ]
    shown = [
        (f"`{each.name}`", each.title, each.help, each.goal, f"{each.minutes:g}") for each in DEMONSTRATIONS.values()
    ]
    return "\n".join(
        [
            "# Stages and recipes",
            "",
            "## Stages of alignment",
            "",
            "`terrarium train --stage STAGE`, or “Learn from” in a new run. Their settings: [align](settings.md).",
            "",
            _table(["stage", "name", "how it learns"], stages),
            "## Tasks",
            "",
            "`terrarium task NAME`, or “Learn a task”. What they reach: [Tasks](../experiments/tasks.md).",
            "",
            _table(["name", "title", "what it does", "bars", "minutes on two cores"], tasks),
            "## Demonstrations",
            "",
            "`terrarium align NAME`. What they reach: [Demonstrations](../experiments/demonstrations.md).",
            "",
            _table(["name", "title", "what it shows", "goal", "minutes on two cores"], shown),
        ]
    )


def _metrics() -> str:
    rows = [
        (f"`{name}`", each.title, each.help, each.unit, _BETTER[each.higher_is_better])
        for name, each in METRICS.items()
    ]
    return f"# Metrics\n\n{_table(['metric', 'name', 'meaning', 'unit', 'better'], rows)}"


def _life() -> str:
    leads: dict[str, dict[str, set[str]]] = {}
    for before, event, after in all_moves():
        if after is not before:
            leads.setdefault(event, {}).setdefault(before.status, set()).add(after.status)
    rows = []
    for event, (sender, words) in life.EVENTS.items():
        by_end: dict[str, list[str]] = {}
        for status, ends in leads[event].items():
            by_end.setdefault(" or ".join(sorted(ends)), []).append(status)
        where = "; ".join(f"{', '.join(sorted(starts))} → **{end}**" for end, starts in sorted(by_end.items()))
        rows.append((f"`{event}`", sender, words, where))
    words = (
        "Every event of `app/session/life.py`, who sends it, and to which status it leads from each other one. Where "
        "there are two, what the user wants decides. An event that is not listed for a status changes nothing there."
    )
    return f"# The life of a training\n\n{words}\n\n{_table(['event', 'sender', 'what it says', 'leads to'], rows)}"


def _glossary() -> str:
    lines = ["# Glossary", "", "In the window, F1 or a “?” beside a word opens its entry.", ""]
    for entry in load_glossary(PLACES, PICTURES).entries:
        lines += [f"## {entry.term}", "", entry.text, ""]
        if entry.formula:
            lines += [f"```text\n{entry.formula}\n```", ""]
    return "\n".join(lines)


# -- The guide ---------------------------------------------------------------------------------------------------------


def _guide(chapters: Sequence[Chapter]) -> str:
    rows = [
        (f"[{each.number}. {each.title}]({each.name}.md)", f"{each.minutes} minutes", each.makes) for each in chapters
    ]
    return (
        "# The guide\n\nIn the window (top right, or Ctrl+Shift+G) the guide sets each step up, waits until it is "
        f"done, and answers with the numbers of your own model.\n\n{_table(['chapter', 'takes', 'you get'], rows)}"
    )


def _chapter(chapter: Chapter) -> str:
    text = "\n".join([f"# {chapter.title}", "", *(line for step in chapter.steps for line in _step(step))])
    return re.sub(r"\{\{\w+\}\}", "…", text)  # a number of the reader's own model, in the window


def _step(step: Step) -> Iterator[str]:
    yield f"## {step.title}\n\n{step.prose}\n"
    if step.prediction is not None:
        yield f"**Guess first:** {step.prediction.question} ({', '.join(step.prediction.options)})\n"
    yield f"**In the window:** {step.instruction} {step.hint}\n"
    if step.why:
        yield f"**Why:** {step.why}\n"
