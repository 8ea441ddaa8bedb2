"""Numbers, sizes and times as they are written on screen and in sentences, the same everywhere. No torch import."""

from __future__ import annotations

from datetime import datetime

_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def percent(share: float, digits: int = 0) -> str:
    """A share of 1 in percent, “53 %”, which no line end comes between."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def short_count(n: float, *, billion: str = "G") -> str:
    """A count in three digits: “812”, “12.3 k”, “124 M”, “1.20 G”; `billion`: what people call 10⁹ of these things."""
    for factor, letter in ((1e12, "T"), (1e9, billion), (1e6, "M"), (1e3, "k")):
        if n >= 0.9995 * factor:
            return f"{_three_digits(n / factor)} {letter}"
    return f"{n:.0f}"


def size_words(n_bytes: float) -> str:
    """A size in three digits with binary units: “640 B”, “12.3 KiB”, “1.20 GiB”, “16.8 TiB”."""
    factor, unit = size_unit(n_bytes)
    return f"{n_bytes:.0f} B" if unit == "B" else f"{_three_digits(n_bytes / factor)} {unit}"


def size_unit(n_bytes: float) -> tuple[int, str]:
    """The largest binary unit that a size has one of or more: how many bytes that is, and its sign, as (2³⁰, “GiB”)."""
    number = 0
    while number < len(_SIZE_UNITS) - 1 and n_bytes >= 1024 ** (number + 1):
        number += 1
    return 1024**number, _SIZE_UNITS[number]


def _three_digits(x: float) -> str:
    """A number of 1 or more in three digits: “1.20”, “12.3”, “124”; more digits where it needs them."""
    return f"{x:.{2 if x < 9.995 else 1 if x < 99.95 else 0}f}"


def counted(n: int, one: str, many: str = "") -> str:
    """“1 token”, “2,310 tokens”."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def times(n: int) -> str:
    """A number of times: “never”, “once”, “2,310 times”."""
    return "once" if n == 1 else f"{n:,} times" if n else "never"


def duration(seconds: float, *, fine: bool = False) -> str:
    """A time in words: “45 s”, “3 min 20 s”, “2 h 5 min”; `fine`: below a minute also “850 ms” and “3.2 s”."""
    if fine and seconds < 59.95:
        return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def date_words(written: str) -> str:
    """A moment in ISO 8601 as people here write it: “25 Nov, 13:03”; as it was written where it is none."""
    try:
        moment = datetime.fromisoformat(written).astimezone()
    except ValueError:
        return written
    year = "" if moment.year == datetime.now().year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year}, {moment:%H:%M}"
