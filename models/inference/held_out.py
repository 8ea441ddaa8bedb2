"""Held-out texts for measuring a model's perplexity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from terrarium.models.chat.template_config import ChatTemplateConfig, read_kept_template_config
from terrarium.models.corpora.corpus import Corpus, Example, open_corpus
from terrarium.models.data.examples import EncodedExample, ExampleForm, encode_examples
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.stories import stories
from terrarium.models.tokenizers import encode_text
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder

_N_CHARACTERS = 40_000
_N_EXAMPLES = 200


@dataclass(frozen=True)
class HeldOut:
    """A short description of the texts, and their token ids.

    counted: for each text, which tokens are predicted; () for all of them.
    """

    label: str
    texts: Sequence[Sequence[int]]
    counted: Sequence[Sequence[bool]] = ()


def held_out(path: Path, tokenizer: Tokenizer, library: Library) -> HeldOut:
    """Return texts for measuring perplexity: replies for a model trained on replies only, else `held_out_texts`.

    Such a model has not learned to predict the messages of users.
    """
    if (path / "run.json").is_file() and RunFolder.open(path).spec.train.context_loss_weight == 0:
        replies = held_out_replies(path, tokenizer, library)
        if replies is not None:
            return replies
    return held_out_texts(path, tokenizer, library)


def held_out_texts(path: Path, tokenizer: Tokenizer, library: Library) -> HeldOut:
    """Return the beginning of a run's validation texts; for models without any, generated Tiny World stories."""
    corpus = _corpus(path, library)
    texts = [ids for ids in _validation(corpus, tokenizer, path) if len(ids) > 1] if corpus is not None else []
    if corpus is not None and texts:
        return HeldOut(f"the validation texts of {corpus.label}", texts)
    return HeldOut("stories of Tiny World", [encode_text(tokenizer, "\n\n".join(stories("English", _N_EXAMPLES)))])


def held_out_replies(path: Path, tokenizer: Tokenizer, library: Library) -> HeldOut | None:
    """Return the first validation conversations of a run, with only the replies counted; None if it has none."""
    corpus = _corpus(path, library)
    if corpus is None or corpus.kind == "text":
        return None
    talks = [row for row in islice(corpus.rows("val"), _N_EXAMPLES) if "messages" in row]
    encoded = _conversations(talks, tokenizer, path)
    if not encoded:
        return None
    texts, counted = zip(*encoded, strict=True)
    return HeldOut(f"the replies in the validation texts of {corpus.label}", texts, counted)


def _corpus(path: Path, library: Library) -> Corpus | None:
    """Return the training corpus of the run in `path`; None for imported models, and if the corpus is gone."""
    if not (path / "run.json").exists():
        return None
    made_from = RunFolder.open(path).lineage.get("corpus")
    try:
        return open_corpus(library, made_from["sha256"]) if made_from is not None else None
    except (ValueError, KeyError):
        return None


def _conversations(rows: Sequence[Example], tokenizer: Tokenizer, path: Path) -> list[EncodedExample]:
    """Encode conversations as in the training of the run in `path`: with the model's own chat template, if any."""
    form = ExampleForm(template=read_kept_template_config(path) or ChatTemplateConfig())
    return encode_examples(rows, ManyTextsEncoder(tokenizer), form)[0]


def _validation(corpus: Corpus, tokenizer: Tokenizer, path: Path) -> Iterator[list[int]]:
    """Yield token ids as in training; conversations use the chat template."""
    if corpus.kind == "text":
        yield encode_text(tokenizer, next(corpus.text_blocks("val"), "")[:_N_CHARACTERS])
        return
    for example in islice(corpus.rows("val"), _N_EXAMPLES):
        if "messages" in example:
            yield _conversations([example], tokenizer, path)[0][0]
        elif "text" in example:
            yield encode_text(tokenizer, example["text"])
