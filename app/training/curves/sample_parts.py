"""What a sample says was asked, and what the model answered. No Qt."""

from __future__ import annotations

from models.events import ARROW, SampleMade


def parts(sample: SampleMade) -> tuple[str, str]:
    """What was asked, as the model read it where that is recorded (with its gaps), and its answer."""
    if not sample.text.startswith(ARROW):
        return sample.prompt, sample.text
    read, arrow, answer = sample.text.removeprefix(ARROW).partition(ARROW)
    return (read, answer) if arrow else (sample.prompt, read)
