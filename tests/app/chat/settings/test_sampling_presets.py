"""Named ways to draw replies: saved in the settings, found again, and never in the way where a file was edited."""

from __future__ import annotations

import dataclasses

from terrarium.app.chat.settings.sampling_presets import BUILT_IN, SamplingPresets
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.session import Session
from terrarium.models.settings.sampling_config import SamplingConfig

MINE = SamplingConfig(temperature=0.4, top_k=20, stop=("\n\n",), logit_bias=((5, -2.5),), max_tokens=64, seed=9)


def test_built_in_presets_keep_length_seed_stops_and_biases(session: Session) -> None:
    presets = SamplingPresets(session.remembered, session.notices)
    found = presets.applied("Creative", MINE)
    assert found == dataclasses.replace(MINE, temperature=1.1, min_p=0.03, top_k=0)
    assert presets.matching(found) == "Creative"
    assert presets.matching(MINE) == ""
    assert all(presets.matching(presets.applied(name, MINE)) == name for name in BUILT_IN)


def test_user_presets_are_saved_without_the_seed(session: Session) -> None:
    presets = SamplingPresets(session.remembered, session.notices)
    assert presets.save(" Mine ", MINE)
    session.remembered.flush()
    presets = SamplingPresets(Remembered(session.library.home, session.notices), session.notices)  # after a restart
    assert presets.own == ("Mine",)
    assert presets.applied("Mine", SamplingConfig(seed=3)) == dataclasses.replace(MINE, seed=3)
    assert presets.matching(dataclasses.replace(MINE, seed=77)) == "Mine"
    presets.delete("Mine")
    assert (presets.own, presets.matching(MINE)) == ((), "")


def test_built_in_presets_cannot_be_overwritten(session: Session) -> None:
    presets, told = SamplingPresets(session.remembered, session.notices), list[str]()
    session.notices.failed.connect(lambda sentence, details: told.append(sentence))
    assert not presets.save("Exact", MINE)
    assert not presets.save(" ", MINE)
    assert told[0].startswith("“Exact” is a built-in preset")
    assert "needs a name" in told[1]


def test_a_model_starts_with_its_defaults(session: Session) -> None:
    presets = SamplingPresets(session.remembered, session.notices)
    assert presets.of_model("run") is None
    presets.set_for_model("run", MINE)
    assert (presets.of_model("run"), presets.of_model("other")) == (MINE, None)
    presets.set_for_model("run", None)
    assert presets.of_model("run") is None


def test_unreadable_presets_are_ignored(session: Session) -> None:
    presets = SamplingPresets(session.remembered, session.notices)
    presets.save("Mine", MINE)
    saved = session.remembered.get("sampling presets", {})
    session.remembered.set("sampling presets", {"Odd": {"temperature": "hot"}, "No": 3, **saved})
    assert presets.own == ("Mine",)
