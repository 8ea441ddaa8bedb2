"""The actions of `terrarium data` on preferences: sets of judged pairs, the simulated annotator, export."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import UsageError, open_model, settings_from
from terrarium.app.commands.options import Command, argument, option, print_json, slots
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.app.commands.spec_options import split_checkpoint
from terrarium.models.alignment.annotator import Annotator
from terrarium.models.corpora.corpus import Corpus, find_dataset
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count, format_size
from terrarium.models.preferences.dataset import build_set_corpus
from terrarium.models.preferences.measures import makers
from terrarium.models.preferences.store import (
    GOLD,
    PERSON,
    SIMULATED,
    PreferenceSet,
    Reply,
    list_sets,
    rename_set,
)
from terrarium.models.preferences.writing import PREFERENCE_FORMS, write_preferences
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.tasks import PREFERENCE_TASKS, TASKS
from terrarium.models.tiny_world.wishes import HAPPY, WISHES

DATASET_NAME = "a dataset's name, or the name of its folder"
_MAKERS = {PERSON: "you", SIMULATED: "the simulated annotator", GOLD: "the judge of Tiny World"}
_SPLITS = ("train", "val", "test")


class Pairs(Command):
    """List the preference sets, with the pairs and thumbs that were given in the window; make a dataset of one, rename
    or delete it.
    """

    name: str = argument("SET", "the set's name (default: list all)", default="")
    thumbs: bool = option("make a dataset of its thumbs, for KTO, instead of its pairs", one_of="instead")
    rename: str | None = option("rename the set", metavar="NAME", one_of="instead")
    delete: bool = option("move the set to the trash", one_of="instead")

    def run(self) -> None:
        """Perform it, and print the result."""
        library = Library()
        if self.name:
            self._change(library)
        elif self.thumbs or self.rename is not None or self.delete:
            raise UsageError("Name the set: `terrarium data pairs` lists them.")
        else:
            _list_pair_sets(library, as_json=self.as_json)

    def _change(self, library: Library) -> None:
        """Rename or delete a set, or make a dataset of its pairs or thumbs."""
        names = list_sets(library)
        if self.name not in names:
            known = ", ".join(map(repr, names)) or "none yet"
            raise ValueError(f"There is no preference set called {self.name!r}: there are {known}.")
        if self.rename is not None:
            name = rename_set(library, self.name, self.rename)
            self.show({"renamed": {"from": self.name, "to": name}}, f"{self.name!r} is now called {name!r}.")
            return
        if self.delete:
            token = library.move_to_trash(PreferenceSet(library, self.name).folder)
            self.show(
                {"deleted": self.name, "trash": token},
                f"{self.name!r} is in the trash: `terrarium trash restore {token}` puts it back.",
            )
            return
        corpus, left_behind = build_set_corpus(library, self.name, rated=self.thumbs)
        if self.as_json:
            print_json({"dataset": dataset_facts(corpus), "left_behind": left_behind})
            return
        for reason, n in left_behind.items():
            print(f"Left behind: {format_count(n, 'thumb' if self.thumbs else 'pair')} {reason}")
        print(f"Dataset {corpus.label!r} ({corpus.sha}), {format_size(corpus.n_bytes)}")


class Simulate(Command):
    """Let the simulated annotator judge pairs of a model's replies, and add them to a preference set."""

    name: str = argument("SET", "the set's name; it is made if there is none")
    model: str = argument("RUN[@STEP]", "the chat model that replies", complete="run")
    wish: str = option("what the prompts ask for", default=HAPPY, choices=tuple(WISHES))
    n: int = option("prompts, each with one pair of replies", default=100, metavar="N")
    world_seed: int | None = option("the world that is asked about (default: the run's)", metavar="W")
    annotator: Mapping[str, Any] = slots(Annotator, group="the annotator")

    def run(self) -> None:
        """Draw the replies, and print how many pairs were judged."""
        annotator = settings_from(Annotator, self.annotator)
        if self.n < 1:
            raise UsageError("--n must be at least 1.")
        name, step = split_checkpoint(self.model)
        run = RunFolder.open(Library().find_run(name))
        path = run.checkpoint_path(step) if step is not None else run.latest_checkpoint() or run.folder
        model, tokenizer, _ = open_model(str(path), self.device)
        from terrarium.models.alignment.simulated_pairs import PairsJudged, simulated_pairs
        from terrarium.models.alignment.stage_tree import world_seed_of
        from terrarium.models.architecture.transformer import Decoder
        from terrarium.models.library.run_record import checkpoint_step
        from terrarium.models.tiny_world.world import World

        if not isinstance(model, Decoder) or model.config.head != "language":
            raise ValueError(f"{run.name} does not reply to messages: choose a chat model.")
        rng, world = (
            random.Random(annotator.seed),
            World(world_seed_of(run) if self.world_seed is None else self.world_seed),
        )
        rows = [WISHES[self.wish].draw(world, rng, False) for _ in range(self.n)]
        made = Reply(content="", run=run.id, model=run.name, step=0 if path == run.folder else checkpoint_step(path))
        chosen, n_pairs = PreferenceSet(Library(), self.name), 0
        with ProgressLine(as_json=self.as_json) as line:
            for event in simulated_pairs(model, tokenizer, rows, annotator, made, seed=annotator.seed):
                line.show(event)
                if isinstance(event, PairsJudged) and event.pairs:
                    chosen.add(event.pairs)
                    n_pairs += len(event.pairs)
        self.show(
            {"set": self.name, "pairs": n_pairs}, f"{format_count(n_pairs, 'pair')} judged and added to {self.name!r}."
        )


class Export(
    Command,
    help="write a dataset of preferences for other programs",
    description="Write a dataset of preferences for other programs, and say what their form cannot hold.",
    epilog=f"Forms: {', '.join(f'{name} ({form.title})' for name, form in PREFERENCE_FORMS.items())}.",
):
    """Write a dataset of preferences."""

    name: str = argument("NAME", DATASET_NAME, complete="dataset")
    file: Path = argument("FILE", "the file to write; it is replaced")
    form: str = option("the form of FILE", default="trl", choices=tuple(PREFERENCE_FORMS))
    split: str | None = option("only these rows (default: all)", choices=_SPLITS)

    def run(self) -> None:
        """Write the file, and print what it holds."""
        corpus = find_dataset(Library(), self.name)
        if corpus.task not in PREFERENCE_TASKS:
            raise ValueError(f"{corpus.label!r} has no preferences but is for {TASKS[corpus.task].title.lower()}.")
        splits = [self.split] if self.split else list(corpus.splits)
        if not set(splits) <= set(corpus.splits):
            raise ValueError(f"{corpus.label!r} has no rows for {self.split}: it has {', '.join(corpus.splits)}.")
        rows = (row for split in splits for row in corpus.rows(split))
        n_rows = sum(len(corpus.rows(split)) for split in splits)
        with ProgressLine(as_json=self.as_json) as line:
            written = drive(write_preferences(rows, n_rows, self.form, self.file), line)
        if self.as_json:
            print_json({"file": str(self.file), "rows": written.n, "notes": list(written.notes)})
            return
        for note in written.notes:
            print(note)
        print(f"{self.file}: {format_count(written.n, 'row')}")


def _list_pair_sets(library: Library, *, as_json: bool) -> None:
    sets = {each: makers(PreferenceSet(library, each).read().pairs) for each in list_sets(library)}
    thumbs = {}
    for each in sets:
        if given := [thumb.is_good for thumb in PreferenceSet(library, each).read_thumbs().thumbs]:
            thumbs[each] = {"up": given.count(True), "down": given.count(False)}
    if as_json:
        print_json({"sets": sets, "thumbs": thumbs})
        return
    for each, by in sets.items():
        words = ", ".join(f"{n:,} by {_MAKERS.get(maker, maker)}" for maker, n in by.items()) or "no pairs"
        rated = f"; thumbs: {thumbs[each]['up']:,} up, {thumbs[each]['down']:,} down" if each in thumbs else ""
        print(f"{each}: {words}{rated}")
    if not sets:
        print("There are no sets yet: pairs are judged in Chat → Judge replies.")


def dataset_facts(corpus: Corpus) -> dict[str, Any]:
    """Return what --json says of a dataset."""
    return {
        "name": corpus.label,
        "sha": corpus.sha,
        "task": corpus.task,
        "metric": corpus.metric,
        "labels": list(corpus.labels),
        "rows": row_counts(corpus),
        "bytes": corpus.n_bytes,
        "seed": corpus.seed,
        "folder": str(corpus.folder),
    }


def row_counts(corpus: Corpus) -> dict[str, int]:
    """Return the number of rows of each split."""
    return {split: len(corpus.rows(split)) for split in corpus.splits}
