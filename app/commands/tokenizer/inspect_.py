"""`terrarium tokenizer inspect`: describes a tokenizer, its vocabulary and its use in a corpus; tokens of a text."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, read_argument
from terrarium.app.commands.options import Command, argument, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.app.commands.tokenizer.compare import BUILT_IN, find_corpus
from terrarium.models.data.corpus_texts import CorpusChoice, corpus_texts
from terrarium.models.events import Phase
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import load_tokenizer, read_texts, special_ids, token_pieces, tokenizer_kind
from terrarium.models.tokenizers.vocabulary.token_types import TYPES

if TYPE_CHECKING:  # these need numpy, without which the process that trains a tokenizer starts faster
    from tokenizers import Tokenizer

    from terrarium.models.tokenizers import Piece
    from terrarium.models.tokenizers.vocabulary.token_counts import Usage
    from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary

USES = ("produced", "once", "step", "never", "unreachable")
COLUMNS = ("id", "token", "bytes", "length", "type", "count", "made")
_LIMIT = 50
_N_LONGEST = 20
_WIDEST = 40  # characters of a token


class Inspect(Command):
    """Describe a tokenizer, browse its vocabulary, and show the tokens of a text."""

    tokenizer: str = argument("TOKENIZER", "a path or a name", complete="tokenizer")
    text: str | None = option("show the tokens of this text; - reads stdin", metavar="T", one_of="text")
    data: Path | None = option("show the tokens of the text in this file", metavar="FILE", one_of="text")
    corpus: str | None = option(
        f"count on {', '.join(BUILT_IN)}, a text file, or a corpus of the library by label or SHA-256",
        metavar="C",
        complete="dataset",
    )
    find: str | None = option("list the tokens with this text, /regular expression/ or #id", metavar="Q")
    type: str | None = option("list only tokens of this type", choices=TYPES)
    use: str | None = option("list only tokens with this use in the corpus", choices=USES)
    sort: str | None = option("list by this column (default: id)", choices=COLUMNS)
    descending: bool = option("sort in descending order")
    limit: int = option(f"list at most N tokens (default: {_LIMIT}); 0: all", default=_LIMIT, metavar="N")
    csv: Path | None = option("write all matching tokens to a file", metavar="FILE")

    def run(self) -> None:
        """Print the report, or one JSON object."""
        if self.corpus is None and (self.use not in (None, "unreachable") or self.sort == "count"):
            raise UsageError("This needs counts: add --corpus.")
        library = Library()
        tokenizer = load_tokenizer(self.tokenizer, library)
        about: dict[str, Any] = {
            "tokenizer": self.tokenizer,
            "kind": tokenizer_kind(tokenizer),
            "vocab_size": tokenizer.get_vocab_size(),
            "special_tokens": {token: id for id, token in sorted(special_ids(tokenizer).items())},
        }
        has_text = self.text is not None or self.data is not None
        pieces = token_pieces(tokenizer, self._text()) if has_text else []
        about["pieces"] = [{**piece._asdict(), "bytes": piece.bytes.hex()} for piece in pieces]
        lists = any(option is not None for option in (self.find, self.type, self.use, self.sort))
        browsed = None
        if not has_text or lists or self.corpus is not None or self.csv is not None:
            browsed = self._browse(tokenizer, library)
            about |= browsed.facts(lists, self.csv)
        if self.as_json:
            print_json(about)
            return
        print(f"{about['tokenizer']}: kind {about['kind']}, {about['vocab_size']:,} tokens")
        print("special:", ", ".join(f"{token} {id}" for token, id in about["special_tokens"].items()) or "none")
        _print_pieces(pieces)
        if browsed is not None:
            _print_browsed(about, browsed, self.csv)

    def _browse(self, tokenizer: Tokenizer, library: Library) -> _Browsed:
        """Read the vocabulary, count, search, and write the CSV file."""
        from terrarium.models.tokenizers.vocabulary.csv_file import write_vocabulary_csv
        from terrarium.models.tokenizers.vocabulary.vocabulary import read_vocabulary

        table = read_vocabulary(tokenizer)
        corpus, usage = "", None
        if self.corpus is not None:
            corpus, usage = self._count(self.corpus, tokenizer, table, library)
        rows = self._find(table, usage)
        if self.csv is not None:
            write_vocabulary_csv(self.csv, table, usage, rows)
        shown = rows if self.limit <= 0 else rows[: self.limit]
        return _Browsed(table=table, corpus=corpus, usage=usage, rows=rows, shown=shown)

    def _text(self) -> str:
        return "".join(read_texts([self.data])) if self.data is not None else read_argument(self.text or "")

    def _count(self, name: str, tokenizer: Tokenizer, table: Vocabulary, library: Library) -> tuple[str, Usage]:
        from terrarium.models.tokenizers.vocabulary.token_counts import Usage, count_tokens

        if Path(name).is_file():
            choice = CorpusChoice(source="files", files=(name,))
        else:
            choice = find_corpus(name, library, ["a text file"])
        with ProgressLine(as_json=self.as_json) as line:
            label, n_bytes, texts = drive(corpus_texts(library, choice), line)
            line.show(Phase(name="Counting"))
            counts = drive(count_tokens(tokenizer, texts, n_bytes), line)
        return label, Usage(table, counts)

    def _find(self, table: Vocabulary, usage: Usage | None) -> list[int]:
        # Its regular expressions are Qt's.
        from terrarium.app.tokenizer.vocabulary.token_finder import Query, TokenFinder

        query = Query(
            text=self.find or "",
            type=self.type or "",
            use=self.use or "",
            column=self.sort or "id",
            descending=self.descending,
        )
        with ProgressLine(as_json=self.as_json) as line:
            if query.text.startswith("/"):
                line.show(Phase(name="Searching"))
            found = drive(TokenFinder(table, usage).find(query), line)
        if found.problem:
            raise ValueError(found.problem)
        rows: list[int] = found.rows.tolist()
        return rows


@dataclass(frozen=True, kw_only=True)
class _Browsed:
    """A vocabulary, its counts, and the rows found; `shown` are the rows to list."""

    table: Vocabulary
    corpus: str
    usage: Usage | None
    rows: list[int]
    shown: list[int]

    def facts(self, lists: bool, csv: Path | None) -> dict[str, Any]:
        """Return the fields of the JSON output."""
        facts = _facts(self.table)
        if self.usage is not None:
            facts["usage"] = _usage_facts(self.corpus, self.usage)
        if lists:
            tokens = [_token_facts(self.table, self.usage, row) for row in self.shown]
            facts |= {"found": len(self.rows), "tokens": tokens}
        if csv is not None:
            facts["csv"] = str(csv)
        return facts


# -- JSON output ------------------------------------------------------------------------------------------------------


def _facts(table: Vocabulary) -> dict[str, Any]:
    import numpy as np

    from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES

    n_of = Counter(table.types.tolist())
    is_special = table.types == TYPE_NAMES.index("special")
    longest = [row for row in np.argsort(-table.n_bytes, kind="stable").tolist() if not is_special[row]]
    return {
        "model": table.model,
        "merges": table.n_merges,
        "mean_bytes": float(table.n_bytes.mean()),
        "max_bytes": int(table.n_bytes.max()),
        "types": {name: n_of[i] for i, name in enumerate(TYPE_NAMES) if n_of[i]},
        "unreachable": int(np.count_nonzero(~table.reachable)),
        "longest": [table.shown[row] for row in longest[:_N_LONGEST]],
    }


def _usage_facts(name: str, usage: Usage) -> dict[str, Any]:
    from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES

    return {
        "corpus": name,
        "bytes": usage.corpus.n_bytes,
        "characters": usage.corpus.n_characters,
        "tokens": usage.n_tokens,
        "bytes_per_token": usage.corpus.n_bytes / usage.n_tokens,
        "occurring": len(usage.frequencies),
        "share_once": usage.n("once") / len(usage.frequencies),
        "for_90_percent": usage.n_for(0.9),
        "uses": {use: usage.n(use) for use in USE_NAMES},
        "glitch_candidates": usage.n("never", "unreachable"),
    }


def _token_facts(table: Vocabulary, usage: Usage | None, row: int) -> dict[str, Any]:
    from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES

    token = table[row]
    facts: dict[str, Any] = {
        "id": token.id,
        "token": token.shown,
        "text": token.text,
        "bytes": token.bytes.hex(),
        "type": token.type,
        "reachable": token.reachable,
    }
    if token.rank >= 0:
        facts |= {"left": token.left, "right": token.right, "rank": token.rank}
    if token.score is not None:
        facts["score"] = None if math.isnan(token.score) else token.score
    if usage is not None:
        facts |= {"count": int(usage.counts[row]), "use": USE_NAMES[usage.uses[row]]}
    return facts


# -- Text output -------------------------------------------------------------------------------------------------------


def _print_pieces(pieces: list[Piece]) -> None:
    if pieces:
        print(f"{'id':>7}  {'bytes':>11}  token")
    for piece in pieces:
        print(f"{piece.id:>7}  {f'{piece.start}–{piece.end}':>11}  {piece.display}")


def _print_browsed(about: dict[str, Any], browsed: _Browsed, csv: Path | None) -> None:
    merges = f", {about['merges']:,} merges" if about["merges"] else ""
    print(f"model: {about['model']}{merges}")
    print(f"bytes in a token: {about['mean_bytes']:.2f} on average, {about['max_bytes']:,} at most")
    print("types:", ", ".join(f"{name} {n:,}" for name, n in about["types"].items()))
    if about["unreachable"]:
        print(f"unreachable: {about['unreachable']:,}, not produced by any text")
    print("longest:", "  ".join(name if len(name) <= _WIDEST else name[:_WIDEST] + "…" for name in about["longest"]))
    if browsed.usage is not None:
        from terrarium.app.tokenizer.vocabulary.pictures import describe_usage

        print(describe_usage(browsed.table, browsed.usage, browsed.corpus))
    if "tokens" in about:
        _print_tokens(browsed.table, browsed.usage, browsed.shown, len(browsed.rows))
    if csv is not None:
        print(f"{len(browsed.rows):,} tokens written to {csv}")


def _print_tokens(table: Vocabulary, usage: Usage | None, rows: list[int], n_found: int) -> None:
    counts = "" if usage is None else f"  {'count':>10}"
    print(f"{'id':>7}  {'bytes':>5}  {'type':<12}{counts}  token")
    for row in rows:
        token = table[row]
        counts = "" if usage is None else f"  {usage.counts[row]:>10,}"
        made = ""
        if token.rank >= 0:
            parts = [table.shown[table.row_of(id)] for id in (token.left, token.right)]
            made = f"  = {parts[0]} + {parts[1]}"
        elif token.score is not None and not math.isnan(token.score):
            made = f"  {token.score:.3f}"
        print(f"{token.id:>7}  {len(token.bytes):>5}  {token.type:<12}{counts}  {token.shown}{made}")
    if n_found > len(rows):
        print(f"and {n_found - len(rows):,} more: --limit 0 lists all")
