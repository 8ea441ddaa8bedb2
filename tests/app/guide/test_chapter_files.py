"""What stands in the chapters: short, with no number that nobody measured, no dead link, and time enough."""

from __future__ import annotations

import re

import pytest

from terrarium.app.guide.actions import ChooseDesign, Open, PointAt, PrepareRun, Press
from terrarium.app.guide.chapters import MAX_WORDS, Chapter, Step, guide_files, parse_chapter, prose_of, read_chapters
from terrarium.app.guide.checks import Judged, RunFinished, RunStarted
from terrarium.app.guide.missions import MISSIONS
from terrarium.app.help.places import PLACES
from terrarium.app.shell.guide.anchors import ANCHORS
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES
from terrarium.models.settings.presets import PRESETS

CHAPTERS, _ = read_chapters()
STEPS = [(chapter, step) for chapter in CHAPTERS for step in chapter.steps]
WORDS_PER_MINUTE = 150
"""Read slowly, as one does who does something at the same time."""
PREPARED_MINUTES = 0.75
"""Of a run that a step prepares: 10 to 25 s on two cores."""
PREFERENCE_MINUTES, JUDGED_MINUTES = 0.75, 0.15
"""Of DPO on ten pairs on two cores; of reading a pair of stories and choosing between them."""
MAX_MINUTES = 6
FILE = """\
# A title

```guide
minutes = 3
makes = "Something."
```

## A step

Do it.

```guide
instruction = "Do it."
check = {is = "replied"}
hint = "How."
result = "It said {{reply}}."
```
"""


@pytest.mark.parametrize(("chapter", "step"), STEPS, ids=lambda each: each.title)
def test_prose_names_no_number_that_was_not_measured(chapter: Chapter, step: Step) -> None:
    text = f"{step.prose} {step.instruction} {step.result}"
    written = re.sub(r"\{\{\w+\}\}|“[^”]*”|`[^`]*`|\b(19|20)\d\d\b|\bT5\b|\bGPT-\d\b", "", text)
    assert not re.search(r"\d", written), written
    assert len(step.prose.split()) <= MAX_WORDS


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_there_is_time_enough(chapter: Chapter) -> None:
    """A run that is only to be started goes on while the next steps are read."""
    minutes = {name: recipe.minutes for name, recipe in {**TASK_RECIPES, **DEMONSTRATIONS}.items()}
    needed = has_trained = 0.0
    for step in chapter.steps:
        needed += len(f"{step.prose} {step.instruction} {step.hint}".split()) / WORDS_PER_MINUTE
        needed += sum(PREPARED_MINUTES for action in step.prepares if isinstance(action, PrepareRun))
        for check in step.checks:
            if isinstance(check, RunStarted):
                has_trained = needed + minutes.get(check.kind, 0)
            elif isinstance(check, RunFinished):
                needed += PREFERENCE_MINUTES if check.stage else minutes.get(check.kind, 0)
            elif isinstance(check, Judged):
                needed += check.n * JUDGED_MINUTES
    assert max(needed, has_trained) <= chapter.minutes <= MAX_MINUTES


def test_places_lead_somewhere() -> None:
    actions = [action for _, step in STEPS for action in (*step.prepares, *step.solution)]
    actions += [action for mission in MISSIONS for action in mission.goes]
    assert {action.place for action in actions if isinstance(action, Open)} <= set(PLACES)


def test_anchors_and_presets_exist_and_every_anchor_is_used() -> None:
    actions = [action for _, step in STEPS for action in (*step.prepares, *step.solution)]
    assert {action.anchor for action in actions if isinstance(action, Press | PointAt)} == set(ANCHORS)
    assert {action.preset for action in actions if isinstance(action, ChooseDesign | PrepareRun)} <= set(PRESETS)


def test_the_reader_acts() -> None:
    assert not any(isinstance(action, Press) for _, step in STEPS for action in step.prepares)


def test_links_lead_to_papers() -> None:
    """Papers by their permanent addresses: nothing here can ask whether they answer."""
    hosts = ("arxiv.org/abs/", "aclanthology.org/", "archive.org/details/", "research.google/blog/", "cdn.openai.com/")
    for _, step in STEPS:
        addresses = re.findall(r"\]\(([^)]*)\)", step.prose + step.why)
        assert all(address.startswith(tuple(f"https://{host}" for host in hosts)) for address in addresses)
        found = [re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{5}", each) for each in addresses if "arxiv" in each]
        assert all(found)


def test_the_prose_alone_is_an_ordinary_text() -> None:
    for file in guide_files():
        text = prose_of(file.read_text(encoding="utf-8"))
        assert text.startswith("# ")
        assert "```" not in text
        assert "instruction =" not in text


def test_a_chapter_is_read() -> None:
    chapter = parse_chapter(FILE, "07-some-name")
    assert (chapter.number, chapter.title, chapter.minutes, chapter.needs) == (7, "A title", 3, ())
    (step,) = chapter.steps
    assert (step.title, step.prose, step.instruction) == ("A step", "Do it.", "Do it.")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# A title", "A title", "must begin with “# ”"),
        ("## A step", "A step", "has 2 guide blocks"),
        ("minutes = 3", "minutes = 0", "whole number from 1 on"),
        ("minutes = 3", "minutes = ", "its head: "),
        ("minutes = 3", 'minutes = 3\nneeds = ["a cat"]', "“a cat”, which is not one of chat-model"),
        ("minutes = 3", "minutes = 3\nhours = 1", "unknown entry “hours”"),
        ('instruction = "Do it."', "", "needs “instruction”"),
        ('hint = "How."', "hint = 3", "needs “hint”"),
        ('hint = "How."', 'hint = "How."\ntip = 1', "unknown entry “tip”"),
        ('check = {is = "replied"}', "", "has no “check”"),
        ('{is = "replied"}', '{is = "danced"}', "is not one of at, replied"),
        ('{is = "replied"}', '{is = "replied", loud = true}', "no argument “loud”"),
        ('{is = "replied"}', '{is = "replied", branch = "yes"}', "must be bool"),
        ('{is = "replied"}', '{is = "judged"}', "“judged” needs n"),
        ('{is = "replied"}', '"replied"', "must be a table"),
        ("{{reply}}", "{{replies}}", "names the figure “replies”"),
        (
            "Do it.\n\n```guide\ninstruction",
            f"{'word ' * (MAX_WORDS + 1)}\n\n```guide\ninstruction",
            "1 to 90 are allowed",
        ),
        ('hint = "How."', 'hint = "How."\ntry = [{do = "fly"}]', "is not one of open"),
        ('hint = "How."', 'hint = "How."\npredict = {ask = "?"}', "has the entries ask, options"),
        (
            'hint = "How."',
            'hint = "How."\npredict = {ask = "?", options = ["a", "b"], figure = "n_tokens", bounds = [1, 2]}',
            "one fewer than its options",
        ),
        (
            'hint = "How."',
            'hint = "How."\npredict = {ask = "?", options = ["a", "b"], figure = "moon", bounds = [1]}',
            "figure “moon”, which is unknown",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(old: str, new: str, sentence: str) -> None:
    assert old in FILE
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_chapter(FILE.replace(old, new, 1), "07-some-name")
