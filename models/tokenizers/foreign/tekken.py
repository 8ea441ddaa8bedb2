"""Reader of Mistral's Tekken files: tiktoken ranks in JSON, with the pattern, and with the special tokens before them
(github.com/mistralai/mistral-common, tokens/tokenizers/tekken.py).
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign.patterns import PATTERNS
from terrarium.models.tokenizers.foreign.tiktoken_ranks import ranked_tokenizer

NAMED_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
"""The tokens that begin and end a text, in all versions."""

_UNNAMED_SPECIALS = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"),
    *("[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)
"""The special tokens of files that list none."""

_VERSIONS_WITHOUT_SPECIALS = ("v1", "v2", "v3", "v7")


def looks_like_tekken(value: dict[str, Any]) -> bool:
    """Return whether the JSON of a file is that of Tekken."""
    return isinstance(value.get("config"), dict) and isinstance(value.get("vocab"), list)


def read_tekken(file: Path, value: dict[str, Any]) -> tuple[Tokenizer, list[str]]:
    """Build the tokenizer in the JSON of a Tekken file; return it with the assumptions made, one sentence each.

    The ids are `default_num_special_tokens` special tokens, then the first ranks, up to `default_vocab_size` in all.


    Raises:
        ValueError: if its pattern or version is unknown; DamagedError if the file is damaged.
    """
    config = value["config"]
    n_special, vocab_size = config.get("default_num_special_tokens"), config.get("default_vocab_size")
    if type(n_special) is not int or type(vocab_size) is not int or not 0 < n_special < vocab_size:
        raise DamagedError(f"{file} is damaged: its numbers of tokens and of special tokens are missing or invalid.")
    pattern = next((pattern for pattern in PATTERNS.values() if pattern.regex == config.get("pattern")), None)
    if pattern is None or pattern.normalizer is not None:
        raise ValueError(f"{file} cannot be read: it splits text into words with a pattern that is not known here.")
    entries, n_ranks = value["vocab"], vocab_size - n_special
    specials, assumptions = _specials(file, value, n_special)
    ranks: dict[bytes, int] = {}
    try:
        for rank, entry in enumerate(entries[:n_ranks]):
            if entry["rank"] != rank:
                raise ValueError("a gap")
            ranks[base64.b64decode(entry["token_bytes"], validate=True)] = n_special + rank
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{file} is damaged: entry {rank:,} is not a token with its rank.") from error
    if len(ranks) < n_ranks or any(bytes([byte]) not in ranks for byte in range(256)):
        raise DamagedError(f"{file} is damaged or cut off: tokens are missing or duplicate.")
    if len(entries) > n_ranks:
        assumptions.append(f"Of its {len(entries):,} tokens, the first {n_ranks:,} are used, as in Mistral's library.")
    assumptions.append("Its special tokens are parsed in text; Mistral's library adds them by id only.")
    return ranked_tokenizer(ranks, pattern, specials, str(file)), assumptions


def _specials(file: Path, value: dict[str, Any], n_special: int) -> tuple[dict[str, int], list[str]]:
    """Return the special tokens with their ids, and the assumptions made."""
    listed = value.get("special_tokens")
    assumptions = []
    if listed is None:
        version = value["config"].get("version")
        if version not in _VERSIONS_WITHOUT_SPECIALS:
            raise ValueError(
                f"{file} cannot be read: it lists no special tokens, and its version {version} is not known."
            )
        names = [*_UNNAMED_SPECIALS]
        assumptions.append(f"The file lists no special tokens; those of Mistral's library for {version} were added.")
    else:
        try:
            names = [str(entry["token_str"]) for entry in listed]
            if [entry["rank"] for entry in listed] != [*range(len(listed))]:
                raise ValueError("a gap")
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"{file} is damaged: its special tokens are not tokens with their ranks.") from error
    names += [f"<SPECIAL_{id}>" for id in range(len(names), n_special)]
    specials = {name: id for id, name in enumerate(names)}
    if len(specials) != n_special or "" in specials:
        raise DamagedError(f"{file} is damaged: it has too many special tokens, or a duplicate or empty one.")
    return specials, assumptions
