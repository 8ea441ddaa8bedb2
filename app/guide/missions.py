"""Six things to try without reading the guide; each is ticked when it is completed."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.app.guide.actions import Action, Open, OpenModel, ShowRun
from terrarium.app.guide.checks import At, Check, PairRead, Replied, SwitchedOff, TextLearned, TokenChosen, WentBack
from terrarium.app.guide.window_state import WindowState

UNSURE, CREATIVE, EARLY = 0.5, 1.1, 250
"""Below this probability a model was unsure of a token; above this temperature a reply is creative; an early step."""


@dataclass(frozen=True, kw_only=True)
class Mission:
    """goes: the actions that show where it can be done. how: what to do there, shown after the title and a colon.

    done: the message on completion. check: the completion check. is_also_at: a place that must be shown; None for any.
    """

    name: str
    title: str
    how: str
    done: str
    check: Check
    goes: tuple[Action, ...]
    is_also_at: At | None = None

    def is_done(self, now: WindowState, before: WindowState) -> bool:
        """Whether the mission was completed since `before`."""
        return self.check.is_done(now, before) and (self.is_also_at is None or self.is_also_at.is_done(now, before))


MISSIONS = (
    Mission(
        name="unsure",
        title="Find the word it was unsure of",
        how=f"ask it something, then click a word of its reply that is less than {UNSURE:.0%} likely.",
        done="It gave “{{token}}” {{token_probability}}.",
        check=TokenChosen(below=UNSURE),
        goes=(OpenModel(), Open(place="chat/next")),
        is_also_at=At(place="chat/next"),
    ),
    Mission(
        name="creative",
        title="Make it creative",
        how=f"raise the temperature above {CREATIVE:g}, and ask for a story.",
        done="At temperature {{reply_temperature}} its tokens were {{reply_probability}} likely on average.",
        check=Replied(hotter_than=CREATIVE),
        goes=(OpenModel(), Open(place="chat/settings/temperature")),
    ),
    Mission(
        name="head",
        title="Switch a head off and see what breaks",
        how="ask it something, then click a numbered square in “Switch off”: the answer is measured without that head.",
        done="Without “{{part_off}}” the probability of the answer went from {{before_off}} to {{after_off}}.",
        check=SwitchedOff(head=True),
        goes=(OpenModel(), Open(place="chat/ablation")),
    ),
    Mission(
        name="pronoun",
        title="Watch “it” flip",
        how="grow the two pronoun models here, and compare their answers to “tired” and “wide”.",
        done="The encoder pointed at “{{encoder_first}}”, then at “{{encoder_second}}”.",
        check=PairRead(flips=True),
        goes=(Open(place="chat/mode/pairs"),),
    ),
    Mission(
        name="back",
        title=f"Go back to its first {EARLY} steps",
        how="drag the time machine that far back, and read what it wrote then.",
        done="You went back to step {{machine_step}}.",
        check=WentBack(at_most=EARLY),
        goes=(ShowRun(view="machine"),),
    ),
    Mission(
        name="own",
        title="Grow one on your own text",
        how="drag a text file into the window, or open one from Home; then press “Quick start with it”.",
        done="It needs {{text_bits}} bits for each byte of text it has never seen; the best table of letters: "
        "{{text_table}}.",
        check=TextLearned(),
        goes=(Open(place="home"),),
    ),
)
