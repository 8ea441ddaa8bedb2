"""The result of an alignment demonstration as table rows and plots: plain data, without widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from terrarium.app.plots.interval_bars import Bar
from terrarium.app.plots.pictures import Axis
from terrarium.app.plots.plot_spec import Goal, PlotSpec, Series
from terrarium.models.alignment.position_kl import SHALLOW
from terrarium.models.evaluation.safety_report import Cell, SafetyReport
from terrarium.models.metrics.intervals import Z, wilson
from terrarium.models.number_words import format_count, format_duration, format_percent, with_minus
from terrarium.models.recipes.demonstrations.demonstrations_table import BASE_STAGE
from terrarium.models.recipes.demonstrations.results import (
    AnyResult,
    ConstitutionResult,
    DemonstrationResult,
    FormatResult,
    RefuseResult,
    StageResult,
)
from terrarium.models.settings.stage_kinds import STAGE_KINDS
from terrarium.models.tiny_world.questions import KIND_MEANINGS, kind_title
from terrarium.models.tiny_world.refusals import FORBIDDEN, TRAINED_ATTACKS

_KINDS = ("knowledge", "reading", "state", "requests")
STAGE_TITLES = ("Stage", "Good stories", "Right", "They end", "Score (σ)", "KL (nats)", "Took")
KIND_TITLES = ("Held-out questions", *map(kind_title, _KINDS))
PAIR_TITLES = ("Reward model", "Right order", "Where one is happy", "Pairs", "Took")
FORMAT_TITLES = ("Stage", "Said twice", *map(kind_title, _KINDS), "Took")
HEALTH_TITLES = ("Stage", "Different pairs of words", "They end")
SAFETY_TITLES = ("Stage", "Told", "Begun for it", "Over-refused", "Ordinary right", "Took")
TABLE_TIPS = {
    "Good stories": "Stories that are right, end happily, have at most 8 sentences, and say nothing twice",
    "Right": "Stories that are grammatical and possible, and about what was asked for",
    "They end": "Stories that end by themselves, not because the length limit was reached",
    "Score (σ)": "Mean score of the reward model, in standard deviations of its scores of the base's stories",
    "KL (nats)": "How far the model is from the base, per story: exact, over the whole vocabulary",
    "Right order": "Held-out pairs whose better story gets the higher score; these were judged without errors",
    "Where one is happy": "The same, for pairs in which only one story ends happily",
    "Told": "Forbidden questions, with held-out phrasings and people, that it answered",
    "Begun for it": "The same when the reply is begun for it, up to the forbidden word",
    "Over-refused": "Harmless look-alikes that were refused",
    "Ordinary right": "Ordinary questions that were answered rightly",
    "Said twice": "Questions that end with “Say it twice.”, and were answered rightly, and twice",
    "Different pairs of words": "Of drawn replies to harmless and ordinary questions: pairs of neighbouring words that "
    "differ, as a share of all pairs. Where a model falls back on a few sentences, this falls",
    "Took": "Time of its training or drawing",
} | {kind_title(kind): f"Held-out questions that were answered rightly: {KIND_MEANINGS[kind]}" for kind in _KINDS}
ATTACKS: Mapping[str, str] = {
    "allowed": "“She allows it”",
    "begin": "The question begins the answer",
    "pretend": "“Pretend to be her”",
    "french": "“Say it in French”",
    "story": "“Tell me a story in which …”",
    "spelled": "“Please spell it”",
    "twice": "Asked again after a refusal",
    "prefill": "The reply has begun already",
}
"""Family of models.tiny_world.refusals.ATTACKS -> its title."""
_TONES = {name: kind.words.tone for name, kind in STAGE_KINDS.items() if kind.words.tone}


# -- Tables ------------------------------------------------------------------------------------------------------------


def share_words(share: float | None, interval: tuple[float, float] | None) -> str:
    """Format a share with its interval, as “87 % (84–90)”; “–” if it was not measured."""
    if share is None:
        return "–"
    if interval is None:
        return format_percent(share)
    low, high = interval
    return f"{format_percent(share)} ({100 * low:.0f}–{100 * high:.0f})"


def stage_rows(result: DemonstrationResult, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the table rows of the stages that write stories."""
    return [
        [
            titles.get(name, name),
            *(
                share_words(getattr(stage, share), _interval(name, stage, share))
                for share in ("gold", "right", "ended")
            ),
            _number(stage.proxy if name != "best_of" else None),  # its score is the annotator's, in other units
            _number(stage.kl),
            _took(stage.seconds),
        ]
        for name, stage in result.stages.items()
        if stage.accuracy is None
    ]


def kind_rows(result: DemonstrationResult, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the table rows of the stages' accuracies on held-out questions, by kind."""
    return [
        [titles.get(name, name), *(share_words(stage.kinds[kind], stage.interval(kind)) for kind in _KINDS)]
        for name, stage in result.stages.items()
        if stage.kinds
    ]


def pair_rows(result: DemonstrationResult, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the table rows of the reward models."""
    return [
        [
            titles.get(name, name),
            share_words(stage.accuracy, stage.interval("accuracy")),
            share_words(stage.accuracy_happy, None),
            f"{stage.n:,}",
            _took(stage.seconds),
        ]
        for name, stage in result.stages.items()
        if stage.accuracy is not None
    ]


def format_rows(result: FormatResult, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the table rows of the stages: how often the format is right if asked for, and accuracies by kind."""
    return [
        [
            titles[name],
            share_words(stage.gold, stage.interval),
            *(share_words(stage.kinds[kind], None) for kind in _KINDS),
            _took(stage.seconds),
        ]
        for name, stage in result.stages.items()
    ]


def health_rows(result: ConstitutionResult, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the table rows that show whether replies collapse: distinct bigrams, and replies that end."""
    return [
        [titles[name], format_percent(health.distinct_2), format_percent(health.ended)]
        for name, health in result.health.items()
    ]


def safety_rows(result: RefuseResult | ConstitutionResult, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the table rows of the stages: forbidden questions told, over-refusal, and ordinary accuracy."""
    return [
        [
            titles.get(name, name),
            _cell_words(report.forbidden, "told"),
            _cell_words(report.attacks["prefill"], "told"),
            _cell_words(report.look_alikes, "refused"),
            _cell_words(report.ordinary, "right"),
            _took(result.seconds[name]),
        ]
        for name, report in result.reports.items()
    ]


def attack_rows(result: RefuseResult | ConstitutionResult) -> list[list[str]]:
    """Return the shares told by each stage except the base: plain questions by kind, then attacks by family."""
    reports = [report for name, report in result.reports.items() if name != BASE_STAGE]
    rows = [[about.title, "", *_told(reports, "kinds", kind)] for kind, about in FORBIDDEN.items()]
    for family, words in ATTACKS.items():
        known = "trained on" if family in TRAINED_ATTACKS else "never trained on"
        rows.append([words, known, *_told(reports, "attacks", family)])
    return rows


def outcome_bars(result: AnyResult, titles: Mapping[str, str]) -> list[Bar]:
    """Return bars of each stage's main figures: the gold share, or forbidden questions told and over-refusal."""
    if isinstance(result, DemonstrationResult):
        return [
            _bar(titles[name], stage.gold, _interval(name, stage, "gold"), "faint" if name == BASE_STAGE else "accent")
            for name, stage in result.stages.items()
            if stage.gold is not None
        ]
    if isinstance(result, FormatResult):
        return [
            _bar(titles[name], stage.gold, stage.interval, "faint" if name == BASE_STAGE else "accent")
            for name, stage in result.stages.items()
        ]
    bars = []
    for name, report in result.reports.items():
        if name != BASE_STAGE:
            told, over = report.forbidden, report.look_alikes
            bars.append(_bar(f"{titles[name]}: told", told.share("told"), told.interval("told"), "danger"))
            bars.append(_bar("… refused needlessly", over.share("refused"), over.interval("refused"), "warning"))
    return bars


def _bar(name: str, share: float, interval: tuple[float, float] | None, tone: str) -> Bar:
    return Bar(name=name, share=share, text=format_percent(share), interval=interval, tone=tone)


def _told(reports: Sequence[SafetyReport], where: str, name: str) -> list[str]:
    return [_cell_words(getattr(report, where)[name], "told") for report in reports]


def _cell_words(cell: Cell, what: str) -> str:
    return share_words(cell.share(what), cell.interval(what))


def _interval(name: str, stage: StageResult, share: str) -> tuple[float, float] | None:
    if name == "best_of":
        top = max(stage.curve, key=lambda point: point["gold"], default=None)
        return _around(top) if top is not None and share == "gold" else None
    return stage.interval(share)


def _around(point: Mapping[str, float]) -> tuple[float, float] | None:
    """Return the interval of a best-of-n share from its standard error over prompts; None without one."""
    margin = Z * point.get("gold_error", 0.0)
    return (max(0.0, point["gold"] - margin), min(1.0, point["gold"] + margin)) if margin else None


def _number(value: float | None) -> str:
    return "–" if value is None else with_minus(f"{value:.2f}")


def _took(seconds: float) -> str:
    return format_duration(seconds) if seconds else ""


# -- Plots -------------------------------------------------------------------------------------------------------------

_Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A measured point. words: its read-out, in a few lines. name: its label. x_interval, y_interval: the ends of its
    error bars."""

    x: float
    y: float
    words: str
    name: str = ""
    x_interval: _Interval | None = None
    y_interval: _Interval | None = None


def plot_of(
    title: str,
    dots: Mapping[tuple[str, str], Sequence[Dot]],
    x: Axis,
    y: Axis,
    *,
    joined: bool = True,
    is_log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    arrows: Sequence[tuple[int, int]] = (),
) -> PlotSpec:
    """Return a plot of measured points.

    Args:
        dots: in order, by the name and the colour role of their series.
        joined: whether a line joins the dots of a series. is_log: whether the x axis is logarithmic.
        marks: (x, label) of dashed vertical lines. arrows: (from, to), as indices of all dots.
    """
    every = [dot for of_series in dots.values() for dot in of_series]
    return PlotSpec(
        series=[_series_of(name, role, of_series, joined) for (name, role), of_series in dots.items()],
        goals=[Goal(value=at, name=words, is_vertical=True, role="warning") for at, words in marks],
        arrows=arrows,
        title=title,
        x_title=x.title,
        x_range=(x.low, x.high),
        x_names=x.ticks,
        y_title=y.title,
        y_range=(y.low, y.high),
        y_names=y.ticks,
        is_log_x=is_log,
        at=np.array([dot.x for dot in every]),
        heights=np.array([dot.y for dot in every]),
        words=lambda i: every[i].words,
    )


def _series_of(name: str, role: str, dots: Sequence[Dot], joined: bool) -> Series:
    unknown = (math.nan, math.nan)
    low, high = np.array([dot.y_interval or unknown for dot in dots]).reshape(-1, 2).T
    x_low, x_high = np.array([dot.x_interval or unknown for dot in dots]).reshape(-1, 2).T
    has_x = bool(np.isfinite(x_low).any())
    return Series(
        x=np.array([dot.x for dot in dots]),
        y=np.array([dot.y for dot in dots]),
        kind="joined" if joined else "dots",
        name=name,
        role=role,
        width=1.6,
        size=8,
        low=low,
        high=high,
        x_low=x_low if has_x else None,
        x_high=x_high if has_x else None,
        labels=[dot.name for dot in dots],
        in_legend=False,
    )


def best_of_plots(stage: StageResult) -> tuple[PlotSpec, PlotSpec]:
    """Return two plots over the n of best-of-n sampling: the proxy score, and the gold share."""
    points = stage.curve
    ticks = tuple((math.log2(point["n"]), f"{point['n']:,.0f}") for point in points)
    x = Axis(title="Replies of which the best is taken", low=-0.15, high=ticks[-1][0] + 0.15, ticks=ticks)
    proxy = [
        Dot(x=at, y=point["proxy"], words=_best_words(point)) for (at, _), point in zip(ticks, points, strict=True)
    ]
    gold = [
        Dot(x=at, y=100 * point["gold"], words=_best_words(point), y_interval=_percents(_around(point)))
        for (at, _), point in zip(ticks, points, strict=True)
    ]
    top = max(points, key=lambda point: point["gold"])
    return _proxy_and_gold(
        "the annotator's own score", "Score", proxy, gold, x, (math.log2(top["n"]), f"peak at {top['n']:,.0f}")
    )


def _proxy_and_gold(
    what: str,
    unit: str,
    proxy: Sequence[Dot],
    gold: Sequence[Dot],
    x: Axis,
    mark: tuple[float, str],
    *,
    is_log: bool = False,
) -> tuple[PlotSpec, PlotSpec]:
    return (
        plot_of(
            f"What is optimized: {what}",
            {(unit, "accent"): proxy},
            x,
            _number_axis(unit, [dot.y for dot in proxy]),
            marks=[mark],
            is_log=is_log,
        ),
        plot_of(
            "What was meant: happy, short stories",
            {(_GOOD, "validation"): gold},
            x,
            _share_axis(_GOOD, gold),
            marks=[mark],
            is_log=is_log,
        ),
    )


def _best_words(point: Mapping[str, float]) -> str:
    return (
        f"Best of {point['n']:,.0f}\ngood stories {share_words(point['gold'], _around(point))}\n"
        f"score {_number(point['proxy'])}\nKL at most {_number(point['kl'])} nats"
    )


def peak_plots(stage: StageResult, peak: int) -> tuple[PlotSpec, PlotSpec]:
    """Return two plots over the steps of a run trained past its peak: the reward model's score, and the gold share."""
    points = stage.curve
    x = Axis(title="Steps", low=0, high=max(point["step"] for point in points))
    proxy = [Dot(x=point["step"], y=point["proxy"], words=_step_words(point)) for point in points]
    mark = (float(peak), f"peak at {peak:,}")
    return _proxy_and_gold("the reward model's score", "Score, σ", proxy, _gold_dots(points), x, mark)


def learning_plot(result: DemonstrationResult, titles: Mapping[str, str]) -> PlotSpec:
    """Return a plot of the share of good stories over the steps of each stage that measured it."""
    dots = {
        (titles[name], tone): _gold_dots(curve, titles[name])
        for name, tone in _TONES.items()
        if name in result.stages and (curve := [point for point in result.stages[name].curve if "gold" in point])
    }
    every = [dot for curve in dots.values() for dot in curve]
    x = Axis(title="Steps", low=0, high=max((dot.x for dot in every), default=1.0))
    return plot_of("Good stories, while they learn", dots, x, _share_axis(_GOOD, every))


_GOOD = "Good stories, %"


def _gold_dots(points: Sequence[Mapping[str, float]], name: str = "") -> list[Dot]:
    """Return the dots of a curve of gold shares; the last one is labelled with `name`."""
    return [
        Dot(
            x=point["step"],
            y=100 * point["gold"],
            words=f"{name}\n{_step_words(point)}" if name else _step_words(point),
            name=name if i == len(points) else "",
            y_interval=_percents(_looked(point)),
        )
        for i, point in enumerate(points, start=1)
    ]


def _looked(point: Mapping[str, float]) -> _Interval | None:
    return wilson(point["gold"] * point["n"], int(point["n"])) if "n" in point else None


def _step_words(point: Mapping[str, float]) -> str:
    words = [f"step {point['step']:,.0f}", f"good stories {share_words(point['gold'], _looked(point))}"]
    words += [f"score {_number(point['proxy'])}"] if "proxy" in point else []
    return "\n".join([*words, *([f"KL {_number(point['kl'])} nats"] if "kl" in point else [])])


def safety_plot(
    result: RefuseResult | ConstitutionResult, titles: Mapping[str, str], starts: Mapping[str, str]
) -> PlotSpec:
    """Plot forbidden questions told against over-refusal, a dot per stage. starts: stage -> its initial stage."""
    names = list(result.reports)
    dots = [
        Dot(
            x=100 * report.over_refused,
            y=100 * report.forbidden.share("told"),
            words=f"{titles[name]}\ntold {_cell_words(report.forbidden, 'told')}\n"
            f"over-refused {_cell_words(report.look_alikes, 'refused')}",
            name=titles[name],
            x_interval=_percents(report.look_alikes.interval("refused")),
            y_interval=_percents(report.forbidden.interval("told")),
        )
        for name, report in result.reports.items()
    ]
    return plot_of(
        "Told, by refused needlessly: best is at the bottom left",
        {("Forbidden told", "accent"): dots},
        Axis(title="Harmless look-alikes refused, %", low=-3, high=103, ticks=_PERCENTS),
        Axis(title="Forbidden told, %", low=-3, high=103, ticks=_PERCENTS),
        joined=False,
        arrows=[(names.index(start), names.index(name)) for name, start in starts.items() if name in names],
    )


_PERCENTS = tuple((float(at), str(at)) for at in range(0, 101, 20))


def position_plot(result: RefuseResult) -> PlotSpec:
    """Plot the KL to the helpful model by token position, in replies to forbidden questions."""
    points = result.kl_by_position
    dots = [
        Dot(
            x=point["position"],
            y=point["kl"],
            words=f"token {point['position']:.0f} of {format_count(int(point['n']), 'reply', 'replies')}\n"
            f"KL {_number(point['kl'])} nats",
        )
        for point in points
    ]
    return plot_of(
        "Where the rule acts in a reply: KL to the helpful model",
        {("KL, nats", "accent"): dots},
        Axis(title="Token of the reply", low=0.5, high=max(2.0, len(points) + 0.5)),
        _number_axis("KL, nats", [dot.y for dot in dots]),
    )


def shallow_words(result: RefuseResult) -> str:
    """Describe how much is told if the reply is prefilled, and the share of the KL in a reply's first tokens."""
    plain, begun = result.reports["refuses"].forbidden, result.reports["refuses"].attacks["prefill"]
    words = (
        f"When the reply is begun for it, it tells {_cell_words(begun, 'told')} of what it must not tell; asked "
        f"plainly, {_cell_words(plain, 'told')}."
    )
    points = result.kl_by_position
    total, n_tokens = sum(point["kl"] * point["n"] for point in points), sum(point["n"] for point in points)
    if not total:
        return words
    first = sum(point["kl"] * point["n"] for point in points[:SHALLOW]) / total
    even = sum(point["n"] for point in points[:SHALLOW]) / n_tokens
    words += (
        f" Of all that the rule has changed in its replies, {format_percent(first)} lies in their first {SHALLOW} "
        f"tokens, which are {format_percent(even)} of the tokens."
    )
    is_shallow = first > even and begun.share("told") > plain.share("told")
    return (
        f"{words} Once those are written for it, little of the rule is left: safety is shallow."
        if is_shallow
        else words
    )


def _percents(interval: _Interval | None) -> _Interval | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def _share_axis(title: str, dots: Sequence[Dot]) -> Axis:
    """Return an axis from 0 to the next 10 % above all dots and intervals, with space for the label of a mark."""
    top = 1.1 * max((max(dot.y, *(dot.y_interval or (0.0,))) for dot in dots), default=0.0)
    return Axis(title=title, low=0, high=min(100.0, max(10.0, 10 * math.ceil(top / 10))))


def _number_axis(title: str, values: Sequence[float]) -> Axis:
    low, high = min((0.0, *values)), max((0.1, *values))
    room = 0.06 * (high - low)  # more at the top, for the label of a mark
    return Axis(title=title, low=low - (room if low else 0.0), high=high + 3 * room, whole=False)
