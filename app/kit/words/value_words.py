"""What the values of settings are called on screen, and how numbers are written there."""

from __future__ import annotations

from datetime import datetime

from models.number_words import percent
from models.settings.activations import ACTIVATIONS
from models.settings.norms import NORMS
from models.settings.optimizers import OPTIMIZERS
from models.settings.positions import POSITIONS

__all__ = ["counted", "date_words", "percent", "short_count", "size_words", "times", "words"]

_WORDS = {
    name: entry.title for entries in (POSITIONS, NORMS, ACTIVATIONS, OPTIMIZERS) for name, entry in entries.items()
} | {
    "all": "All",
    "attention": "Attention only",
    "auto": "Auto",
    "bart-base": "BART base",
    "bart-large": "BART large",
    "bart-tiny": "BART, tiny",
    "bert": "BERT's clean-up",
    "bert-base": "BERT base",
    "bert-large": "BERT large",
    "bert-tiny": "BERT, tiny",
    "bfloat16": "bfloat16",
    "bpe": "Byte-level BPE",
    "byte": "Bytes",
    "char": "Characters",
    "character-bpe": "BPE of characters",
    "constant": "Constant",
    "cosine": "Cosine",
    "decoder-only": "Decoder-only",
    "denoising": "Denoising (BART)",
    "digits": "GPT-2, digits apart",
    "dynamic": "Dynamic",
    "encoder-decoder": "Encoder-decoder",
    "encoder-only": "Encoder-only",
    "feed-forward": "Feed-forward only",
    "files": "Files",
    "float32": "float32",
    "gpt2": "GPT-2",
    "gpt2-1.5b": "GPT-2 XL",
    "gpt2-124m": "GPT-2 small",
    "gpt2-355m": "GPT-2 medium",
    "gpt2-774m": "GPT-2 large",
    "gpt2-tiny": "GPT-2, tiny",
    "gpt4": "GPT-4",
    "language": "Language",
    "linear": "Linear",
    "llama-tiny": "LLaMA, tiny",
    "llama2-7b": "LLaMA 2 7B",
    "llama3": "Llama 3",
    "llama3-8b": "Llama 3 8B",
    "lowercase": "Lowercase",
    "mixtral-8x7b": "Mixtral 8×7B",
    "moe-tiny": "Mixture of experts, tiny",
    "nfc": "NFC",
    "nfkc": "NFKC",
    "post": "After (post)",
    "pre": "Before (pre)",
    "sequence": "Sequence",
    "span-corruption": "Filling gaps (T5)",
    "pronouns": "Pronoun pairs",
    "stdlib": "Python docstrings",
    "t5-base": "T5 base",
    "t5-large": "T5 large",
    "t5-small": "T5 small",
    "t5-tiny": "T5, tiny",
    "t5-v1.1-base": "T5 1.1 base",
    "terrarium-tiny": "Terrarium, tiny",
    "tiny-world": "Tiny World",
    "token": "Token",
    "transformer-base": "Transformer base",
    "transformer-big": "Transformer big",
    "transformer-tiny": "Transformer 2017, tiny",
    "unigram": "Unigram",
    "whitespace": "Whitespace",
    "word": "Words",
    "wordpiece": "WordPiece",
    "wsd": "Warm up, hold, decay",
    "yarn": "YaRN",
}


def words(value: str) -> str:
    """The name on screen of a setting's value; the value itself where it has none."""
    return _WORDS.get(value, value)


def short_count(n: float, *, billion: str = "G") -> str:
    """A count in three digits: '812', '12.3 k', '124 M', '1.20 G'; `billion`: what people call 10⁹ of these things."""
    for factor, letter in ((1e12, "T"), (1e9, billion), (1e6, "M"), (1e3, "k")):
        if n >= 0.9995 * factor:
            scaled = n / factor
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {letter}"
    return f"{n:.0f}"


def size_words(n_bytes: float) -> str:
    """A size in three digits with binary units: '640 B', '12.3 KiB', '1.20 GiB', '16.8 TiB'."""
    for factor, unit in ((2**50, "PiB"), (2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= factor:
            scaled = n_bytes / factor
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return f"{n_bytes:.0f} B"


def counted(n: int, one: str, many: str = "") -> str:
    """'1 token', '2,310 tokens'."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def times(n: int) -> str:
    """A number of times: “never”, “once”, “2,310 times”."""
    return "once" if n == 1 else f"{n:,} times" if n else "never"


def date_words(written: str) -> str:
    """A moment in ISO 8601 as people here write it: “25 Nov, 13:03”; as it was written where it is none."""
    try:
        moment = datetime.fromisoformat(written).astimezone()
    except ValueError:
        return written
    year = "" if moment.year == datetime.now().year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year}, {moment:%H:%M}"
