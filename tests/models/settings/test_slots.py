"""Settings that describe themselves, shown on a small dataclass of our own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest

from terrarium.models.settings.slots import (
    Problem,
    SettingError,
    check_complete,
    check_settings,
    draft,
    field_problems,
    is_used,
    settings_from_dict,
    settings_to_dict,
    slot,
)


@dataclass(frozen=True, kw_only=True)
class Oven:
    heat: int = slot(180, "Heat", "How hot.", group="Oven", range=(50, 250))
    mode: str = slot("fan", "Mode", "Which way.", group="Oven", choices=("fan", "grill", "off"))
    fan_speed: float = slot(1.0, "Fan", "How fast.", group="Oven", range=(0.0, 2.0), only_if=("mode", "fan"))
    noise: int = slot(0, "Noise", "How loud.", group="Oven", only_if=("fan_speed", (1.0, 2.0)))
    light: bool = slot(True, "Light", "Whether one sees.", group="Oven", only_if=("heat", range(100, 251)))
    dishes: tuple[str, ...] = slot((), "Dishes", "What is in.", group="Oven")

    def __post_init__(self) -> None:
        check_settings(self)


def used(settings: Oven) -> set[str]:
    return {f.name for f in fields(Oven) if is_used(settings, f)}


def test_a_slot_tells_a_form_what_it_needs() -> None:
    (heat, *_) = fields(Oven)
    assert heat.default == 180
    assert heat.metadata == {"label": "Heat", "help": "How hot.", "group": "Oven", "range": (50, 250)}


def test_legal_settings() -> None:
    assert not field_problems(Oven())
    assert Oven(fan_speed=2).fan_speed == 2  # a whole number is a number
    assert Oven(dishes=("cake",)).dishes == ("cake",)


@pytest.mark.parametrize(
    ("values", "slot_name", "sentence"),
    [
        ({"heat": 300}, "heat", "heat is 300, but must lie between 50 and 250."),
        ({"heat": 180.0}, "heat", "heat must be a whole number, not 180.0."),
        ({"heat": True}, "heat", "heat must be a whole number, not True."),
        ({"heat": None}, "heat", "heat must be a whole number, not None."),
        ({"mode": "steam"}, "mode", "mode cannot be 'steam': choose one of fan, grill, off."),
        ({"light": 1}, "light", "light must be true or false, not 1."),
        ({"fan_speed": "fast"}, "fan_speed", "fan_speed must be a number, not 'fast'."),
        ({"fan_speed": float("nan")}, "fan_speed", "fan_speed is nan, but must lie between 0.0 and 2.0."),
        ({"dishes": ("cake", 3)}, "dishes", "dishes must be texts, not ('cake', 3)."),
    ],
)
def test_a_problem_names_its_slot(values: dict[str, Any], slot_name: str, sentence: str) -> None:
    with pytest.raises(SettingError) as caught:
        Oven(**values)
    assert caught.value.problem == Problem(slot_name, sentence)
    assert str(caught.value) == sentence


def test_all_problems_are_found_in_a_draft() -> None:
    unchecked = draft(Oven, {"heat": 1, "mode": "steam"})
    assert [problem.slot for problem in field_problems(unchecked)] == ["heat", "mode"]
    assert unchecked.light is True


def test_a_long_value_is_shortened_in_the_sentence() -> None:
    (problem,) = field_problems(draft(Oven, {"mode": "x" * 10_000}))
    assert len(problem.sentence) < 200


def test_slots_may_mean_something_only_with_others() -> None:
    assert used(Oven()) == {"heat", "mode", "fan_speed", "noise", "light", "dishes"}
    assert used(Oven(mode="grill")) == {"heat", "mode", "light", "dishes"}  # noise hangs on fan_speed
    assert used(Oven(fan_speed=1.5)) == {"heat", "mode", "fan_speed", "light", "dishes"}
    assert "light" not in used(Oven(heat=99))


def test_from_parsed_json() -> None:
    assert settings_from_dict(Oven, {"heat": 200, "dishes": ["cake"]}, "oven.json") == Oven(heat=200, dishes=("cake",))
    with pytest.raises(ValueError, match=r"oven\.json has no setting called 'heet': did you mean 'heat'\?"):
        settings_from_dict(Oven, {"heet": 200}, "oven.json")
    with pytest.raises(ValueError, match=r"oven\.json has no setting called 'xyz': the settings are .*heat"):
        settings_from_dict(Oven, {"xyz": 200}, "oven.json")
    with pytest.raises(ValueError, match=r"oven\.json must be an object of named settings, not list"):
        settings_from_dict(Oven, [], "oven.json")
    with pytest.raises(ValueError, match=r"oven\.json: heat is 1, but must lie between 50 and 250"):
        settings_from_dict(Oven, {"heat": 1}, "oven.json")


def test_what_came_later_is_written_only_where_it_is_set() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Grill:
        heat: int = slot(200, "Heat", "", group="Oven")
        smoke: bool = slot(False, "Smoke", "", group="Oven", omit_default=True)

    assert settings_to_dict(Grill(heat=90)) == {"heat": 90}
    assert settings_to_dict(Grill(smoke=True)) == {"heat": 200, "smoke": True}
    for grill in (Grill(), Grill(smoke=True)):
        assert settings_from_dict(Grill, settings_to_dict(grill), "grill.json") == grill


def test_a_table_that_is_not_complete_is_refused() -> None:
    check_complete({"a": 1, "b": 2}, ("b", "a"), "colours")
    with pytest.raises(LookupError, match=r"colours: there is no entry for b\."):
        check_complete({"a": 1}, ("a", "b"), "colours")
    with pytest.raises(LookupError, match=r"colours: c is not known\."):
        check_complete({"a": 1, "c": 2}, ("a",), "colours")
