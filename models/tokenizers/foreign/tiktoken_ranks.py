"""Reader of OpenAI's tiktoken files: one line per token, with its bytes in base64 and its rank, which is its id."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models

from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign.merges import MAX_TOKEN_LENGTH, derive_merges
from terrarium.models.tokenizers.foreign.patterns import CHOSEN, PATTERNS, Pattern, PatternUnknownError, find_pattern
from terrarium.models.tokenizers.token_bytes import TokenBytes

_LLAMA3 = {
    0: "<|begin_of_text|>",
    1: "<|end_of_text|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    9: "<|eot_id|>",
}


_WHISPER_LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su"
)
_QWEN3_5 = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>"),
    *("<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>"),
    *("<think>", "</think>", "<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"),
    *("<tts_text_bos_single>", "<|audio_pad|>"),
)


@dataclass(frozen=True, kw_only=True)
class _Published:
    """A published encoding: its name, its pattern, and the special tokens, which its file does not contain.

    left_out: a sentence about special tokens that are not in `specials`.
    """

    name: str
    pattern: str
    specials: dict[str, int]
    left_out: str = ""


def _consecutive(first: int, *tokens: str) -> dict[str, int]:
    return {token: first + i for i, token in enumerate(tokens)}


def _llama3_specials() -> dict[str, int]:
    reserved = (f"<|reserved_special_token_{i}|>" for i in range(251))
    return _consecutive(128_000, *(_LLAMA3.get(i) or next(reserved) for i in range(256)))


_PUBLISHED = {
    50_256: _Published(name="gpt2", pattern="gpt2", specials={"<|endoftext|>": 50_256}),
    50_257: _Published(
        name="multilingual Whisper",
        pattern="gpt2",
        specials=_consecutive(
            50_257, "<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in _WHISPER_LANGUAGES.split())
        ),
        left_out="Its special tokens after the 99 languages were left out, as their ids depend on Whisper's version.",
    ),
    50_280: _Published(name="p50k_base", pattern="gpt2", specials={"<|endoftext|>": 50_256}),
    100_256: _Published(
        name="cl100k_base",
        pattern="cl100k",
        specials=_consecutive(100_257, "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
        | {"<|endofprompt|>": 100_276},
    ),
    199_998: _Published(
        name="o200k_base", pattern="o200k", specials={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018}
    ),
    128_000: _Published(name="Llama 3", pattern="llama3", specials=_llama3_specials()),
    151_643: _Published(
        name="Qwen",
        pattern="qwen",
        specials=_consecutive(
            151_643, "<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))
        ),
    ),
    248_044: _Published(name="Qwen3.5", pattern="qwen3.5", specials=_consecutive(248_044, *_QWEN3_5)),
}
"""By the number of ranks in the file, which is unique."""

_IN_NAMES = {"r50k": "gpt2", "p50k": "gpt2", **{name: name for name in ("gpt2", "cl100k", "o200k", "llama3")}}
"""Part of a file's name -> pattern. “Qwen” and “Tekken” are missing because their versions differ."""


def looks_like_ranks(head: bytes) -> bool:
    """Return whether a file begins like tiktoken ranks: base64, a space and a number."""
    token, _, rank = head.split(b"\n", 1)[0].strip().partition(b" ")
    try:
        return rank.isdigit() and bool(base64.b64decode(token, validate=True))
    except binascii.Error:
        return False


def read_ranks(path: Path, pattern: str = "") -> tuple[Tokenizer, list[str]]:
    """Return the tokenizer of a ranks file, and the assumptions made, one sentence each.

    Args:
        pattern: a name of PATTERNS, which the file does not contain; "" to infer it from its size and name.

    Raises:
        PatternUnknownError: if the pattern is unknown; DamagedError if the file is damaged.
    """
    ranks = _parse(path)
    published = _PUBLISHED.get(len(ranks))
    name, why = (pattern, CHOSEN) if pattern else _known(path, len(ranks))
    if not name:
        raise PatternUnknownError(
            f"{path} does not say how text is split into words, and neither its name nor its size "
            f"({len(ranks):,} ranks) is known: choose a pattern, one of {', '.join(PATTERNS)}."
        )
    chosen = find_pattern(name)
    assumed = [f"Text is split into words with the pattern {name}, {why}."]
    specials: dict[str, int] = {}
    if published is not None and published.pattern == name:
        specials = published.specials
        assumed.append(f"The file has no special tokens; those of {published.name} were added.")
        assumed += [published.left_out] if published.left_out else []
    return ranked_tokenizer(ranks, chosen, specials, str(path)), assumed


def ranked_tokenizer(
    ranks: Mapping[bytes, int], pattern: Pattern, specials: Mapping[str, int], where: str
) -> Tokenizer:
    """Make byte-level BPE that merges the pair of the lowest rank first, as tiktoken does.

    Args:
        ranks: token -> id, all 256 bytes among them. specials: special token -> id.
        where: the file, for messages.

    Raises:
        ValueError: if a special token is written like an ordinary one.
    """
    characters = {byte: character for character, byte in TokenBytes.alphabet().items()}

    def spelled(token: bytes) -> str:
        return "".join(map(characters.__getitem__, token))

    vocab = {spelled(token): id for token, id in ranks.items()}
    twice = next((token for token in specials if token in vocab), None)
    if twice is not None:
        raise ValueError(f"{where} cannot be read: {twice!r} is both a special token and an ordinary one.")
    merges = [(spelled(left), spelled(right)) for left, right in derive_merges(ranks)]
    # A word that is a token is looked up first, as in tiktoken, whether or not merges lead to it.
    tokenizer = Tokenizer(models.BPE(vocab=vocab | dict(specials), merges=merges, ignore_merges=True))
    if pattern.normalizer is not None:
        tokenizer.normalizer = pattern.normalizer
    tokenizer.pre_tokenizer = pattern.pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in specials])
    return tokenizer


def _known(path: Path, n_ranks: int) -> tuple[str, str]:
    """Infer the name of the pattern and the reason for it; ("", "") if unknown."""
    published = _PUBLISHED.get(n_ranks)
    if published is not None:
        return published.pattern, f"as its {n_ranks:,} ranks match {published.name}"
    name = next((value for key, value in _IN_NAMES.items() if key in path.name.lower()), "")
    return name, "as the file's name says" if name else ""


def _parse(path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    taken: set[int] = set()
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        token, _, rank = line.strip().partition(b" ")
        if not token:
            continue
        try:
            # Whisper's last line is “= 50256”: the empty token.
            key, id = b"" if token == b"=" else base64.b64decode(token, validate=True), int(rank)
        except (binascii.Error, ValueError) as error:
            raise DamagedError(f"{path} is damaged: line {number:,} is not a token in base64 and its rank.") from error
        if key in ranks or id in taken or not 0 <= id < 2**32 or len(key) > MAX_TOKEN_LENGTH:
            raise DamagedError(f"{path} is damaged: line {number:,} has an invalid or duplicate token or rank.")
        ranks[key] = id
        taken.add(id)
    missing = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
    if missing is not None:
        raise DamagedError(f"{path} is damaged or cut off: it has no token for the byte {missing:02X}.")
    return ranks
