"""Mistral's Tekken files, written here: the ids of tiktoken, after the special tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiktoken

from terrarium.models.tokenizers import TokenBytes, decode, train_tokenizer
from terrarium.models.tokenizers.foreign.foreign_files import find_tokenizer_file, read_foreign
from terrarium.models.tokenizers.foreign.patterns import PATTERNS
from tests.models.tokenizers.foreign.support import all_texts, ids_of, lines, saved

N_SPECIAL, N_RANKS = 30, 350
PATTERN = PATTERNS["tekken"].regex


@pytest.fixture(scope="module")
def tokens() -> list[bytes]:
    """Single bytes, then what byte-level BPE learned: 400 tokens, of which the files use the first 350."""
    trained = train_tokenizer(list(lines()), "bpe", 405)
    table = TokenBytes(trained)
    learned = [table[id] for id in range(5 + 256, 405)]
    return [bytes([byte]) for byte in range(256)] + learned


def content(tokens: list[bytes], **changes: Any) -> dict[str, Any]:
    """The JSON of a file without a list of special tokens."""
    entries = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    config = {
        "pattern": PATTERN,
        "num_vocab_tokens": len(tokens),
        "default_vocab_size": N_SPECIAL + N_RANKS,
        "default_num_special_tokens": N_SPECIAL,
        "version": "v3",
    }
    return {"config": config | changes, "vocab": entries}


def write(folder: Path, value: dict[str, Any]) -> Path:
    file = folder / "tekken.json"
    file.write_text(json.dumps(value))
    return file


def test_ids_are_those_of_tiktoken_after_the_special_ones(tokens: list[bytes], tmp_path: Path) -> None:
    found = read_foreign(write(tmp_path, content(tokens)))
    ours = saved(found.tokenizer)
    ranks = {token: rank for rank, token in enumerate(tokens[:N_RANKS])}
    theirs = tiktoken.Encoding("x", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    for text in all_texts():
        if not any(token in text for token in ("<s>", "</s>", "<unk>", "<pad>")):
            ids = [N_SPECIAL + rank for rank in theirs.encode_ordinary(text)]
            assert ids_of(ours, text) == ids, repr(text)
            assert decode(ours, ids) == text
    assert found.form == "Mistral's Tekken"
    assert found.named_tokens == {"bos_token": "<s>", "eos_token": "</s>"}
    assert "those of Mistral's library for v3 were added" in found.assumptions[0]
    assert "Of its 400 tokens, the first 350 are used" in found.assumptions[1]


def test_special_tokens(tokens: list[bytes], tmp_path: Path) -> None:
    """Those that the file lists, or the usual ones, and names for the rest of their room."""
    listed = ["<unk>", "<s>", "</s>", "[THINK]"]
    entries = [{"rank": rank, "token_str": token, "is_control": True} for rank, token in enumerate(listed)]
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    write(one, content(tokens[:N_RANKS], version="v13") | {"special_tokens": entries})
    write(other, content(tokens))
    assert find_tokenizer_file(one) == one / "tekken.json"
    for folder, known in ((one, listed), (other, ["<unk>", "<s>", "</s>", "[INST]"])):
        tokenizer = read_foreign(folder).tokenizer
        assert tokenizer.get_vocab_size() == N_SPECIAL + N_RANKS
        assert [tokenizer.id_to_token(id) for id in range(4)] == known
        assert tokenizer.id_to_token(N_SPECIAL - 1) == f"<SPECIAL_{N_SPECIAL - 1}>"
        assert ids_of(tokenizer, "a<s>") == [N_SPECIAL + ord("a"), 1]
        assert len(tokenizer.get_added_tokens_decoder()) == N_SPECIAL


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda value: value["config"].update(pattern=r"\w+"),
            "splits text into words with a pattern that is not known",
        ),
        (
            lambda value: value["config"].update(version="v99"),
            "lists no special tokens, and its version v99 is not known",
        ),
        (
            lambda value: value["config"].pop("default_vocab_size"),
            "numbers of tokens and of special tokens are missing",
        ),
        (lambda value: value["vocab"].pop(), "tokens are missing or duplicate"),
        (lambda value: value["vocab"].pop(7), "entry 7 is not a token with its rank"),
        (lambda value: value["vocab"][300].update(token_bytes="!"), "entry 300 is not a token with its rank"),
        (lambda value: value["vocab"][300].update(token_bytes="YQ=="), "tokens are missing or duplicate"),
        (
            lambda value: value.update(special_tokens=[{"rank": 5, "token_str": "x"}]),
            "special tokens are not tokens with",
        ),
        (lambda value: value.update(special_tokens=["x"]), "special tokens are not tokens with their ranks"),
        (
            lambda value: value.update(special_tokens=[{"rank": rank, "token_str": "x"} for rank in range(2)]),
            "too many special tokens, or a duplicate",
        ),
    ],
)
def test_wrong_files_give_an_error_message(
    change: Callable[[dict[str, Any]], object], sentence: str, tokens: list[bytes], tmp_path: Path
) -> None:
    value = content(tokens[:N_RANKS])
    change(value)
    with pytest.raises(ValueError, match=r"tekken\.json") as caught:
        read_foreign(write(tmp_path, value))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
