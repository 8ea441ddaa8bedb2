"""Training of a tokenizer in a child process, as the Rust trainers cannot be interrupted and may crash the process."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, Any

from terrarium.models.child_process import own_command, start_child
from terrarium.models.events import Event, Notice, Phase, Progress, VocabularyGrowth
from terrarium.models.settings.tokenizer_options import TokenizerOptions
from terrarium.models.tokenizers.making.train import check_training

_MAX_EVENT_INTERVAL_S = 0.05
"""Events are yielded at least this often, so that the caller can cancel."""

_STAGES = {
    "Tokenize words": "Counting words",
    "Count pairs": "Counting pairs",
    "Compute merges": "Learning merges",
}


def train_in_child(
    files: Sequence[Path],
    kind: str,
    vocab_size: int,
    out_dir: Path,
    options: TokenizerOptions | None = None,
    *,
    growth: bool = False,
) -> Generator[Event, None, dict[str, Any]]:
    """Train on text or .jsonl files into the folder `out_dir`; yields Phase, Progress and Notice.

    Returns the content of about.json. Closing the generator kills the child, which leaves no tokenizer behind.

    Args:
        growth: afterwards, measure how well smaller BPE vocabularies compress (VocabularyGrowth events).

    Raises:
        ValueError: with the error message of the child, or one that says that it crashed.
    """
    options = options or TokenizerOptions()
    check_training(kind, vocab_size, options)
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} is missing or no file: choose a text file.")
    arguments = ["tokenizer", "train", "--json", "--kind", kind, "--vocab-size", str(vocab_size), "--out", str(out_dir)]
    arguments += ["--normalizer", options.normalizer, "--pre-tokenizer", options.pre_tokenizer]
    arguments += ["--min-frequency", str(options.min_frequency)]
    arguments += ["--growth"] if growth else []
    arguments += [] if options.byte_fallback else ["--no-byte-fallback"]
    arguments += [f"--special-token={token}" for token in options.special_tokens]
    for file in files:
        arguments += ["--data", str(file.resolve())]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    child = start_child([*own_command(), *arguments], stdin=nothing, stdout=pipe, stderr=pipe)
    try:
        errors = yield from _follow(child)
        assert child.stdout is not None
        result = child.stdout.read()
        code = child.wait()
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
    if code != 0:
        raise ValueError(_describe_failure(code, errors))
    about: dict[str, Any] = json.loads(result)
    if about.get("notice"):
        yield Notice(sentence=about["notice"])
    return about


def _follow(child: subprocess.Popen[bytes]) -> Generator[Event, None, list[str]]:
    """Turn the lines of the child's stderr into events until it ends; returns the lines that were not events."""
    assert child.stderr is not None
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_pump, args=(child.stderr, lines), daemon=True).start()
    errors: list[str] = []
    progress, shown = Progress(done=0, total=0), 0.0
    yield Phase(name="Training the tokenizer")
    while True:
        try:
            line = lines.get(timeout=_MAX_EVENT_INTERVAL_S)
        except queue.Empty:
            yield progress
            continue
        if line is None:
            return errors
        event = _read(line.decode("utf-8", errors="replace").strip(), errors)
        if isinstance(event, Phase):
            progress = Progress(done=0, total=0)
            yield event
        elif isinstance(event, VocabularyGrowth):
            yield event
        elif event is not None:
            progress = event
            if time.monotonic() - shown > _MAX_EVENT_INTERVAL_S:
                shown = time.monotonic()
                yield progress


def _pump(stream: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    # Closing the generator closes the stream while this thread reads it.
    with contextlib.suppress(ValueError, OSError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _read(line: str, errors: list[str]) -> Phase | Progress | VocabularyGrowth | None:
    """Parse a line of `app.commands.progress`, {"event": …}, or of the Rust trainer, {"stage", "current", "total"}."""
    try:
        fields = json.loads(line)
        kind = fields.get("event")
        if kind == "Phase":
            return Phase(name=fields["name"])
        if kind == "Progress":
            return Progress(done=fields["done"], total=fields["total"])
        if kind == "VocabularyGrowth":
            return VocabularyGrowth(**{name: value for name, value in fields.items() if name != "event"})
        if fields["current"] == 0:
            return Phase(name=_STAGES[fields["stage"]])
        return Progress(done=fields["current"], total=fields["total"])
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        if line:
            errors.append(line)
        return None


def _describe_failure(code: int, errors: list[str]) -> str:
    """Return the child's error message if it exited with an error, else advice for a crash."""
    if code in (1, 2) and errors and "Traceback" not in errors[0]:
        return errors[-1].removeprefix("terrarium: ")
    last = f" ({errors[-1]})" if errors else ""
    return f"Training the tokenizer crashed, code {code}{last}: try a smaller text or a smaller vocabulary."
