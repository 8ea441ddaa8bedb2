"""The tree of runs derived from one another: a base, its fine-tunings, reward models, and the runs that learned from
these. Read from the runs' folders alone. No torch import.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from terrarium.models.evaluation.record import Forgetting, read_evaluation, read_forgetting
from terrarium.models.events import KnowledgeMeasured
from terrarium.models.files.jsonl import last_row, read_rows
from terrarium.models.library.library import RunInfo
from terrarium.models.library.run_record import last_saved_step
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tiny_world.questions import HEADLINE_KINDS
from terrarium.models.tiny_world.world import seed_in

PRETRAINED, FORKED, TUNED, IMPORTED, GONE = "pretrained", "forked", "tuned", "imported", "gone"
"""Kinds of nodes; for runs that learned from pairs or rewards, the kind is the stage of AlignSpec."""
REWARD = "reward"
KNOWS, LOSS = "knows", "loss"
"""Held-out measurements besides the figures of alignment.jsonl."""
_HELD_OUT = ("accuracy", "gold", "pass@1", "kl")
"""Figures of a validation that show the quality of a stage, in this order (see models.alignment.figures)."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A measurement on held-out data.

    name: as in alignment.jsonl; KNOWS: the mean accuracy over the headline kinds of questions; LOSS: the validation
    loss in nats per token. was: the parent's value, None if unknown. parts: kind → (share, n).
    """

    name: str
    value: float
    was: float | None = None
    parts: Mapping[str, tuple[float, int]] | None = None


@dataclass(frozen=True, kw_only=True)
class LineageNode:
    """A run in the tree, or a model that is no longer a run of the library.

    id: of the run, or the path of a model that is not a run. kind: see PRETRAINED. step: of its last checkpoint.
    trained: the last step of its training, which may not be saved yet. parent: the id of the node that it started
    from, at the step `parent_step`. is_fork: whether it continues it. rewarded_by: the id of its reward model, which
    may not be in the tree. rewarder: its name. seconds: of its training. data: the name of its dataset.
    """

    id: str
    name: str
    kind: str
    folder: Path | None = None
    status: str = ""
    problem: str = ""
    created: str = ""
    step: int = 0
    trained: int = 0
    parent: str = ""
    parent_step: int | None = None
    is_fork: bool = False
    rewarded_by: str = ""
    rewarder: str = ""
    data: str = ""
    spec: RunSpec | None = None
    seconds: float | None = None
    held_out: tuple[HeldOut, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it has a model that can generate replies."""
        model = self.spec.model if self.spec is not None and self.has_model else None
        return model is not None and (model.topology, model.head) == ("decoder-only", "language")

    @property
    def scores(self) -> bool:
        """Whether it has a reward model."""
        return self.kind == REWARD and self.has_model

    @property
    def has_model(self) -> bool:
        """Whether it has weights that can be opened."""
        return self.folder is not None and not self.problem and (self.step > 0 or self.status == "imported")


@dataclass(frozen=True)
class StageTree:
    """Nodes, each after its parent; the first one is the root."""

    stages: tuple[LineageNode, ...]

    def find(self, id: str) -> LineageNode | None:
        """Return the node with that id."""
        return next((stage for stage in self.stages if stage.id == id), None)

    def children(self, id: str) -> list[LineageNode]:
        """Return the nodes that started from a node's weights, the oldest first."""
        return [stage for stage in self.stages[1:] if stage.parent == id]

    def above(self, stage: LineageNode) -> str:
        """Return the id of the node below which a node is drawn: its parent, or its reward model if that has the same
        parent.

        So PPO is drawn below its reward model.
        """
        rewarder = self.find(stage.rewarded_by) if stage.rewarded_by else None
        return rewarder.id if rewarder is not None and rewarder.parent == stage.parent else stage.parent


def stage_tree(runs: Sequence[RunInfo], run_id: str) -> StageTree:
    """Build the tree of a run. A parent that no longer exists is a node, too: it connects its children.

    Raises:
        ValueError: if the run is not among `runs`.
    """
    known = {info.id: info for info in runs}
    if run_id not in known:
        raise ValueError("This run is no longer in the library: it may have been moved or deleted.")
    parents = {info.id: _parent(info) for info in runs}
    root, seen = run_id, {run_id}
    while (above := parents.get(root, "")) and above not in seen:
        root = above
        seen.add(root)
    below: dict[str, list[RunInfo]] = {}
    for info in sorted(runs, key=lambda info: (info.created, info.id)):
        below.setdefault(parents[info.id], []).append(info)
    stages = list(_descendants(root, known, below, set()))
    return StageTree(tuple(_with_measured_parents(stages)))


def _descendants(
    id: str, known: Mapping[str, RunInfo], below: Mapping[str, list[RunInfo]], seen: set[str]
) -> Iterator[LineageNode]:
    if id in seen:  # two damaged runs that name each other as parent
        return
    seen.add(id)
    children = below.get(id, [])
    if id in known:
        yield _stage(known[id])
    else:
        yield LineageNode(id=id, name=_name_of_gone(id, children), kind=GONE)
    for child in children:
        yield from _descendants(child.id, known, below, seen)


def _lineage(info: RunInfo) -> dict[str, Any]:
    try:
        return RunFolder.open(info.folder).lineage
    except ValueError:
        return {}


def _parent(info: RunInfo) -> str:
    """Return the id of the run, or the path of the model, that a run started from; "" if none."""
    if info.parent is not None:
        return info.parent[0]
    parent = _lineage(info).get("parent")
    return str(parent.get("run") or parent.get("path") or "") if isinstance(parent, dict) else ""


def _name_of_gone(id: str, children: Sequence[RunInfo]) -> str:
    for child in children:
        parent = _lineage(child).get("parent")
        if isinstance(parent, dict) and parent.get("name"):
            return str(parent["name"])
    return Path(id).name or id


def _stage(info: RunInfo) -> LineageNode:
    common: dict[str, Any] = {
        "id": info.id,
        "name": info.name,
        "folder": info.folder,
        "status": info.status,
        "problem": info.problem or "",
        "created": info.created,
        "parent": _parent(info),
        "parent_step": info.parent[1] if info.parent is not None else None,
        "is_fork": info.parent is not None and not info.is_tuned,
    }
    try:
        run = RunFolder.open(info.folder)
    except ValueError as error:
        return LineageNode(**common | {"problem": info.problem or str(error)}, kind=PRETRAINED)
    rewarder = run.lineage.get("reward_model") or {}
    return LineageNode(
        **common,
        kind=_kind(info, run.spec),
        step=last_saved_step(info.folder),
        trained=info.step,
        rewarded_by=str(rewarder.get("run") or rewarder.get("path") or ""),
        rewarder=str(rewarder.get("name") or ""),
        data=str((run.lineage.get("corpus") or {}).get("name") or run.spec.data.dataset or run.spec.data.source),
        spec=run.spec,
        seconds=info.elapsed_s,
        held_out=tuple(_held_out(run)),
    )


def _kind(info: RunInfo, spec: RunSpec) -> str:
    if info.status == "imported":
        return IMPORTED
    if spec.align is not None:
        return spec.align.stage
    if spec.tune is not None:
        return TUNED
    return FORKED if info.parent is not None else PRETRAINED


def _held_out(run: RunFolder) -> Iterator[HeldOut]:
    """Yield the measurements in the run's files; damaged files are skipped."""
    figures: Mapping[str, float] = {}
    for row in read_rows(run.folder / "alignment.jsonl", {"figures": dict}):
        if row.get("is_validation"):
            figures = row["figures"]
    for name in _HELD_OUT:
        if isinstance(figures.get(name), float | int):
            yield HeldOut(name=name, value=figures[name])
    forgetting: Forgetting | None = None
    with contextlib.suppress(ValueError):
        if (evaluated := read_evaluation(run.folder)) is not None:
            parts = {kind.kind: (kind.accuracy, kind.n) for kind in evaluated.kinds}
            yield HeldOut(name=KNOWS, value=evaluated.accuracy, parts=parts)
    with contextlib.suppress(ValueError):
        forgetting = read_forgetting(run.folder)
    if forgetting is not None and forgetting.after is not None:
        was, now = _known(forgetting.before), _known(forgetting.after)
        if now is not None:
            yield replace(now, was=was.value if was is not None else None)
    last = last_row(run.folder / "metrics.jsonl") or {}
    if run.spec.align is None and last.get("kind") == "val" and isinstance(last.get("loss"), float | int):
        yield HeldOut(name=LOSS, value=last["loss"])


def _known(measured: KnowledgeMeasured) -> HeldOut | None:
    """Return the mean over the headline kinds of questions; None if there are none, as for other texts."""
    parts = {figure.kind: (figure.value, figure.n) for figure in measured.figures}
    headline = [parts[kind][0] for kind in HEADLINE_KINDS if kind in parts]
    return HeldOut(name=KNOWS, value=sum(headline) / len(headline), parts=parts) if headline else None


def _with_measured_parents(stages: Sequence[LineageNode]) -> Iterator[LineageNode]:
    """Fill in missing measurements with those made by a run from the same weights before its first step."""
    for stage in stages:
        if any(found.name == KNOWS for found in stage.held_out) or not stage.writes:
            yield stage
            continue
        for child in stages:
            if child.folder is None or (child.parent, child.parent_step) != (stage.id, stage.step):
                continue
            with contextlib.suppress(ValueError):
                forgetting = read_forgetting(child.folder)
                found = _known(forgetting.before) if forgetting is not None else None
                if found is not None:
                    stage = replace(stage, held_out=(found, *stage.held_out))
                    break
        yield stage


def world_seed_of(run: RunFolder) -> int:
    """Return the seed of the world of a run's data, or of its parent's; 0 if unknown."""
    lineage = run.lineage
    names = (str((lineage.get(what) or {}).get("name", "")) for what in ("corpus", "parent_corpus"))
    return next((seed for name in names if (seed := seed_in(name)) is not None), 0)
