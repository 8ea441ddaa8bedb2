"""Reading tokenizer files and folders: detection by content, and an error message for each problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, implementations, models, pre_tokenizers

from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.foreign.foreign_files import find_tokenizer_file, read_foreign
from tests.models.tokenizers.foreign.support import all_texts, ids_of, lines
from tests.models.tokenizers.foreign.test_sentencepiece import train as train_sentencepiece


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    """As GPT-2's, learned by the library's own class."""
    made = implementations.ByteLevelBPETokenizer()
    made.train_from_iterator(lines(), vocab_size=600, show_progress=False, special_tokens=["<|endoftext|>"])
    return Tokenizer.from_str(made.to_str())


@pytest.fixture(scope="module")
def word_pieces() -> list[str]:
    """A vocabulary as BERT's."""
    made = implementations.BertWordPieceTokenizer()
    made.train_from_iterator(lines(), vocab_size=500, show_progress=False)
    vocab = made.get_vocab()
    return sorted(vocab, key=vocab.__getitem__)


def write_pair(folder: Path, tokenizer: Tokenizer) -> Path:
    folder.mkdir(exist_ok=True)
    core = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(core["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in core["merges"]) + "\n")
    return folder


def write_words(folder: Path, words: list[str], **settings: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_tokenizer_json_is_read_unchanged(byte_level: Tokenizer, tmp_path: Path) -> None:
    cut = Tokenizer.from_str(byte_level.to_str())
    cut.enable_truncation(3)
    cut.enable_padding(length=9)
    cut.save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        found = read_foreign(path)
        assert found.form == "tokenizer.json"
        assert found.files == (tmp_path / "tokenizer.json",)
        assert "truncation and padding" in found.assumptions[0]
        for text in all_texts():
            assert ids_of(found.tokenizer, text) == ids_of(byte_level, text)


def test_vocab_and_merges(byte_level: Tokenizer, tmp_path: Path) -> None:
    folder = write_pair(tmp_path / "mine", byte_level)
    for path in (folder, folder / "vocab.json", folder / "merges.txt"):
        found = read_foreign(path)
        assert found.files == (folder / "vocab.json", folder / "merges.txt")
        assert "as in GPT-2, as no other file says otherwise" in found.assumptions[0]
        for text in all_texts():
            assert ids_of(found.tokenizer, text) == ids_of(byte_level, text)


def test_vocab_and_merges_as_openai_called_them(byte_level: Tokenizer, tmp_path: Path) -> None:
    folder = write_pair(tmp_path / "mine", byte_level)
    (folder / "vocab.json").rename(folder / "encoder.json")
    with pytest.raises(ValueError, match=r"encoder\.json is only half of a tokenizer: vocab\.bpe is missing"):
        read_foreign(folder / "encoder.json")
    (folder / "merges.txt").rename(folder / "vocab.bpe")
    for path in (folder, folder / "encoder.json", folder / "vocab.bpe"):
        found = read_foreign(path)
        assert found.form == "encoder.json and vocab.bpe"
        assert ids_of(found.tokenizer, "the naïve cat") == ids_of(byte_level, "the naïve cat")


def test_vocab_and_merges_with_another_split(byte_level: Tokenizer, tmp_path: Path) -> None:
    folder = write_pair(tmp_path / "mine", byte_level)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "Qwen2Tokenizer"}')
    found = read_foreign(folder)
    assert found.assumptions == ()
    assert found.tokenizer.normalizer is not None
    assert len(ids_of(found.tokenizer, "1234")) == 4
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    with pytest.raises(ValueError, match="belongs to a CLIPTokenizer, whose pattern for words is not known"):
        read_foreign(folder)
    assert ids_of(read_foreign(folder, "gpt2").tokenizer, "a b") == ids_of(byte_level, "a b")


def test_other_kinds_of_bpe_are_rejected(tmp_path: Path) -> None:
    made = implementations.CharBPETokenizer()
    made.train_from_iterator(lines(), vocab_size=300, show_progress=False)
    with pytest.raises(ValueError, match=r"vocab\.json is not byte-level BPE"):
        read_foreign(write_pair(tmp_path / "it", Tokenizer.from_str(made.to_str())))
    core = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")]))
    with pytest.raises(ValueError, match=r"vocab\.json is damaged: it has no token for the byte"):
        read_foreign(write_pair(tmp_path / "it", core))


@pytest.mark.parametrize("lower", [True, False])
def test_word_pieces(lower: bool, word_pieces: list[str], tmp_path: Path) -> None:
    from transformers import BertTokenizer

    folder = write_words(tmp_path / "it", word_pieces, do_lower_case=lower, tokenizer_class="BertTokenizer")
    theirs = implementations.BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=lower)
    theirs_too = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=lower)
    found = read_foreign(folder)
    assert found.assumptions == ()
    for text in all_texts():
        assert ids_of(found.tokenizer, text) == theirs.encode(text, add_special_tokens=False).ids, repr(text)
        assert found.tokenizer.encode(text).ids == theirs_too.encode(text), repr(text)


def test_word_pieces_are_assumed_to_be_lowercase(word_pieces: list[str], tmp_path: Path) -> None:
    folder = write_words(tmp_path / "it", word_pieces)
    found = read_foreign(folder / "vocab.txt")
    assert "Text is lowercased" in found.assumptions[0]
    assert ids_of(found.tokenizer, "THE") == ids_of(found.tokenizer, "the")
    write_words(folder, word_pieces, tokenizer_class="BertJapaneseTokenizer")
    with pytest.raises(ValueError, match="belongs to a BertJapaneseTokenizer"):
        read_foreign(folder)


def test_sentencepiece_in_a_folder(tmp_path: Path) -> None:
    data = train_sentencepiece(model_type="bpe", normalization_rule_name="identity")
    (tmp_path / "it.bin").write_bytes(data)  # told by what is in it
    n_pieces = read_foreign(tmp_path / "it.bin").tokenizer.get_vocab_size()
    (tmp_path / "tokenizer.model").write_bytes(data)
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "added_tokens_decoder": {str(n_pieces): {"content": "<|im_start|>", "special": True}},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert ids_of(read_foreign(tmp_path).tokenizer, "<|im_start|>") == [n_pieces]
    settings = {"tokenizer_class": "XLMRobertaTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="belongs to a XLMRobertaTokenizer, which may renumber"):
        read_foreign(tmp_path)


def test_which_file_of_a_folder(tmp_path: Path) -> None:
    assert find_tokenizer_file(tmp_path) is None
    for name in ("a.tiktoken", "tokenizer.model.v3", "tekken.json", "vocab.txt", "vocab.json", "tokenizer.json"):
        (tmp_path / name).write_text("x")
        expected = "vocab.txt" if name == "vocab.json" else name  # without merges.txt it is half of one
        assert find_tokenizer_file(tmp_path) == tmp_path / expected


def test_chat_templates_are_read(byte_level: Tokenizer, tmp_path: Path) -> None:
    byte_level.save(str(tmp_path / "tokenizer.json"))
    assert read_foreign(tmp_path).template == ""
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ one }}"}')
    assert read_foreign(tmp_path).template == "{{ one }}"
    (tmp_path / "chat_template.jinja").write_text("{{ two }}")
    assert read_foreign(tmp_path).template == "{{ two }}"


WRONG: dict[str, tuple[str, bytes, str]] = {
    "empty": ("tokenizer.json", b"", "is empty"),
    "no tokenizer": ("tokenizer.json", b"{}", "is damaged or not a tokenizer"),
    "cut off": (
        "tokenizer.json",
        b'{"version": "1.0", "model": {"type": "BPE", "vo',
        "is damaged: it is not valid JSON",
    ),
    "a model of no kind": ("tokenizer.json", b'{"model": {"type": "Magic"}}', "is damaged or not a tokenizer"),
    "nested": ("x.json", b'{"a":' + b"[" * 100_000, "is not valid JSON"),
    "other JSON": ("config.json", b'{"model_type": "gpt2"}', "is JSON, but not a tokenizer"),
    "half": ("vocab.json", b'{"a": 0}', "is only half of a tokenizer: merges.txt is missing"),
    "other half": ("merges.txt", b"#version: 0.2\na b\n", "is only half of a tokenizer: vocab.json is missing"),
    "a text": ("vocab.txt", b"Once upon a time\n", "[UNK] is missing"),
    "not UTF-8": ("vocab.txt", b"[UNK]\n\xff\xfe\n", "it is not UTF-8"),
    "binary": ("it.bin", bytes(range(256)) * 20, "is not a supported tokenizer format"),
    "zeros": ("it.model", bytes(100), "is not a complete SentencePiece model"),
    "GGUF": ("it.gguf", b"GGUF" + bytes(range(100)), "is not a complete GGUF file"),
    "GGUF of nothing": ("it.gguf", b"GGUF\x03\0\0\0" + bytes(16), "contains no tokenizer"),
    "compressed": ("bpe_simple_vocab_16e6.txt.gz", b"\x1f\x8b\x08\x00" + bytes(50), "is compressed: unpack it first"),
    "CLIP's": ("merges.txt", b'"bpe_simple_vocab_16e6.txt#version: 0.2\ni n\n', "belongs to CLIP, which repairs texts"),
    "RWKV's": ("vocab.txt", b"1 '\\x00' 1\n2 '\\x01' 1\n", "belongs to RWKV, which always takes the longest token"),
    "RWKV's, bytes": ("vocab.txt", b"1 b'\\x00' 1\n2 b'\\x01' 1\n", "belongs to RWKV, which always takes the longest"),
    "a pickle": ("pytorch_model.bin", b"PK\x03\x04" + b"\0" * 50, "is not a supported tokenizer format"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_one_sentence(name: str, tmp_path: Path) -> None:
    file, data, sentence = WRONG[name]
    (tmp_path / file).write_bytes(data)
    with pytest.raises(ValueError, match=file) as caught:
        read_foreign(tmp_path / file)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_huge(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing is missing"):
        read_foreign(tmp_path / "nothing")
    with pytest.raises(ValueError, match="contains no tokenizer: give a folder or file"):
        read_foreign(tmp_path)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(b"x")
        file.truncate(1 << 30)  # a hole, which takes no room
    with pytest.raises(ValueError, match=r"is too large to be a tokenizer \(1\.00 GiB\)"):
        read_foreign(tmp_path / "model.safetensors")


def test_a_file_that_crashes_the_library(tmp_path: Path) -> None:
    made = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    whole = json.loads(made.to_str())
    whole["model"] = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "gone"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged: encoding fails"):
        read_foreign(tmp_path)


def test_a_huge_id_is_rejected(tmp_path: Path) -> None:
    made = Tokenizer(models.WordLevel(vocab={"a": 0, "b": 40_000_000}, unk_token="a"))
    made.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged: it has a token with the id 40,000,000"):
        read_foreign(tmp_path)


def test_tokenizers_trained_here_are_read(tmp_path: Path) -> None:
    made = train_tokenizer(list(lines(100)), "unigram", 400)
    made.save(str(tmp_path / "tokenizer.json"))
    found = read_foreign(tmp_path)
    assert found.assumptions == ()
    for text in all_texts():
        assert ids_of(found.tokenizer, text) == ids_of(made, text)
