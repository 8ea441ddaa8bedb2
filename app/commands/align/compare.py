"""`terrarium align compare`: who wins, every stage of an alignment against every other one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_percent
from terrarium.models.tiny_world.wishes import HAPPY, SIZES, WISHES

if TYPE_CHECKING:
    from terrarium.models.alignment.win_rates import WinRates
    from terrarium.models.preferences.measures import Match

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


def add_parser(kinds: Any) -> None:
    """Add the action `compare` to `terrarium align`."""
    parser: argparse.ArgumentParser = kinds.add_parser(
        "compare", help="who wins: the win rates of several stages, by each judge", description=_ABOUT
    )
    parser.add_argument("stages", nargs="+", metavar="RUN", help="two runs or more that can reply, as RUN or RUN@STEP")
    parser.add_argument("--wish", default=HAPPY, choices=tuple(WISHES), help=f"what is wished for (default: {HAPPY})")
    parser.add_argument("--reward", default="", metavar="RM", help="a reward model that judges, too")
    most = SIZES["test"]
    parser.add_argument("--n", type=int, default=128, metavar="N", help=f"prompts, at most {most} (default: 128)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the seed of the replies (default: 0)")
    parser.add_argument(
        "--world-seed", type=int, metavar="W", help="the world that is asked about (default: the first stage's)"
    )
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Compare the stages and print the win rates."""
    if args.n < 1 or args.seed < 0:
        raise UsageError("--n must be at least 1, and --seed at least 0.")
    from terrarium.models.recipes.demonstrations.comparison import compare_stages

    with ProgressLine(as_json=args.json) as line:
        work = compare_stages(
            Library(),
            args.stages,
            args.wish,
            n=args.n,
            seed=args.seed,
            world_seed=args.world_seed,
            reward_model=args.reward,
            device=args.device,
        )
        found = drive(work, line)
    if args.json:
        print_json(found.to_dict())
    else:
        print(describe(found))
    return 0


def describe(found: WinRates) -> str:
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
