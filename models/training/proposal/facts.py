"""The size of a run's data: how many tokens it has for its model, and how long its rows are.

Read from a sample before anything is prepared: nothing is saved, no model is opened. No torch import.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.chat.template_config import ChatTemplateConfig, read_kept_template_config, template_to_teach
from terrarium.models.corpora.corpus import Corpus, Example, json_line, list_corpora
from terrarium.models.data.examples import ExampleForm, encode_examples
from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.tasks import ALIGNED_TASKS
from terrarium.models.tasks.row_reader import RowReader
from terrarium.models.tasks.rows import LABEL_TASKS
from terrarium.models.tiny_world.corpus import world_of
from terrarium.models.tokenizers import load_tokenizer, read_tokenizer, train_tokenizer
from terrarium.models.tokenizers.codec import encode_text
from terrarium.models.tokenizers.foreign.foreign_files import read_foreign
from terrarium.models.tokenizers.making.texts import example_texts
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens

_SAMPLE_BYTES = 300_000
"""Bytes of text to encode, and to train a tokenizer on, to estimate the length of rows in tokens."""
_SAMPLE_ROWS = 1000
_SAMPLE_PARTS = 3
_N_PROMPTS = 2
_PROMPT_CHARACTERS = 200

TEXT, PACKED, ITEMS = "text", "packed", "items"
"""How batches are made of the data: windows of one long text (TEXT); rows up to a number of tokens (PACKED,
models.data.batches.ExampleBatches); or a number of rows (ITEMS, models.tasks.batches).
"""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data of a run.

    unit: TEXT, PACKED or ITEMS. n_rows: training rows, 0 for one long text. n_val_rows: validation rows. n_tokens:
    about how many tokens the training data has. lengths: of rows in tokens, in ascending order, from a sample if there
    are many; () for one long text. reply_share: the share of tokens that belong to replies. prompts: what a sample can
    begin with, from the validation rows; () if the data suggests none. task, labels: of a dataset with a task.
    """

    unit: str
    n_rows: int
    n_val_rows: int
    n_tokens: int
    lengths: tuple[int, ...] = ()
    reply_share: float = 1.0
    prompts: tuple[str, ...] = ()
    task: str = ""
    labels: tuple[str, ...] = ()


def read_facts(library: Library, spec: RunSpec) -> Generator[Event, None, DataFacts | None]:
    """Read the facts of a run's data; None if the data is generated when the run starts. Yields Phase.

    Raises:
        ValueError: if the data or the tokenizer cannot be read, or no row suits the model.
    """
    yield Phase(name="Looking at the data")
    if spec.data.source == "files":
        texts, n_bytes = _sample_files([Path(file) for file in spec.data.files])
        tokenizer, _ = _tokenizer(library, spec, texts)
        return _facts_of_text(tokenizer, texts, n_bytes * (1 - spec.data.val_fraction))
    corpus = _find(library, spec)
    if corpus is None or corpus.task in ALIGNED_TASKS:
        return None
    if corpus.kind == "text":
        texts = [corpus.sample_text("train", _SAMPLE_BYTES)[:_SAMPLE_BYTES]]
        tokenizer, _ = _tokenizer(library, spec, texts)
        return _facts_of_text(tokenizer, texts, corpus.path("train").stat().st_size)
    rows = _sample_rows(corpus, "train", _SAMPLE_ROWS)
    yield Phase(name="Counting tokens")
    in_rows = [*example_texts(map(json_line, rows), corpus.path("train"))]
    tokenizer, template = _tokenizer(library, spec, in_rows)
    return _facts_of_rows(spec, corpus, tokenizer, _as_taught(template, spec, corpus, tokenizer), rows)


def text_bytes(library: Library, spec: RunSpec) -> int | None:
    """Return the size of a run's text in bytes; None if it is generated when the run starts."""
    if spec.data.source == "files":
        return sum(Path(file).stat().st_size for file in spec.data.files if Path(file).is_file()) or None
    corpus = _find(library, spec)
    return None if corpus is None else corpus.n_bytes


def _find(library: Library, spec: RunSpec) -> Corpus | None:
    """Find the corpus of a run; None if it is not made yet."""
    data = spec.data
    if data.source == "dataset":
        known = (corpus for corpus in list_corpora(library) if corpus.task)
        return next((corpus for corpus in known if data.dataset in (corpus.label, corpus.sha)), None)
    for corpus in list_corpora(library):
        if data.source == "stdlib" and corpus.source == "stdlib":
            return corpus
        if data.source == "tiny-world" and corpus.seed == data.seed and world_of(corpus) is not None:
            return corpus
    return None


def _facts_of_text(tokenizer: Tokenizer, texts: Sequence[str], n_bytes: float) -> DataFacts:
    known = sum(len(text.encode(errors="replace")) for text in texts)
    n_tokens = sum(len(encode_text(tokenizer, text)) for text in texts)
    return DataFacts(unit=TEXT, n_rows=0, n_val_rows=0, n_tokens=round(n_tokens * n_bytes / max(1, known)))


def _facts_of_rows(
    spec: RunSpec, corpus: Corpus, tokenizer: Tokenizer, template: ChatTemplateConfig, rows: Sequence[Example]
) -> DataFacts:
    n_rows, n_val_rows = len(corpus.rows("train")), len(corpus.rows("val"))
    reply_share = 1.0
    model = dataclasses.replace(spec.batch_model, vocab_size=max(spec.model.vocab_size, tokenizer.get_vocab_size()))
    if corpus.task in LABEL_TASKS:
        reader = RowReader(model.for_task(corpus.task, corpus.labels), tokenizer, corpus.task, corpus.labels)
        items = reader.items(rows, has_targets=False)
        lengths = sorted(len(item.ids) for item in items)
        n_rows, unit = round(n_rows * len(items) / len(rows)), ITEMS
    else:
        form = ExampleForm(template=template, model=model)
        examples, _ = encode_examples(rows, ManyTextsEncoder(tokenizer), form)
        lengths, unit = sorted(len(ids) for ids, _ in examples), PACKED
        reply_share = sum(sum(is_reply) for _, is_reply in examples) / max(1, sum(lengths))
    return DataFacts(
        unit=unit,
        n_rows=n_rows,
        n_val_rows=n_val_rows,
        n_tokens=round(n_rows * sum(lengths) / max(1, len(lengths))),
        lengths=tuple(lengths),
        reply_share=reply_share,
        prompts=tuple(filter(None, (_prompt_of(row) for row in _sample_rows(corpus, "val", _N_PROMPTS)))),
        task=corpus.task,
        labels=corpus.labels,
    )


def _sample_rows(corpus: Corpus, split: str, at_most: int) -> list[Example]:
    """Return evenly spread rows of a split; ValueError if it has none."""
    rows, found, n_bytes = corpus.rows(split), list[Example](), 0
    n = min(len(rows), at_most)
    if not n:
        raise ValueError(f"{corpus.label!r} has no rows for {split}: import it again with another split.")
    step = -(-len(rows) // n)
    # If the byte limit ends the loop early, rows of all parts are still included: every second one comes first.
    for index in (*range(0, len(rows), 2 * step), *range(step, len(rows), 2 * step)):
        found.append(rows[index])
        n_bytes += rows.offset(index + 1) - rows.offset(index)
        if n_bytes > _SAMPLE_BYTES:
            break
    return found


def _sample_files(paths: Sequence[Path]) -> tuple[list[str], int]:
    """Read parts of text files, and the total size of all files in bytes; ValueError if one cannot be read."""
    texts, total = list[str](), 0
    try:
        for path in paths:
            size = path.stat().st_size
            total += size
            part = _SAMPLE_BYTES // (_SAMPLE_PARTS * len(paths))
            with path.open("rb") as file:
                for i in range(_SAMPLE_PARTS if size > _SAMPLE_PARTS * part else 1):
                    file.seek(i * (size - part) // (_SAMPLE_PARTS - 1) if size > _SAMPLE_PARTS * part else 0)
                    texts.append(file.read(part if size > _SAMPLE_PARTS * part else size).decode(errors="ignore"))
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}): choose the file again.") from error
    if not any(text.strip() for text in texts):
        raise ValueError("The chosen files have no text in them: choose others.")
    return texts, total


def _tokenizer(library: Library, spec: RunSpec, texts: Sequence[str]) -> tuple[Tokenizer, ChatTemplateConfig]:
    """Return the run's tokenizer, and the chat template of its parent.

    A tokenizer that the run would train is trained on the sample, which gives about the same lengths.
    """
    template = ChatTemplateConfig()
    if spec.tune is not None:
        tokenizer, template = _parent_tokenizer(library, spec.tune.parent)
    elif spec.tokenizer.path:
        tokenizer = load_tokenizer(spec.tokenizer.path, library)
    else:
        tokenizer = train_tokenizer(texts, spec.tokenizer.kind, spec.tokenizer.vocab_size)
    add_missing_special_tokens(tokenizer, spec.model.topology)
    return tokenizer, template


def _parent_tokenizer(library: Library, parent: str) -> tuple[Tokenizer, ChatTemplateConfig]:
    folder = _folder_of_parent(library, parent)
    if folder is not None:
        return read_tokenizer(folder / "tokenizer.json"), read_kept_template_config(folder) or ChatTemplateConfig()
    found = read_foreign(Path(parent).expanduser())
    return found.tokenizer, ChatTemplateConfig(template=found.template, named_tokens=dict(found.named_tokens))


def _folder_of_parent(library: Library, parent: str) -> Path | None:
    """Return the run that a model belongs to; None if it is another kind of file or folder."""
    path = Path(parent).expanduser()
    if path.exists():
        return path if (path / "run.json").is_file() else None
    name, _, step = parent.rpartition("@")
    return library.find_run(name if name and (step == "best" or step.isdecimal()) else parent)


def _as_taught(known: ChatTemplateConfig, spec: RunSpec, corpus: Corpus, tokenizer: Tokenizer) -> ChatTemplateConfig:
    """Return the chat template for a fine-tuned model whose parent has the template `known`."""
    has_replies = corpus.has_chats or corpus.task == "text-to-text"
    if spec.tune is None or not has_replies or spec.model.topology != "decoder-only":
        return known
    return template_to_teach(known, spec.model, tokenizer)


def _prompt_of(row: Mapping[str, Any]) -> str:
    """Return what a sample can begin with: the beginning of a text, or the first user message; else ""."""
    text = row.get("text") or row.get("source") or ""
    messages = row.get("messages")
    if messages:
        text = next((message["content"] for message in messages if message.get("role") == "user"), "")
    if "label" not in row and "labels" not in row and "score" not in row and "text" in row:
        text = " ".join(text.split()[:3])  # the model continues it
    return str(text).strip()[:_PROMPT_CHARACTERS]
