"""The user's decisions about an import: how to read files, the role of each column, and fixes and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from terrarium.models.importing.formats.rows import ReadOptions
from terrarium.models.settings.tasks import JUDGED_BY, TASKS

FIXES = {
    "damaged": "leave out rows that cannot be read from the file",
    "empty": "leave out rows without a text or an answer",
    "invalid": "leave out rows that cannot be read as this task",
    "duplicates": "keep one of rows that are the same",
    "leaks": "leave out training rows that are also in validation or test",
    "near-duplicates": "keep one of rows that are almost the same",
    "contradictions": "leave out texts that have different labels",
    "rare-labels": "leave out labels that occur once",
    "too-long": "leave out rows that are longer than the context",
    "unknown": "leave out rows in which more than a tenth is unknown to the tokenizer",
}
"""Fixes for findings: name → effect. All other rows are imported unchanged."""

DEFAULT_FIXES = frozenset({"empty", "duplicates", "leaks"})

ROLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "language": (("text",),),
    "chat": (("messages",), ("prompt", "reply")),
    "classification": (("text", "label"),),
    "multi-label": (("text", "labels"),),
    "regression": (("text", "score"),),
    "tagging": (("words", "tags"),),
    "span": (("question", "context", "answers"),),
    "text-to-text": (("source", "target"),),
    "preference": (("replies",), ("chosen", "rejected")),
    "unpaired": (("completion", "label"),),
}
"""Task → alternative sets of roles, one of which the columns must fill."""

OPTIONAL_ROLES: dict[str, tuple[str, ...]] = {
    "chat": ("system", "input"),
    "classification": ("text_pair",),
    "multi-label": ("text_pair",),
    "regression": ("text_pair",),
    "text-to-text": tuple(JUDGED_BY),
    "preference": ("prompt", "input", "system", "score_chosen", "score_rejected", "choice", "source"),
    "unpaired": ("prompt", "input", "system", "source"),
}
"""Task → optional roles. For chats and preferences, `input` is appended to the prompt, as in Alpaca. Each task also has
the role "group"."""

GROUP = "group"
"""The role of a column whose equal values must not be divided between training and validation."""

SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}
"""Names of the splits in sentences."""


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """The plan of an import.

    paths: files, folders and archives. task: one of ROLES. columns: role → column (see ROLES, OPTIONAL_ROLES, GROUP).
    name: the dataset's. val_fraction, test_fraction: the fractions of the training rows for those splits, if the source
    does not have the split itself. seed: of the split. fixes: of FIXES. tokenizer: a name in the library, for token
    counts; "" skips these checks. context: the context length in tokens; 0 skips its check.
    """

    paths: tuple[str, ...]
    task: str
    columns: Mapping[str, str]
    name: str = ""
    read: ReadOptions = field(default_factory=ReadOptions)
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 1
    fixes: frozenset[str] = DEFAULT_FIXES
    tokenizer: str = ""
    context: int = 0

    def check(self) -> None:
        """Raise ValueError, with a sentence, if the plan is invalid."""
        if self.task not in ROLES:
            raise ValueError(f"There is no task {self.task!r} for files: choose one of {', '.join(ROLES)}.")
        ways, optional = ROLES[self.task], (*OPTIONAL_ROLES.get(self.task, ()), GROUP)
        known = {role for way in ways for role in way} | set(optional)
        for role in self.columns:
            if role not in known:
                raise ValueError(f"{self.task} has no role {role!r}: it has {', '.join(sorted(known))}.")
        if not any(all(self.columns.get(role) for role in way) for way in ways):
            missing = [role for role in ways[-1] if not self.columns.get(role)]
            raise ValueError(
                f"{TASKS[self.task].title} needs a column as {' and '.join(map(repr, missing))}: choose which one "
                "that is."
            )
        for fix in self.fixes:
            if fix not in FIXES:
                raise ValueError(f"There is no fix {fix!r}: choose of {', '.join(FIXES)}.")
        if (
            not (0 <= self.val_fraction < 1 and 0 <= self.test_fraction < 1)
            or self.val_fraction + self.test_fraction >= 1
        ):
            raise ValueError(
                f"Validation {self.val_fraction:g} and test {self.test_fraction:g} leave nothing to train on: "
                "choose shares below 1 in all."
            )


def source_name(paths: Sequence[str]) -> str:
    """Return a name for files or a folder, without endings: the first, and how many others have another name.

    For example, two parallel files x.en and x.fr are “x”.
    """
    files = [Path(path).absolute() for path in paths]
    names = [file.name if file.is_dir() else file.name.partition(".")[0] or file.name for file in files]
    return names[0] if len(set(names)) == 1 else f"{names[0]} and {len(names) - 1} more"
