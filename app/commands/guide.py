"""`terrarium guide`: lists the chapters of the guide, or prints one of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from terrarium.app.commands.options import Command, argument, print_json
from terrarium.app.guide.chapters import Chapter, guide_files, parse_chapter, prose_of, read_chapters
from terrarium.app.guide.progress import Progress, read_progress
from terrarium.models.library.library import Library

_HOW = "Each chapter is done in the window: press “Guide” there, or Ctrl+Shift+G. To read one here: terrarium guide 2"


class Guide(Command, description=__doc__):
    """List the chapters of the guide, or print one."""

    chapter: str | None = argument("CHAPTER", "its number or name, to print it; default: list all")

    def run(self) -> int:
        """Print the list of chapters with the library's progress, or the prose of a chapter."""
        chapters, problems = read_chapters()
        if self.chapter is not None:
            return _print_chapter(self.chapter, as_json=self.as_json)
        progress = read_progress(Library().home)
        if self.as_json:
            print_json({"chapters": [_as_dict(chapter, progress) for chapter in chapters], "problems": problems})
            return 0
        for chapter in chapters:
            mark = "✓" if progress.of(chapter.name).is_done else " "
            print(f"{chapter.number:>2} {mark} {chapter.title:<32} {chapter.minutes} min")
        for problem in problems:
            print(problem)
        print(f"\n{_HOW}")
        return 0


def _print_chapter(wanted: str, *, as_json: bool) -> int:
    """Print a chapter, by number or name. Raises ValueError if it does not exist."""
    for number, file in enumerate(guide_files(), start=1):
        name = file.name.removesuffix(".md")
        if wanted in (name, name[3:]) or (wanted.isdecimal() and int(wanted) == number):
            text = file.read_text(encoding="utf-8")
            if as_json:
                chapter = dataclasses.replace(parse_chapter(text, name), number=number)
                print_json({**_as_dict(chapter, Progress()), "prose": prose_of(text)})
            else:
                print(prose_of(text), end="")
            return 0
    raise ValueError(f"There is no chapter “{wanted}”: “terrarium guide” lists all.")


def _as_dict(chapter: Chapter, progress: Progress) -> dict[str, Any]:
    return {
        "number": chapter.number,
        "name": chapter.name,
        "title": chapter.title,
        "minutes": chapter.minutes,
        "makes": chapter.makes,
        "steps": [step.title for step in chapter.steps],
        "is_done": progress.of(chapter.name).is_done,
    }
