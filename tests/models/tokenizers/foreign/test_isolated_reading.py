"""Reading tokenizers of strangers: the same as in this process, and an end in one sentence whatever the file holds."""

from __future__ import annotations

import base64
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from terrarium.models.events import result_of
from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign import isolated_reading
from terrarium.models.tokenizers.foreign.foreign_files import read_foreign
from terrarium.models.tokenizers.foreign.isolated_reading import LIMITS, read_isolated, reader
from terrarium.models.tokenizers.foreign.patterns import PatternUnknownError
from tests.models.tokenizers.foreign import hostile
from tests.models.tokenizers.foreign.support import all_texts, ids_of
from tests.models.tokenizers.foreign.test_reading import write_words

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "##s"]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets lower limits."""
    return lambda **lower: monkeypatch.setattr(isolated_reading, "LIMITS", dataclasses.replace(LIMITS, **lower))


def refused(path: Path) -> str:
    """The one sentence in which a file is refused, in little memory of this process."""
    here = psutil.Process()
    before = here.memory_info().rss
    with pytest.raises(ValueError, match=path.name) as failure:
        result_of(read_isolated(path, "gpt2"))
    assert here.memory_info().rss - before < 64 << 20
    sentence = str(failure.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_the_same_is_read_as_in_this_process(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "bert", WORDS, do_lower_case=True, bos_token="[CLS]")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    found, expected = result_of(read_isolated(folder)), read_foreign(folder)
    assert dataclasses.replace(found, tokenizer=None) == dataclasses.replace(expected, tokenizer=None)
    for text in all_texts():
        assert ids_of(found.tokenizer, text) == ids_of(expected.tokenizer, text)


@pytest.mark.slow
def test_a_tokenizer_as_large_as_the_largest_is_read_within_the_limits(tmp_path: Path) -> None:
    texts = ["".join(letters) for n in range(1, 7) for letters in itertools.product("abcdefgh", repeat=n)][:262_144]
    known = set(texts)
    merges = [(text[:-1], text[-1]) for text in texts if len(text) > 1]
    merges += [(text[0], text[1:]) for text in texts if len(text) > 2 and text[1:] in known]
    made = Tokenizer(BPE({text: id for id, text in enumerate(texts)}, merges))
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    made.save(str(tmp_path / "tokenizer.json"))
    del made, merges, known
    found = result_of(read_isolated(tmp_path / "tokenizer.json")).tokenizer
    assert found.get_vocab_size() == 262_144
    assert LIMITS.memory_bytes <= 768 << 20


def test_errors_keep_their_kind(tmp_path: Path) -> None:
    ranks = tmp_path / "mine.tiktoken"
    ranks.write_bytes(b"".join(base64.b64encode(bytes([b])) + b" %d\n" % b for b in range(256)))
    with pytest.raises(PatternUnknownError, match="choose a pattern"):
        result_of(read_isolated(ranks))
    (tmp_path / "empty.json").touch()
    with pytest.raises(DamagedError, match="is empty"):
        result_of(read_isolated(tmp_path / "empty.json"))


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        ("dag.model", hostile.write_shared_trie, "its table of replacements does not parse"),
        ("tokenizer.json", hostile.write_deep_json, "not valid JSON"),
        ("long.model", hostile.write_long_fields, "not a complete SentencePiece model"),
        ("many.model", hostile.write_many_pieces, "not a complete SentencePiece model"),
    ],
)
def test_hostile_files_are_refused_soon(name: str, write: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    assert why in refused(tmp_path / name)


@pytest.mark.parametrize(
    "damage",
    [
        {"n_values": 2**62},
        {"n_tensors": 2**62, "n_values": 0},
        {"values": hostile.gguf_key(hostile.GGUF_ARRAY) + hostile.gguf_array(hostile.GGUF_BYTE, 2**61)},
        {"values": hostile.gguf_key(hostile.GGUF_STRING) + b"\xff" * 8},
        {"values": hostile.gguf_key(hostile.GGUF_ARRAY) + hostile.gguf_array(hostile.GGUF_ARRAY, 1) * 5000},
        {
            "values": hostile.gguf_key(hostile.GGUF_ARRAY) + hostile.gguf_array(hostile.GGUF_BYTE, 40 << 20),
            "size": 48 << 20,
        },
    ],
    ids=["values", "tensors", "array", "text", "nested", "hole"],
)
def test_gguf_files_that_announce_too_much_are_refused(damage: dict[str, object], tmp_path: Path) -> None:
    hostile.write_gguf(tmp_path / "it.gguf", **damage)  # type: ignore[arg-type]
    assert "is not a complete GGUF file" in refused(tmp_path / "it.gguf")


def test_what_takes_too_long_is_ended(limits: Callable[..., None], tmp_path: Path) -> None:
    hostile.write_endless_ranks(tmp_path / "endless.tiktoken")
    limits(seconds=0.1)
    assert refused(tmp_path / "endless.tiktoken").endswith("because it takes longer than 0.1 s.")
    assert reader().pid == 0


def test_what_takes_too_much_memory_is_ended(limits: Callable[..., None], tmp_path: Path) -> None:
    hostile.write_wide_json(tmp_path / "wide.json")
    limits(memory_bytes=100 << 20)
    assert refused(tmp_path / "wide.json").endswith("because it takes more than 100 MiB of memory.")
    assert reader().pid == 0


def test_closing_ends_the_reading(tmp_path: Path) -> None:
    hostile.write_endless_ranks(tmp_path / "endless.tiktoken")
    reading = read_isolated(tmp_path / "endless.tiktoken", "gpt2")
    next(reading)
    process = psutil.Process(reader().pid)
    reading.close()
    assert not process.is_running()
