"""`terrarium tokenizer train`: trains a tokenizer in a child process, or (--json) as that child."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import settings_from
from terrarium.app.commands.options import Command, option, print_json, slots
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.events import Phase, Progress, VocabularyGrowth
from terrarium.models.tokenizers import (
    KINDS,
    CutCounter,
    TokenizerOptions,
    describe_shortfall,
    read_texts,
    train_in_child,
    train_tokenizer,
    write_tokenizer,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer


PROGRESS_FROM_BYTES, PROGRESS_FROM_TOKENS = 4_000_000, 16_384
"""Progress is reported from either size on, as it costs 50 µs per merge: a third of the time of a small training."""


class Train(Command):
    """Learn a vocabulary from text files or a corpus."""

    data: tuple[Path, ...] = option("text files", many=True, metavar="FILE", one_of="texts", required=True)
    corpus: str | None = option(
        "tiny-world, stdlib, or a corpus of the library by its label or the digits of its SHA-256: its training "
        "part is read",
        metavar="C",
        one_of="texts",
        complete="dataset",
    )
    kind: str = option("what a token is", default="bpe", choices=KINDS)
    vocab_size: int = option("how many tokens there are at most", default=1024, metavar="V")
    options: Mapping[str, Any] = slots(TokenizerOptions)
    growth: bool = option("for bpe, also measure how well smaller vocabularies compress the first megabyte of the text")
    out: Path = option("the folder to write", metavar="DIR")

    def run(self) -> None:
        """Train in this process with --json, otherwise in a child process, which Ctrl-C terminates."""
        files = list(self.data) if self.corpus is None else [self._corpus_file(self.corpus)]
        if self.as_json:
            with ProgressLine(as_json=True) as line:
                print_json(self._train_here(files, line))
            return
        with ProgressLine() as line:
            options = settings_from(TokenizerOptions, self.options)
            events = train_in_child(files, self.kind, self.vocab_size, self.out, options, growth=self.growth)
            about = drive(events, line)
            line.say(f"{about['vocab_size']:,} tokens, kind {about['kind']}")
        print(self.out)

    def _corpus_file(self, name: str) -> Path:
        """Return the file with the training split of a corpus. The child process gets files, and needs none of this."""
        from terrarium.app.commands.tokenizer.compare import find_corpus
        from terrarium.models.data.corpus_texts import chosen_corpus
        from terrarium.models.library.library import Library

        library = Library()
        with ProgressLine(as_json=self.as_json) as line:
            corpus = drive(chosen_corpus(library, find_corpus(name, library)), line)
            return drive(corpus.sample_events("train"), line)

    def _train_here(self, files: list[Path], line: ProgressLine) -> dict[str, Any]:
        texts, options = _read_with_progress(files, line), settings_from(TokenizerOptions, self.options)
        cut = CutCounter()
        takes_long = _total_bytes(files) >= PROGRESS_FROM_BYTES or self.vocab_size >= PROGRESS_FROM_TOKENS
        tokenizer = train_tokenizer(texts, self.kind, self.vocab_size, options, progress=takes_long, cut=cut)
        growth = list(_grow(tokenizer, files, line)) if self.growth and self.kind == "bpe" else []
        notices = (cut.sentence, describe_shortfall(tokenizer, self.kind, self.vocab_size))
        about = {
            "trained_on": [str(path.resolve()) for path in files],
            "bytes": _total_bytes(files),
            "asked_vocab_size": self.vocab_size,
            "options": asdict(options),
            **({"growth": growth} if growth else {}),
            "notice": " ".join(filter(None, notices)) or None,
        }
        facts = write_tokenizer(tokenizer, self.out, about)
        return {"folder": str(self.out), **facts}


def _grow(tokenizer: Tokenizer, files: list[Path], line: ProgressLine) -> Iterator[dict[str, Any]]:
    """Measure compression by vocabulary size, showing each point; yield the entries of about.json."""
    from terrarium.models.tokenizers.making.growth import measure_growth, take_sample

    line.show(Phase(name="Measuring compression"))
    sample = take_sample(read_texts(files))
    for size, bytes_per_token in measure_growth(tokenizer, sample):
        point = VocabularyGrowth(vocab_size=size, bytes_per_token=bytes_per_token, sample_bytes=len(sample.encode()))
        line.show(point)
        yield asdict(point)


def _read_with_progress(paths: list[Path], line: ProgressLine) -> Iterator[str]:
    total, done = _total_bytes(paths), 0
    line.show(Phase(name="Reading the text"))
    for text in read_texts(paths):
        yield text
        done += len(text)
        line.show(Progress(done=min(done, total), total=total))


def _total_bytes(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())
