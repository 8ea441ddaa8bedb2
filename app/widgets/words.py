"""What the values of settings are called on screen, and how numbers are written there."""

from __future__ import annotations

_WORDS = {
    "adamw": "AdamW",
    "auto": "Auto",
    "bfloat16": "bfloat16",
    "bpe": "Byte-level BPE",
    "byte": "Bytes",
    "char": "Characters",
    "constant": "Constant",
    "cosine": "Cosine",
    "decoder-only": "Decoder-only",
    "float32": "float32",
    "gelu": "GELU",
    "gelu_tanh": "GELU (tanh)",
    "gpt2-124m": "GPT-2, 124 M",
    "gpt2-tiny": "GPT-2, tiny",
    "layernorm": "LayerNorm",
    "learned": "Learned",
    "linear": "Linear",
    "llama-tiny": "LLaMA, tiny",
    "muon": "Muon",
    "relu": "ReLU",
    "relu2": "ReLU²",
    "rmsnorm": "RMSNorm",
    "rope": "RoPE",
    "files": "Files",
    "swiglu": "SwiGLU",
    "stdlib": "Python docstrings",
    "terrarium-tiny": "Terrarium, tiny",
    "tiny-world": "Tiny World",
    "wsd": "Warm up, hold, decay",
}


def words(value: str) -> str:
    """The name on screen of a setting's value; the value itself where it has none."""
    return _WORDS.get(value, value)


def short_count(n: float) -> str:
    """A count in three digits: '812', '12.3 k', '124 M', '1.20 G'."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= 0.9995 * factor:
            scaled = n / factor
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {letter}"
    return f"{n:.0f}"


def size_words(n_bytes: float) -> str:
    """A size in three digits with binary units: '640 B', '12.3 KiB', '1.20 GiB'."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= factor:
            scaled = n_bytes / factor
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return f"{n_bytes:.0f} B"


def counted(n: int, one: str, many: str = "") -> str:
    """'1 token', '2,310 tokens'."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
