"""Numbers in words: what a rounding makes of the borders between units."""

from __future__ import annotations

from terrarium.models.number_words import (
    capitalized,
    format_about,
    format_compact,
    format_done,
    format_duration,
    format_milliseconds,
    format_minutes,
    format_percent,
    format_prob,
    format_signed,
    format_size,
    format_speed,
    size_unit,
    with_minus,
)


def test_times() -> None:
    assert [format_duration(seconds) for seconds in (0.4, 59.4, 61, 3661)] == ["0 s", "59 s", "1 min 1 s", "1 h 1 min"]
    fine = [format_duration(seconds, fine=True) for seconds in (0.04, 0.9996, 59.9, 59.96, 61, 3661)]
    assert fine == ["40 ms", "1.0 s", "59.9 s", "1 min 0 s", "1 min 1 s", "1 h 1 min"]


def test_milliseconds_have_two_digits_or_more() -> None:
    some = (0.05, 0.843, 7.0, 6.29, 9.949, 9.96, 117.2, 999.6, 61_000)
    said = ("0.050 ms", "0.84 ms", "7.0 ms", "6.3 ms", "9.9 ms", "10 ms", "117 ms", "1.0 s", "1 min 1 s")
    assert tuple(map(format_milliseconds, some)) == said


def test_estimated_times_are_no_finer_than_an_estimate() -> None:
    estimates = (4.6, 59.6, 61, 243, 247, 1234, 7200, 7500)
    said = ("5 s", "1 min", "1 min", "4 min", "4 min 10 s", "21 min", "2 h", "2 h 5 min")
    assert [format_about(seconds) for seconds in estimates] == [f"about {each}" for each in said]


def test_minutes_are_whole() -> None:
    some = (45, 60, 89, 150, 7.7 * 60, 13 * 60, 3600, 3900)
    said = ["45 s", "1 min", "1 min", "3 min", "8 min", "13 min", "1 h", "1 h 5 min"]
    assert [format_minutes(seconds) for seconds in some] == said


def test_what_is_done_is_rounded_down() -> None:
    assert [format_done(share) for share in (0.0, 0.29, 0.526, 0.999, 1.0)] == [
        f"{n}\N{NO-BREAK SPACE}%" for n in (0, 29, 52, 99, 100)
    ]


def test_sizes_have_binary_units() -> None:
    sizes = (0, 1023, 1024, 10_240, 513 * 2**20, 1.5 * 2**30, 2**60)
    assert [format_size(n) for n in sizes] == [
        "0 B",
        "1023 B",
        "1.00 KiB",
        "10.0 KiB",
        "513 MiB",
        "1.50 GiB",
        "1024 PiB",
    ]
    assert size_unit(2**30 - 1) == (2**20, "MiB")
    assert size_unit(2**30) == (2**30, "GiB")


def test_counts_and_shares() -> None:
    assert [format_compact(n) for n in (812, 999.6, 12_345, 9.996e5, 1.2e9)] == [
        "812",
        "1.00 k",
        "12.3 k",
        "1.00 M",
        "1.20 G",
    ]
    assert format_compact(7e9, billion="B") == "7.00 B"
    assert format_percent(0.5312, 1) == "53.1\N{NO-BREAK SPACE}%"


def test_signs() -> None:
    assert [format_signed(v) for v in (1.2, -0.35, 0.0, -0.001)] == ["+1.20", "−0.35", "0.00", "0.00"]
    assert [format_signed(v, 0) for v in (5, -12, 0)] == ["+5", "−12", "0"]
    assert [with_minus(number) for number in ("-0.25", "1.5", "-1e-05")] == ["−0.25", "1.5", "−1e-05"]


def test_only_the_first_letter_is_made_a_capital() -> None:
    assert capitalized("replies that are a JSON object") == "Replies that are a JSON object"
    assert capitalized("") == ""


def test_a_speed_is_never_zero() -> None:
    assert [format_speed(speed) for speed in (0.0, 0.04, 0.4, 9.9, 12.3, 4321.0)] == [
        "", "", "0.4 tokens/s", "9.9 tokens/s", "12 tokens/s", "4,321 tokens/s",
    ]  # fmt: skip


def test_small_probabilities_keep_two_digits() -> None:
    values = (0.0, 1e-9, 3.2e-6, 0.00042, 0.0031, 0.00999, 0.031, 0.412, 0.9996, 1.0)
    words = ("0 %", "<0.0001 %", "0.0003 %", "0.042 %", "0.31 %", "1.0 %", "3.1 %", "41.2 %", ">99.9 %", "100.0 %")
    assert [format_prob(p).replace("\N{NO-BREAK SPACE}", " ") for p in values] == list(words)
