"""The result of an alignment demonstration as table rows and plots: plain data, without widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from terrarium.app.kit.plots.interval_bars import Bar
from terrarium.app.kit.plots.pictures import Axis, Dot, DotPicture, DotSeries
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
from terrarium.models.tiny_world.question_words import KIND_MEANINGS, kind_title
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


# -- Pictures ----------------------------------------------------------------------------------------------------------


def best_of_pictures(stage: StageResult) -> tuple[DotPicture, DotPicture]:
    """Return two plots over the n of best-of-n sampling: the proxy score, and the gold share."""
    points = stage.curve
    ticks = tuple((math.log2(point["n"]), f"{point['n']:,.0f}") for point in points)
    x = Axis(title="Replies of which the best is taken", low=-0.15, high=ticks[-1][0] + 0.15, ticks=ticks)
    proxy = tuple(
        Dot(x=at, y=point["proxy"], words=_best_words(point)) for (at, _), point in zip(ticks, points, strict=True)
    )
    gold = tuple(
        Dot(x=at, y=100 * point["gold"], words=_best_words(point), y_interval=_percents(_around(point)))
        for (at, _), point in zip(ticks, points, strict=True)
    )
    top = max(points, key=lambda point: point["gold"])
    marks = ((math.log2(top["n"]), f"peak at {top['n']:,.0f}"),)
    return (
        DotPicture(
            title="What is optimized: the annotator's own score",
            series=(DotSeries(dots=proxy, joined=True),),
            x=x,
            y=_number_axis("Score", [dot.y for dot in proxy]),
            marks=marks,
        ),
        DotPicture(
            title="What was meant: happy, short stories",
            series=(DotSeries(dots=gold, tone="validation", joined=True),),
            x=x,
            y=_share_axis("Good stories, %", gold),
            marks=marks,
        ),
    )


def _best_words(point: Mapping[str, float]) -> str:
    return (
        f"Best of {point['n']:,.0f}\ngood stories {share_words(point['gold'], _around(point))}\n"
        f"score {_number(point['proxy'])}\nKL at most {_number(point['kl'])} nats"
    )


def peak_pictures(stage: StageResult, peak: int) -> tuple[DotPicture, DotPicture]:
    """Return two plots over the steps of a run trained past its peak: the reward model's score, and the gold share."""
    points = stage.curve
    x = Axis(title="Steps", low=0, high=max(point["step"] for point in points))
    proxy = tuple(Dot(x=point["step"], y=point["proxy"], words=_step_words(point)) for point in points)
    marks = ((float(peak), f"peak at {peak:,}"),)
    return (
        DotPicture(
            title="What is optimized: the reward model's score",
            series=(DotSeries(dots=proxy, joined=True),),
            x=x,
            y=_number_axis("Score, σ", [dot.y for dot in proxy]),
            marks=marks,
        ),
        DotPicture(
            title="What was meant: happy, short stories",
            series=(DotSeries(dots=(gold := _gold_dots(points)), tone="validation", joined=True),),
            x=x,
            y=_share_axis("Good stories, %", gold),
            marks=marks,
        ),
    )


def learning_picture(result: DemonstrationResult, titles: Mapping[str, str]) -> DotPicture:
    """Return a plot of the share of good stories over the steps of each stage that measured it."""
    series = []
    for name, tone in _TONES.items():
        if name in result.stages and (curve := [point for point in result.stages[name].curve if "gold" in point]):
            series.append(DotSeries(dots=_gold_dots(curve, titles[name]), tone=tone, joined=True))
    dots = [dot for each in series for dot in each.dots]
    return DotPicture(
        title="Good stories, while they learn",
        series=tuple(series),
        x=Axis(title="Steps", low=0, high=max((dot.x for dot in dots), default=1.0)),
        y=_share_axis("Good stories, %", dots),
    )


def _gold_dots(points: Sequence[Mapping[str, float]], name: str = "") -> tuple[Dot, ...]:
    """Return the dots of a curve of gold shares; the last one is labelled with `name`."""
    return tuple(
        Dot(
            x=point["step"],
            y=100 * point["gold"],
            words=f"{name}\n{_step_words(point)}" if name else _step_words(point),
            name=name if i == len(points) else "",
            y_interval=_percents(_looked(point)),
        )
        for i, point in enumerate(points, start=1)
    )


def _looked(point: Mapping[str, float]) -> tuple[float, float] | None:
    return wilson(point["gold"] * point["n"], int(point["n"])) if "n" in point else None


def _step_words(point: Mapping[str, float]) -> str:
    words = [f"step {point['step']:,.0f}", f"good stories {share_words(point['gold'], _looked(point))}"]
    words += [f"score {_number(point['proxy'])}"] if "proxy" in point else []
    return "\n".join([*words, *([f"KL {_number(point['kl'])} nats"] if "kl" in point else [])])


def safety_picture(
    result: RefuseResult | ConstitutionResult, titles: Mapping[str, str], starts: Mapping[str, str]
) -> DotPicture:
    """Plot forbidden questions told against over-refusal, a dot per stage. starts: stage -> its initial stage."""
    names = list(result.reports)
    dots = tuple(
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
    )
    arrows = [(names.index(start), names.index(name)) for name, start in starts.items() if name in names]
    return DotPicture(
        title="Told, by refused needlessly: best is at the bottom left",
        series=(DotSeries(dots=dots),),
        x=Axis(title="Harmless look-alikes refused, %", low=-3, high=103, ticks=_PERCENTS),
        y=Axis(title="Forbidden told, %", low=-3, high=103, ticks=_PERCENTS),
        arrows=tuple(arrows),
    )


_PERCENTS = tuple((float(at), str(at)) for at in range(0, 101, 20))


def position_picture(result: RefuseResult) -> DotPicture:
    """Plot the KL to the helpful model by token position, in replies to forbidden questions."""
    points = result.kl_by_position
    dots = tuple(
        Dot(
            x=point["position"],
            y=point["kl"],
            words=f"token {point['position']:.0f} of {format_count(int(point['n']), 'reply', 'replies')}\n"
            f"KL {_number(point['kl'])} nats",
        )
        for point in points
    )
    return DotPicture(
        title="Where the rule acts in a reply: KL to the helpful model",
        series=(DotSeries(dots=dots, joined=True),),
        x=Axis(title="Token of the reply", low=0.5, high=max(2.0, len(points) + 0.5)),
        y=_number_axis("KL, nats", [dot.y for dot in dots]),
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


def _percents(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def _share_axis(title: str, dots: Sequence[Dot]) -> Axis:
    """Return an axis from 0 to the next 10 % above all dots and intervals, with space for the label of a mark."""
    top = 1.1 * max((max(dot.y, *(dot.y_interval or (0.0,))) for dot in dots), default=0.0)
    return Axis(title=title, low=0, high=min(100.0, max(10.0, 10 * math.ceil(top / 10))))


def _number_axis(title: str, values: Sequence[float]) -> Axis:
    low, high = min((0.0, *values)), max((0.1, *values))
    room = 0.06 * (high - low)  # more at the top, for the label of a mark
    return Axis(title=title, low=low - (room if low else 0.0), high=high + 3 * room, whole=False)
