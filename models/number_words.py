"""Formatting of numbers, sizes, times and words for screen and sentences. No torch import."""

from __future__ import annotations

import math
from datetime import datetime

_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def format_percent(share: float, digits: int = 0) -> str:
    """Format a fraction as a percentage, “53 %”, with a no-break space."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def format_prob(p: float) -> str:
    """Format a probability with two significant digits or more: “41.2 %”, “0.31 %”, “<0.0001 %”, “>99.9 %”."""
    if 0.9995 <= p < 1.0:
        return f">{format_percent(0.999, 1)}"
    if p < 1e-6:
        return f"{'<' if p > 0.0 else ''}{format_percent(1e-6 if p > 0.0 else 0.0, 4 if p > 0.0 else 0)}"
    rounded = float(f"{100 * p:.1e}")  # to two digits, so that 0.999 % is 1.0 %
    return format_percent(p, 1 if rounded >= 1 else min(4, 1 - math.floor(math.log10(rounded))))


def format_done(share: float) -> str:
    """Format the progress of work as a percentage, rounded down, so that “100 %” means that all of it is done."""
    return format_percent(math.floor(100 * share + 1e-9) / 100)


def format_of_100(share: float) -> str:
    """Format a fraction as “98 of 100”; 0 and 100 are used only for exactly none and all."""
    return f"{100 if share >= 1 else 0 if share <= 0 else min(max(round(100 * share), 1), 99)} of 100"


def with_minus(number: str) -> str:
    """Replace the hyphen of a formatted number by a minus sign: “−0.25” for “-0.25”; an exponent keeps its hyphen."""
    return f"−{number[1:]}" if number.startswith("-") else number


def format_exponent(value: float) -> str:
    """Format a number far from 1 with two digits: “1.2e-3”."""
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}e{int(exponent)}"


def format_signed(value: float, digits: int = 2) -> str:
    """Format a number with its sign: “+1.20”, “−0.35”, “0.00”."""
    words = with_minus(f"{value:+.{digits}f}")
    return words if words.strip("+−0.") else words[1:]


def format_compact(n: float, *, billion: str = "G") -> str:
    """Format a count with three digits: “812”, “12.3 k”, “124 M”, “1.20 G”; `billion`: the suffix for 10⁹."""
    for factor, letter in ((1e12, "T"), (1e9, billion), (1e6, "M"), (1e3, "k")):
        if n >= 0.9995 * factor:
            return f"{_three_digits(n / factor)} {letter}"
    return f"{n:.0f}"


def format_size(n_bytes: float) -> str:
    """Format a size with three digits and binary units: “640 B”, “12.3 KiB”, “1.20 GiB”, “16.8 TiB”."""
    factor, unit = size_unit(n_bytes)
    return f"{n_bytes:.0f} B" if unit == "B" else f"{_three_digits(n_bytes / factor)} {unit}"


def size_unit(n_bytes: float) -> tuple[int, str]:
    """Return the largest binary unit not larger than a size, as bytes and symbol: (2³⁰, “GiB”)."""
    number = 0
    while number < len(_SIZE_UNITS) - 1 and n_bytes >= 1024 ** (number + 1):
        number += 1
    return 1024**number, _SIZE_UNITS[number]


def _three_digits(x: float) -> str:
    """Format a number of at least 1 with three digits: “1.20”, “12.3”, “124”; from 1,000 on, all of its digits."""
    return f"{x:.{2 if x < 9.995 else 1 if x < 99.95 else 0}f}"


def format_count(n: int, one: str, many: str = "") -> str:
    """Format a count with its noun: “1 token”, “2,310 tokens”; `many`: the plural, if irregular."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


_FEW = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def format_few(n: int, one: str) -> str:
    """Format a count with its noun, with numbers up to ten as words: “two columns”."""
    return format_count(n, one) if n >= len(_FEW) else f"{_FEW[n]} {one}{'' if n == 1 else 's'}"


def describe_speculation(n_drafted: int, n_accepted: int, n_tokens: int, n_passes: int) -> str:
    """Describe speculative decoding: “31 of 40 drafted tokens accepted (78 %), 2.9 tokens per pass of the model.”"""
    share = f" ({format_percent(n_accepted / n_drafted)})" if n_drafted else ""
    passes = f"{n_tokens / n_passes:.1f} tokens per pass of the model" if n_passes else "no pass of the model"
    return f"{n_accepted:,} of {format_count(n_drafted, 'drafted token')} accepted{share}, {passes}."


def format_times(n: int) -> str:
    """Format a frequency: “never”, “once”, “2,310 times”."""
    return "once" if n == 1 else f"{n:,} times" if n else "never"


def format_duration(seconds: float, *, fine: bool = False) -> str:
    """Format a duration: “45 s”, “3 min 20 s”, “2 h 5 min”; with `fine` also “850 ms” and “3.2 s” below a minute."""
    if fine and seconds < 59.95:
        return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_milliseconds(n: float) -> str:
    """Format milliseconds with two significant digits or more: “0.84 ms”, “7.0 ms”, “117 ms”, “1.8 s”."""
    if n >= 999.5:
        return format_duration(n / 1000, fine=True)
    return f"{n:.0f} ms" if n >= 9.95 else f"{n:#.2g} ms"


def format_minutes(seconds: float) -> str:
    """Format a duration, in whole minutes from one minute: “45 s”, “3 min”, “1 h 5 min”."""
    whole = seconds if seconds < 60 else 60 * int(seconds / 60 + 0.5)
    return format_duration(whole).removesuffix(" 0 s").removesuffix(" 0 min")


def format_about(seconds: float) -> str:
    """Format an estimated duration, coarsely rounded: “about 45 s”, “about 3 min 20 s”, “about 25 min”."""
    unit = 1 if seconds < 60 else 10 if seconds < 600 else 60
    return "about " + format_duration(round(seconds / unit) * unit).removesuffix(" 0 s").removesuffix(" 0 min")


def format_speed(tokens_per_s: float) -> str:
    """Format a speed: “321 tokens/s”, “0.4 tokens/s”; "" if it rounds to zero or is not measured yet (0)."""
    return f"{tokens_per_s:,.{0 if tokens_per_s >= 9.95 else 1}f} tokens/s" if tokens_per_s >= 0.05 else ""


def format_date(written: str) -> str:
    """Format a time in ISO 8601 as “25 Nov, 13:03”, in local time; other text is returned unchanged."""
    try:
        moment = datetime.fromisoformat(written).astimezone()
    except ValueError:
        return written
    year = "" if moment.year == datetime.now().year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year}, {moment:%H:%M}"


def capitalized(text: str) -> str:
    """Capitalise the first letter of a text; unlike str.capitalize, it does not change the others: “a JSON object”."""
    return text[:1].upper() + text[1:]
