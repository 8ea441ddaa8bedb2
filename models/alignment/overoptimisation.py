"""Reward against KL: the gain of an alignment over its distance from the parent, and its cost. No torch import.

Optimizing a proxy reward raises the intended (gold) reward only up to a peak; Gao et al. describe this by a law
(“Scaling laws for reward model overoptimization”, arXiv:2210.10760). Letters in shape comments: P prompts, N replies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terrarium.models.alignment.best_of import BestOfPoint, best_of_curve
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.files.jsonl import finite
from terrarium.models.metrics.intervals import difference_error, wilson

Floats = NDArray[np.float64]

MIN_POINTS = 8
"""The minimum number of points to fit a law."""
N_PROMPTS, N_REPLIES = 32, 256
"""The number of held-out prompts, and of the parent's replies to each, from which its curves are measured."""
FEWEST_REPLIES = 32
"""The minimum effective number of replies to a prompt for which reweighted estimates are used."""


@dataclass(frozen=True, kw_only=True)
class EvalPoint:
    """A measurement on held-out prompts after a step.

    kl: nats per reply. proxy: the optimized reward. gold: the share of replies that fulfil the intended goal; both
    NaN if unknown. n: the number of replies, 0 if not recorded.
    """

    step: int
    kl: float
    proxy: float = math.nan
    gold: float = math.nan
    n: int = 0

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of gold (Wilson); None if gold is unknown."""
        return wilson(self.gold * self.n, self.n) if math.isfinite(self.gold) else None


def eval_points(
    kl: Mapping[int, float], proxy: Mapping[int, float], gold: Mapping[int, float], n: Mapping[int, float]
) -> list[EvalPoint]:
    """Make the evaluation points of a run with a KL, in ascending order of step, from values by step."""
    return [
        EvalPoint(
            step=step,
            kl=max(kl[step], 0.0),
            proxy=proxy.get(step, math.nan),
            gold=gold.get(step, math.nan),
            n=int(n.get(step, 0)),
        )
        for step in sorted(kl)
        if math.isfinite(kl[step])
    ]


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The evaluation point with the highest gold, the earliest of equals, and the last point."""

    point: EvalPoint
    last: EvalPoint

    @property
    def fallen(self) -> float:
        """Gold at the peak minus gold at the last point."""
        return self.point.gold - self.last.gold

    @property
    def error(self) -> float:
        """The standard error of `fallen`; NaN if the numbers of replies are unknown."""
        if not self.point.n or not self.last.n:
            return math.nan
        return difference_error(self.point.gold, self.point.n, self.last.gold, self.last.n)

    @property
    def is_clear(self) -> bool:
        """Whether gold has fallen by at least two standard errors."""
        return self.fallen > 0 and self.fallen >= 2 * self.error


def peak_of(points: Sequence[EvalPoint]) -> Peak | None:
    """Return gold's peak among points; None if no point has gold."""
    known = [point for point in points if math.isfinite(point.gold)]
    return Peak(point=max(known, key=lambda point: point.gold), last=known[-1]) if known else None


# -- Gao's law ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GaoFit:
    """Gao's law: gold(d) = start + d (α − β log d) for reinforcement learning, start + d (α − β d) for best-of-n,
    with d = √KL.

    start: the gold of the parent. r2: the share of the variance of gold over the points that it explains. n: the
    number of points.
    """

    alpha: float
    beta: float
    start: float
    r2: float
    n: int
    is_best_of: bool

    def gold(self, d: Floats) -> Floats:
        """Return the gold at distances (n,)."""
        first, second = _design(d, is_best_of=self.is_best_of).T
        gold: Floats = self.start + self.alpha * first - self.beta * second
        return gold

    @property
    def peak(self) -> float:
        """The distance d at which gold is highest; inf if it only rises."""
        if self.beta <= 0:
            return math.inf
        return self.alpha / (2 * self.beta) if self.is_best_of else math.exp(min(self.alpha / self.beta - 1, 700.0))


def fit_gao(kl: Sequence[float], gold: Sequence[float], *, is_best_of: bool) -> GaoFit | None:
    """Fit Gao's law by least squares, with the first point as the parent's.

    None for fewer than MIN_POINTS points, or if their distances or gold values do not differ.

    Args:
        kl: nats, of each point.
        gold: of each point; NaN is left out.
    """
    known = np.isfinite(gold) & np.isfinite(kl)
    d, values = np.sqrt(np.asarray(kl, np.float64)[known]), np.asarray(gold, np.float64)[known]
    if len(d) < MIN_POINTS:
        return None
    design, gained = _design(d, is_best_of=is_best_of), values - values[0]
    found, _, rank, _ = np.linalg.lstsq(design, gained, rcond=None)
    variance = float(((values - values.mean()) ** 2).sum())
    if rank < 2 or variance == 0:
        return None
    unexplained = float(((gained - design @ found) ** 2).sum())
    return GaoFit(
        alpha=float(found[0]),
        beta=float(-found[1]),
        start=float(values[0]),
        r2=1 - unexplained / variance,
        n=len(d),
        is_best_of=is_best_of,
    )


def _design(d: Floats, *, is_best_of: bool) -> Floats:
    """Return the design matrix (n, 2), the factors of α and −β."""
    second = d * d if is_best_of else d * np.log(d, out=np.zeros_like(d), where=d > 0)
    return np.stack((d, second), axis=1)


# -- What is possible -----------------------------------------------------------------------------------------------


def least_kl(share: float, wanted: float) -> float:
    """Return the minimum KL (nats) to the parent of a model that meets a yes-or-no goal in the share `wanted` of its
    replies; inf if impossible. share: how often the parent meets it.

    KL(wanted ‖ share) of two coins: merging all replies of a kind into one outcome can only lower the KL, and so can
    averaging over prompts.
    """
    parts = ((wanted, share), (1 - wanted, 1 - share))
    if any(part > 0 and of <= 0 for part, of in parts):
        return math.inf
    return max(sum(part * math.log(part / of) for part, of in parts if part > 0), 0.0)


def frontier(share: float, n_points: int = 101) -> tuple[Floats, Floats]:
    """Return the best gold that any model can reach on a yes-or-no goal: KL (nats) and gold, each (n), from the
    parent's share to 1.

    Empty if the parent never or always meets it.
    """
    if not 0 < share < 1:
        return np.empty(0), np.empty(0)
    gold = np.linspace(share, 1.0, n_points)
    return np.array([least_kl(share, each) for each in gold.tolist()]), gold


@dataclass(frozen=True, kw_only=True)
class Reweighted:
    """The estimated result of a policy ∝ parent · exp(λ · proxy), which is the best for the proxy at its KL.

    It shows how gold changes as the proxy is optimized. n_effective: the effective sample size of the N replies,
    averaged over prompts.
    """

    kl: float
    proxy: float
    gold: float
    n_effective: float


def predicted(proxy: Sequence[Sequence[float]], gold: Sequence[Sequence[float]]) -> list[Reweighted]:
    """Estimate the result of optimizing the proxy from replies of the parent, as far as their effective number
    allows.

    Args:
        proxy, gold: (P, N), of each reply to each prompt.
    """
    proxies, golds = np.asarray(proxy, np.float64), np.asarray(gold, np.float64)
    assert proxies.shape == golds.shape
    n = proxies.shape[1]
    spread = float(proxies.std(axis=1).mean())
    found: list[Reweighted] = []
    for strength in np.linspace(0.0, 6.0, 61).tolist() if spread > 0 else [0.0]:
        scaled = strength / (spread or 1.0) * proxies
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)  # (P, N)
        n_effective = float((1 / (weights**2).sum(axis=1)).mean())
        if n_effective < min(FEWEST_REPLIES, n):
            break
        kl = np.sum(weights * np.log(np.maximum(n * weights, 1e-300)), axis=1).mean()
        found.append(
            Reweighted(
                kl=max(float(kl), 0.0),
                proxy=float((weights * proxies).sum(axis=1).mean()),
                gold=float((weights * golds).sum(axis=1).mean()),
                n_effective=n_effective,
            )
        )
    return found


# -- What was measured of the parent --------------------------------------------------------------------------------

_FILE = "best_of.json"


@dataclass(frozen=True, kw_only=True)
class ParentCurves:
    """Measurements of a run's parent: best-of-n by the run's reward, and the predicted effect of optimizing that
    reward.

    share: of its replies that fulfil the intended goal, NaN if unknown. n_prompts, n_replies: how many were drawn,
    replies per prompt.
    """

    n_prompts: int
    n_replies: int
    share: float
    best_of: tuple[BestOfPoint, ...]
    predicted: tuple[Reweighted, ...]


def parent_curves(proxy: Sequence[Sequence[float]], gold: Sequence[Sequence[float]]) -> ParentCurves:
    """Compute the curves of (P, N) replies of the parent: their rewards, and whether each fulfils the intended goal
    (NaN: unknown).
    """
    return ParentCurves(
        n_prompts=len(proxy),
        n_replies=len(proxy[0]),
        share=float(np.mean(gold)),
        best_of=tuple(best_of_curve(proxy, gold)),
        predicted=tuple(predicted(proxy, gold)),
    )


def write_parent_curves(folder: Path, curves: ParentCurves) -> None:
    """Write the curves to the run's folder, replacing earlier ones."""
    atomic_write_json(folder / _FILE, {"format": 1, **finite(asdict(curves))})


def read_parent_curves(folder: Path) -> ParentCurves | None:
    """Read the curves of a run; None if they were never measured.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    data = read_json(path)
    try:
        return ParentCurves(
            n_prompts=int(data["n_prompts"]),
            n_replies=int(data["n_replies"]),
            share=_number(data["share"]),
            best_of=tuple(
                BestOfPoint(
                    n=int(row["n"]),
                    gold_error=_number(row.get("gold_error")),
                    **{name: _number(row[name]) for name in ("proxy", "gold", "kl")},
                )
                for row in data["best_of"]
            ),
            predicted=tuple(
                Reweighted(**{name: _number(row[name]) for name in ("kl", "proxy", "gold", "n_effective")})
                for row in data["predicted"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: measure best-of-n again.") from error


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
