"""`terrarium tokenizer inspect`: describes a tokenizer, its vocabulary and its use in a corpus; tokens of a text."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from terrarium.app.commands.common import UsageError, print_json, read_argument
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.app.commands.tokenizer.corpora import find_corpus
from terrarium.models.data.corpus_texts import CorpusChoice, corpus_texts
from terrarium.models.events import Phase
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import load_tokenizer, read_texts, special_ids, token_pieces, tokenizer_kind
from terrarium.models.tokenizers.vocabulary.csv_file import write_vocabulary_csv
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, Usage, count_tokens
from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES, Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.tokenizers import Piece

_N_LONGEST = 20
_WIDEST = 40  # characters of a token


def run(args: argparse.Namespace) -> None:
    """Print the report, or one JSON object."""
    if args.corpus is None and (args.use not in (None, "unreachable") or args.sort == "count"):
        raise UsageError("This needs counts: add --corpus.")
    library = Library()
    tokenizer = load_tokenizer(args.tokenizer, library)
    about: dict[str, Any] = {
        "tokenizer": args.tokenizer,
        "kind": tokenizer_kind(tokenizer),
        "vocab_size": tokenizer.get_vocab_size(),
        "special_tokens": {token: id for id, token in sorted(special_ids(tokenizer).items())},
    }
    has_text = args.text is not None or args.data is not None
    pieces = token_pieces(tokenizer, _text(args)) if has_text else []
    about["pieces"] = [{**piece._asdict(), "bytes": piece.bytes.hex()} for piece in pieces]
    lists = any(option is not None for option in (args.find, args.type, args.use, args.sort))
    browsed = None
    if not has_text or lists or args.corpus is not None or args.csv is not None:
        browsed = _browse(args, tokenizer, library)
        about |= browsed.facts(lists, args)
    if args.json:
        print_json(about)
        return
    print(f"{about['tokenizer']}: kind {about['kind']}, {about['vocab_size']:,} tokens")
    print("special:", ", ".join(f"{token} {id}" for token, id in about["special_tokens"].items()) or "none")
    _print_pieces(pieces)
    if browsed is not None:
        _print_browsed(about, browsed, args)


@dataclass(frozen=True, kw_only=True)
class _Browsed:
    """A vocabulary, its counts, and the rows found; `shown` are the rows to list."""

    table: Vocabulary
    corpus: str
    usage: Usage | None
    rows: list[int]
    shown: list[int]

    def facts(self, lists: bool, args: argparse.Namespace) -> dict[str, Any]:
        """Return the fields of the JSON output."""
        facts = _facts(self.table)
        if self.usage is not None:
            facts["usage"] = _usage_facts(self.corpus, self.usage)
        if lists:
            tokens = [_token_facts(self.table, self.usage, row) for row in self.shown]
            facts |= {"found": len(self.rows), "tokens": tokens}
        if args.csv is not None:
            facts["csv"] = str(args.csv)
        return facts


def _browse(args: argparse.Namespace, tokenizer: Tokenizer, library: Library) -> _Browsed:
    """Read the vocabulary, count, search, and write the CSV file."""
    table = read_vocabulary(tokenizer)
    corpus, usage = "", None
    if args.corpus is not None:
        corpus, usage = _count(args, tokenizer, table, library)
    rows = _find(args, table, usage)
    if args.csv is not None:
        write_vocabulary_csv(args.csv, table, usage, rows)
    shown = rows if args.limit <= 0 else rows[: args.limit]
    return _Browsed(table=table, corpus=corpus, usage=usage, rows=rows, shown=shown)


def _text(args: argparse.Namespace) -> str:
    return "".join(read_texts([args.data])) if args.data is not None else read_argument(args.text)


def _count(args: argparse.Namespace, tokenizer: Tokenizer, table: Vocabulary, library: Library) -> tuple[str, Usage]:
    if Path(args.corpus).is_file():
        choice = CorpusChoice(source="files", files=(args.corpus,))
    else:
        choice = find_corpus(args.corpus, library, ["a text file"])
    with ProgressLine(as_json=args.json) as line:
        name, n_bytes, texts = drive(corpus_texts(library, choice), line)
        line.show(Phase(name="Counting"))
        counts = drive(count_tokens(tokenizer, texts, n_bytes), line)
    return name, Usage(table, counts)


def _find(args: argparse.Namespace, table: Vocabulary, usage: Usage | None) -> list[int]:
    from terrarium.app.tokenizer.vocabulary.token_finder import Query, TokenFinder  # the regular expressions are Qt's

    query = Query(
        text=args.find or "",
        type=args.type or "",
        use=args.use or "",
        column=args.sort or "id",
        descending=args.descending,
    )
    with ProgressLine(as_json=args.json) as line:
        if query.text.startswith("/"):
            line.show(Phase(name="Searching"))
        found = drive(TokenFinder(table, usage).find(query), line)
    if found.problem:
        raise ValueError(found.problem)
    rows: list[int] = found.rows.tolist()
    return rows


# -- JSON output ------------------------------------------------------------------------------------------------------


def _facts(table: Vocabulary) -> dict[str, Any]:
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
        facts["score"] = None if np.isnan(token.score) else token.score
    if usage is not None:
        facts |= {"count": int(usage.counts[row]), "use": USE_NAMES[usage.uses[row]]}
    return facts


# -- Text output -------------------------------------------------------------------------------------------------------


def _print_pieces(pieces: list[Piece]) -> None:
    if pieces:
        print(f"{'id':>7}  {'bytes':>11}  token")
    for piece in pieces:
        print(f"{piece.id:>7}  {f'{piece.start}–{piece.end}':>11}  {piece.display}")


def _print_browsed(about: dict[str, Any], browsed: _Browsed, args: argparse.Namespace) -> None:
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
    if args.csv is not None:
        print(f"{len(browsed.rows):,} tokens written to {args.csv}")


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
        elif token.score is not None and not np.isnan(token.score):
            made = f"  {token.score:.3f}"
        print(f"{token.id:>7}  {len(token.bytes):>5}  {token.type:<12}{counts}  {token.shown}{made}")
    if n_found > len(rows):
        print(f"and {n_found - len(rows):,} more: --limit 0 lists all")
