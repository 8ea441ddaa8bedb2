"""Win rates of stages against each other on the same prompts, by the judge of a wish, a reward model, and people.
Also the stages' replies, saved in their folders. No torch import.

Letters in comments: S stages, P prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from terrarium.models.corpora.corpus import Example, list_corpora
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.preferences.measures import Match, matches
from terrarium.models.preferences.store import PERSON, Pair, PreferenceSet, Reply, list_sets
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.wishes import WISHES

GOLD, PROXY, YOU = "gold", "proxy", "you"
JUDGES = (GOLD, PROXY, YOU)
_FOLDER, _FORMAT = "replies", 1

Grid = tuple[tuple[Match | None, ...], ...]
"""S × S: how often the stage of the row won against that of the column; None if not measured, and on the diagonal."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A checkpoint of a run, under the run's name."""

    run: str
    name: str
    step: int

    @property
    def key(self) -> str:
        """A key that identifies exactly this model, in the form used by settings."""
        return f"{self.run}@{self.step}"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The first `n` held-out prompts of a wish, in the world of that seed. Each stage replies once to each."""

    wish: str
    world_seed: int = 0
    seed: int = 0
    n: int = 128

    @property
    def title(self) -> str:
        """A file name; independent of n, because the first replies are the same."""
        return f"{self.wish}, world {self.world_seed}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A stage's replies to the first prompts, one each.

    ids: of each reply, with its end token if it `ended`. scores: raw scores of reward models, by their keys.
    """

    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    ended: tuple[bool, ...]
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WinRates:
    """The win rates of stages, by each judge that has judged them.

    reward_model: its name, "" if there is none. seconds: the duration of drawing and judging this time; saved replies
    are not drawn again. shares: for each stage, the share of replies that fulfil the intended goal; None if it has no
    replies. prompts, texts: the prompts (P), and each stage's replies (S × P, None likewise). values: by judge that
    scores single replies, the score of each reply (S × P, None likewise).
    """

    asked: Asked
    contenders: tuple[Contender, ...]
    grids: Mapping[str, Grid]
    reward_model: str = ""
    seconds: float = 0.0
    shares: tuple[float | None, ...] = ()
    prompts: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...] | None, ...] = ()
    values: Mapping[str, tuple[tuple[float, ...] | None, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; shares from 0 to 1."""
        return {
            "wish": self.asked.wish,
            "world_seed": self.asked.world_seed,
            "seed": self.asked.seed,
            "n": self.asked.n,
            "stages": [
                {"run": one.run, "name": one.name, "step": one.step, "as_meant": share}
                for one, share in zip(self.contenders, self.shares, strict=True)
            ],
            "reward_model": self.reward_model or None,
            "judges": {judge: [[_cell(match) for match in row] for row in grid] for judge, grid in self.grids.items()},
            "seconds": self.seconds,
        }


def _cell(match: Match | None) -> dict[str, Any] | None:
    if match is None:
        return None
    share = match.win_rate
    low, high = share.interval or (None, None)
    counts = {"won": match.n_won, "tied": match.n_tied, "lost": match.n_lost}
    return {"win_rate": share.value, "low": low, "high": high, "n": share.n, **counts}


def compared(names: Sequence[str], values: Sequence[Sequence[float] | None]) -> Grid:
    """Compute wins from scores of replies, S × P: the higher score wins each prompt; None: no replies."""
    return tuple(
        tuple(
            None if i == j or ours is None or theirs is None else _match(names[i], names[j], ours, theirs)
            for j, theirs in enumerate(values)
        )
        for i, ours in enumerate(values)
    )


def _match(first: str, second: str, ours: Sequence[float], theirs: Sequence[float]) -> Match:
    pairs = list(zip(ours, theirs, strict=True))
    n_won, n_lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    return Match(first=first, second=second, n_won=n_won, n_tied=len(pairs) - n_won - n_lost, n_lost=n_lost)


def judged_by_people(pairs: Sequence[Pair], contenders: Sequence[Contender]) -> Grid:
    """Compute wins from people's choices on the page “Judge replies” between replies of exactly these checkpoints."""

    def key(reply: Reply) -> str:
        return f"{reply.run}@{reply.step}"

    found: dict[tuple[str, str], Match] = {}
    for match in matches([pair for pair in pairs if pair.by == PERSON], key):
        found[match.first, match.second] = match
        found[match.second, match.first] = Match(
            first=match.second, second=match.first, n_won=match.n_lost, n_tied=match.n_tied, n_lost=match.n_won
        )
    return tuple(tuple(found.get((row.key, column.key)) for column in contenders) for row in contenders)


def pairs_of(library: Library) -> list[Pair]:
    """Return the pairs of all preference sets of the library; unreadable sets are skipped."""
    found: list[Pair] = []
    for name in list_sets(library):
        try:
            found += PreferenceSet(library, name).read().pairs
        except ValueError:
            continue
    return found


def gold_of(row: Example, text: str) -> float:
    """Return the gold score of a reply: 1 or 0 by its wish's intended goal; without such a test, its reward."""
    wish = WISHES[row["wish"]]
    return float(wish.gold_success(row, text)) if wish.gold_success is not None else wish.reward(row, text)


def win_rates(
    library: Library,
    asked: Asked,
    rows: Sequence[Example],
    contenders: Sequence[Contender],
    answers: Sequence[Answers | None],
    reward_model: Contender | None = None,
    seconds: float = 0.0,
) -> WinRates:
    """Compute win rates from the replies to `rows` (None: no replies), and by a reward model if it has scored them."""
    n, names = len(rows), [one.name for one in contenders]
    gold = tuple(
        None if own is None else tuple(gold_of(row, text) for row, text in zip(rows, own.texts[:n], strict=True))
        for own in answers
    )
    values = {GOLD: gold}
    if reward_model is not None:
        scores = [None if own is None else own.scores.get(reward_model.key) for own in answers]
        values[PROXY] = tuple(None if own is None else own[:n] for own in scores)
    grids = {judge: compared(names, found) for judge, found in values.items()}
    grids[YOU] = judged_by_people(pairs_of(library), contenders)
    return WinRates(
        asked=asked,
        contenders=tuple(contenders),
        grids={judge: grids[judge] for judge in JUDGES if judge in grids},
        reward_model=reward_model.name if reward_model is not None else "",
        seconds=seconds,
        shares=tuple(None if own is None else sum(own) / max(1, n) for own in gold),
        prompts=tuple(row["messages"][-1]["content"] if row["messages"] else "" for row in rows),
        texts=tuple(None if own is None else own.texts[:n] for own in answers),
        values=values,
    )


def kept_win_rates(
    library: Library, runs: Sequence[RunFolder], asked: Asked, reward_model: RunFolder | None = None
) -> WinRates:
    """Compute win rates from saved replies of the last checkpoints of runs, and from people's
    choices; draws nothing.
    """
    title = f"Tiny World {asked.world_seed}, wish {asked.wish}"
    corpus = next((one for one in list_corpora(library) if (one.label, one.task) == (title, "prompts")), None)
    held_out = corpus.rows("test") if corpus is not None else ()
    asked = replace(asked, n=min(asked.n, len(held_out)) if held_out else asked.n)
    contenders, answers = [], []
    for run in runs:
        checkpoint = run.latest_checkpoint()
        contenders.append(_contender(run, checkpoint))
        answers.append(read_answers(run.folder, checkpoint, asked) if held_out and checkpoint is not None else None)
    judge = _contender(reward_model, reward_model.latest_checkpoint()) if reward_model is not None else None
    rows = [held_out[i] for i in range(asked.n)] if held_out else []
    return win_rates(library, asked, rows, contenders, answers, judge)


def _contender(run: RunFolder, checkpoint: Path | None) -> Contender:
    return Contender(run=run.id, name=run.name, step=checkpoint_step(checkpoint) if checkpoint is not None else 0)


def read_answers(run: Path, checkpoint: Path, asked: Asked) -> Answers | None:
    """Read the saved replies of a checkpoint to at least `asked.n` prompts.

    None if they are missing, damaged, or of other weights; then they are drawn again.
    """
    try:
        kept = read_json(_file(run, checkpoint, asked))
        if kept["format"] != _FORMAT or kept["weights"] != _weights(checkpoint):
            return None
        scores = {key: tuple(map(float, values)) for key, values in kept["scores"].items()}
        texts, ids = tuple(map(str, kept["texts"])), tuple(tuple(map(int, reply)) for reply in kept["ids"])
        ended = tuple(map(bool, kept["ended"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not asked.n <= len(texts) == len(ids) == len(ended):
        return None
    whole = {key: values for key, values in scores.items() if len(values) == len(texts)}
    return Answers(texts=texts, ids=ids, ended=ended, scores=whole)


def write_answers(run: Path, checkpoint: Path, asked: Asked, answers: Answers) -> None:
    """Save the replies in the run's folder, replacing earlier ones."""
    kept = {
        "format": _FORMAT,
        "weights": _weights(checkpoint),
        "texts": answers.texts,
        "ids": answers.ids,
        "ended": answers.ended,
        "scores": dict(answers.scores),
    }
    atomic_write_json(_file(run, checkpoint, asked), kept)


def _file(run: Path, checkpoint: Path, asked: Asked) -> Path:
    return run / _FOLDER / f"{asked.title}, {checkpoint.name}.json"


def _weights(checkpoint: Path) -> list[list[Any]]:
    """Return what changes with the weights: names, sizes and times of their files."""
    files = sorted(checkpoint.glob("model.*"))
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
