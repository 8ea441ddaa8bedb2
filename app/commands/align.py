"""`terrarium align`: run demonstrations of alignment on a chat model, or measure win rates between its stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import Command, Entry, Group, action_name, argument, option
from terrarium.app.commands.progress import ProgressLine, drive, stop_on_interrupt
from terrarium.app.commands.queue import queue_option, queue_recipe
from terrarium.models.files.encodings import SAVE_AS_UTF8, encoding_of_file
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count, format_duration, format_percent, with_minus
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS, N_EACH, AlignRecipe
from terrarium.models.recipes.demonstrations.results import (
    AnyResult,
    ConstitutionResult,
    DemonstrationResult,
    FormatResult,
    RefuseResult,
    StageResult,
)
from terrarium.models.recipes.recipe_specs import demonstration_spec
from terrarium.models.tiny_world.refusals import CAVEAT
from terrarium.models.tiny_world.wishes import HAPPY, SIZES, WISHES

if TYPE_CHECKING:
    from terrarium.models.alignment.win_rates import WinRates
    from terrarium.models.evaluation.safety_report import SafetyReport
    from terrarium.models.preferences.measures import Match

DONE, INTERRUPTED = 0, 130
_STAGES = "Each stage becomes a run of its own; one that was cut short goes on where it was."
_MAX_BYTES = 100_000
_ABOUT = (
    "Every stage replies to the same held-out prompts; of two replies the better one wins: by the judge of the wish "
    "(gold), by a reward model (proxy), and by what people chose between the same checkpoints in Chat → Judge replies. "
    "Replies are kept in the runs' folders, and drawn once."
)
_TITLES = {
    "gold": "By the judge of the wish (gold)",
    "proxy": "By the reward model {reward_model} (proxy)",
    "you": "By people, in Chat → Judge replies",
}
_WIDTH = 16
_KINDS = ("knowledge", "reading", "state", "requests")


class Demonstration(Command):
    """Run a demonstration."""

    what: str = action_name()
    base: str | None = option("a model that can chat (default: the newest quick start)", metavar="RUN", complete="run")
    seed: int = option("the seed of its trainings (default: 0)", default=0, metavar="S")
    n: int = option("questions of each kind, or forbidden questions, that are asked", default=N_EACH, metavar="N")
    queue: bool = queue_option()

    def run(self) -> int:
        """Run the demonstration and print its result."""
        if self.n < 3 or self.seed < 0:
            raise UsageError("--n must be at least 3, and --seed at least 0.")
        from terrarium.models.recipes.demonstrations.running import DemonstrationRun
        from terrarium.models.recipes.job import RunJob
        from terrarium.models.runs.run_folder import RunFolder

        library = Library()
        base = RunFolder.open(library.find_run(self.base) if self.base else _newest(library))
        own, rules = self.own_pairs(), self.own_rules()
        if self.queue:
            queue_recipe(library, demonstration_spec(self.what, base.id, self.seed, own, rules), as_json=self.as_json)
            return DONE
        recipe = DemonstrationRun(self.what, base.id, seed=self.seed, own=own, rules=rules, n_each=self.n)
        job = RunJob(library, recipe, device=self.device)
        with ProgressLine(as_json=self.as_json) as line, stop_on_interrupt(job.request_stop):
            drive(job.events(), line)
        found = job.result
        if found is None:
            return INTERRUPTED
        self.show(found.to_dict(), describe(found))
        return DONE

    def own_pairs(self) -> str:
        """Return the set of preferences that comes before those of the simulated annotator; "" for none."""
        return ""

    def own_rules(self) -> tuple[str, ...]:
        """Return the rules that are followed instead of the demonstration's own; () for these."""
        return ()


class _ByPairs(Demonstration):
    """Run a demonstration of learning from pairs."""

    preferences: str = option(
        "pairs that you have judged, which come before those of the simulated annotator", default="", metavar="SET"
    )

    def own_pairs(self) -> str:
        return self.preferences


class _ByRules(Demonstration):
    """Run a demonstration of learning from rules."""

    rules: Path | None = option("your own rules, one per line (default: three)", metavar="FILE")

    def own_rules(self) -> tuple[str, ...]:
        from terrarium.models.tiny_world.constitution import parse_rules

        return () if self.rules is None else parse_rules(_text_of(self.rules))


def _entry(recipe: AlignRecipe) -> Entry:
    command = _ByPairs if recipe.asks_own else _ByRules if recipe.asks_rules else Demonstration
    return Entry(command=command, help=recipe.summary, description=f"{recipe.help} {_STAGES}")


class Compare(Command, help="who wins: the win rates of several stages, by each judge", description=_ABOUT):
    """Compare the stages of an alignment."""

    stages: tuple[str, ...] = argument("RUN", "two runs or more that can reply, as RUN or RUN@STEP", complete="run")
    wish: str = option("what is wished for", default=HAPPY, choices=tuple(WISHES))
    reward: str = option("a reward model that judges, too", default="", metavar="RM", complete="run")
    n: int = option(f"prompts, at most {SIZES['test']} (default: 128)", default=128, metavar="N")
    seed: int = option("the seed of the replies (default: 0)", default=0, metavar="S")
    world_seed: int | None = option("the world that is asked about (default: the first stage's)", metavar="W")

    def run(self) -> None:
        """Compare the stages and print the win rates."""
        if self.n < 1 or self.seed < 0:
            raise UsageError("--n must be at least 1, and --seed at least 0.")
        from terrarium.models.recipes.demonstrations.comparison import compare_stages

        with ProgressLine(as_json=self.as_json) as line:
            work = compare_stages(
                Library(),
                self.stages,
                self.wish,
                n=self.n,
                seed=self.seed,
                world_seed=self.world_seed,
                reward_model=self.reward,
                device=self.device,
            )
            found = drive(work, line)
        self.show(found.to_dict(), describe_win_rates(found))


COMMAND = Group(
    actions={**{name: _entry(recipe) for name, recipe in DEMONSTRATIONS.items()}, "compare": Compare},
    help="demonstrations of alignment, with what they are to reach; win rates",
    description=__doc__,
    metavar="WHAT",
)


def _text_of(path: Path) -> str:
    """Read a small text file of the user. Raises ValueError if it cannot be read as text."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{path} is too large for a list of rules: name a file with one rule per line.")
        return path.read_text(encoding=encoding_of_file(path))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): name a file with one rule per line.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {SAVE_AS_UTF8}.") from error


def _newest(library: Library) -> Path:
    """Return the folder of the newest run trained on Tiny World from scratch. Raises ValueError if there is none."""
    from terrarium.models.runs.run_folder import RunFolder

    for info in library.list_runs():
        if info.problem is None and info.step:
            spec = RunFolder.open(info.folder).spec
            if spec.data.source == "tiny-world" and spec.tune is None and spec.model.topology == "decoder-only":
                return info.folder
    raise ValueError("There is no model that can chat yet: grow one with `terrarium quickstart`.")


# -- Results as text ---------------------------------------------------------------------------------------------------


def describe(found: AnyResult) -> str:
    """Describe the result of any demonstration."""
    match found:
        case RefuseResult():
            return describe_refusals(found)
        case ConstitutionResult():
            return describe_constitution(found)
        case FormatResult():
            return describe_format(found)
    return describe_stories(found)


def describe_stories(found: DemonstrationResult) -> str:
    """Format the result of `taught` or `goodhart`.

    For each stage: the share of stories as wished, the mean score of stories (see StageResult; the annotator's for
    best-of-n), the KL divergence in nats per story, and the accuracy on questions by kind.
    """
    heads = ("as wished", "right", "score", "KL (nats)", *_KINDS)
    lines = ["".join([f"{'':<10}", *(f"{head:>11}" for head in heads)])]
    lines += [_stage(name, stage) for name, stage in found.stages.items()]
    best = found.stages.get("best_of")
    if best is not None:
        lines += ["", "Best of n by the annotator's own score:", f"{'n':>5}{'as wished':>11}{'score':>8}"]
        lines += [
            f"{point['n']:>5}{format_percent(point['gold']):>11}{_number(point['proxy']):>8}" for point in best.curve
        ]
    lines += ["", *(bar.sentence() for bar in found.bars)]
    if found.n_simulated:
        lines.append(f"Pairs judged by people: {found.n_own}; by the simulated annotator: {found.n_simulated}.")
    if "peak" in found.more:
        peak = found.more["peak"]
        lines.append(
            f"Stop at the peak: step {peak['step']}, as `terrarium train --fork {peak['fork']}`; "
            "afterwards only the score rises."
        )
    if found.note:
        lines.append(found.note)
    return "\n".join(lines)


def _stage(name: str, stage: StageResult) -> str:
    if stage.accuracy is not None:
        words = f"  {format_percent(stage.accuracy)} of {stage.n} held-out pairs in the right order"
        if stage.accuracy_happy is not None:
            words += f"; {format_percent(stage.accuracy_happy)} of those of which one story ends happily"
    else:
        cells = [_share(stage.gold), _share(stage.right), _number(stage.proxy), _number(stage.kl)]
        cells += [_share(stage.kinds.get(kind)) for kind in _KINDS]
        words = "".join(f"{cell:>11}" for cell in cells)
    return f"{name:<10}{words}  {format_duration(stage.seconds)}"


def _share(value: float | None) -> str:
    return "–" if value is None else format_percent(value)


def _number(value: float | None) -> str:
    return "–" if value is None else with_minus(f"{value:.2f}")


def describe_refusals(found: RefuseResult) -> str:
    """Format the result of `refuse`: a line for each stage, and the required scores."""
    lines = _safety(found.reports, found.seconds)
    return "\n".join([*lines, *(bar.sentence() for bar in found.bars), CAVEAT])


def _safety(reports: Mapping[str, SafetyReport], seconds: Mapping[str, float]) -> list[str]:
    """Format a line for each stage with four shares: forbidden questions answered, forbidden questions answered under
    the prefill attack, harmless look-alikes refused, and ordinary questions answered correctly."""
    lines = [f"{'':<14}{'told':>8}{'prefilled':>11}{'over-refused':>14}{'ordinary right':>16}"]
    for name, report in reports.items():
        shares = (
            report.forbidden.share("told"),
            report.attacks["prefill"].share("told"),
            report.over_refused,
            report.ordinary.share("right"),
        )
        told, prefilled, over, right = map(format_percent, shares)
        lines.append(f"{name:<14}{told:>8}{prefilled:>11}{over:>14}{right:>16}  {format_duration(seconds[name])}")
    return lines


def describe_constitution(found: ConstitutionResult) -> str:
    """Format the result of `constitution`: the rules, a line for each stage, the accuracy of the critiques, an example,
    and the required scores."""
    lines = [*found.rules, "", *_safety(found.reports, found.seconds), ""]
    critic = found.critic
    lines.append(
        f"Its critiques of {format_count(critic.n, 'reply', 'replies')}: {format_percent(critic.accuracy)} right, "
        f"{format_percent(critic.false_alarms)} of the harmless ones called bad."
    )
    lines += [
        f"Round {i}: {each.n_broken:,} of {each.n:,} replies called bad and revised, "
        + format_count(each.n_pairs, "pair")
        + ("." if each.is_kept else "; replies collapsed, so it is not kept.")
        for i, each in enumerate(found.rounds, start=1)
    ]
    for card in found.cards[:1]:
        said = card["critique"]
        lines += ["", f"Question:  {card['messages'][0]['content']}", f"Reply:     {card['reply']}"]
        lines += [
            f"Critique:  {said['words']} (log-odds {_number(said['log_odds'])})",
            f"Revision:  {card['revision']}",
        ]
    return "\n".join([*lines, "", *(bar.sentence() for bar in found.bars), CAVEAT])


def describe_format(found: FormatResult) -> str:
    """Format the result of `format`: a line per stage, with the share of answers given twice, and of plain ones by
    kind."""
    lines = ["".join([f"{'':<14}{'said twice':>11}", *(f"{kind:>11}" for kind in _KINDS)])]
    for name, stage in found.stages.items():
        cells = [_share(stage.gold), *(_share(stage.kinds[kind]) for kind in _KINDS)]
        lines.append(f"{name:<14}" + "".join(f"{cell:>11}" for cell in cells) + f"  {format_duration(stage.seconds)}")
    return "\n".join([*lines, *(bar.sentence() for bar in found.bars)])


def describe_win_rates(found: WinRates) -> str:
    """Format the win rates as tables: how often a row's stage won against a column's, with the 95 % interval."""
    titles = [f"{i} {one.name}" for i, one in enumerate(found.contenders, start=1)]
    lines = [
        f"{found.asked.n} held-out prompts of “{WISHES[found.asked.wish].title}”, one reply each; a tie is half a win.",
        *(
            f"{title}, step {one.step:,}: {format_percent(share)} as was meant"
            for title, one, share in zip(titles, found.contenders, found.shares, strict=True)
            if share is not None
        ),
    ]
    wide = max(map(len, titles)) + 2
    for judge, grid in found.grids.items():
        if not any(match is not None for row in grid for match in row):
            continue
        lines += ["", _TITLES[judge].format(reward_model=found.reward_model)]
        lines.append(" " * wide + "".join(f"{i:>{_WIDTH}}" for i in range(1, len(titles) + 1)))
        lines += [
            f"{title:<{wide}}" + "".join(f"{_rate(match):>{_WIDTH}}" for match in row)
            for title, row in zip(titles, grid, strict=True)
        ]
    if not any(match is not None for row in found.grids["you"] for match in row):
        lines += ["", "People have not judged replies of these checkpoints: do so in Chat → Judge replies."]
    return "\n".join(lines)


def _rate(match: Match | None) -> str:
    if match is None:
        return "–"
    share = match.win_rate
    assert share.value is not None
    assert share.interval is not None
    low, high = (round(100 * end) for end in share.interval)
    return f"{format_percent(share.value)} ({low}–{high})"
