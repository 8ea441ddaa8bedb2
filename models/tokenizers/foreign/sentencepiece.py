"""SentencePiece models as Hugging Face tokenizers with the same ids, or refused.

The two find the same tokens where the merges of BPE follow from its scores, and where the lattice of Unigram knows
every character of its pieces. What differs between the libraries besides is told by `assumptions`.
"""

from __future__ import annotations

import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from models.files.atomic import DamagedError
from models.tokenizers.foreign.charsmap import read_charsmap
from models.tokenizers.foreign.merges import derive_merges
from models.tokenizers.foreign.replacing import replacing_steps
from models.tokenizers.foreign.sentencepiece_file import PieceKind, SentencePieceModel
from models.tokenizers.token_bytes import BYTE_TOKENS

_NORMAL, _DEFINED = PieceKind.NORMAL, PieceKind.USER_DEFINED
_ALL = 1 << 30  # spaces at the beginning
_UNKNOWN_PENALTY = 10.0  # of a character in no piece, below the lowest score, in both libraries
_HIDDEN = (PieceKind.CONTROL, PieceKind.UNKNOWN, PieceKind.BYTE, PieceKind.UNUSED)
"""Pieces that no text becomes by its characters."""


def sentencepiece_tokenizer(model: SentencePieceModel) -> tuple[Tokenizer, list[str]]:
    """The model as a tokenizer, and in sentences what was assumed.

    Raises:
        ValueError: where it cannot be the same; DamagedError where its parts do not go together.
    """
    _check(model)
    core = _unigram(model) if model.algorithm == "unigram" else _bpe(model)
    tokenizer = Tokenizer(core)
    steps = _normalizers(model)
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    cuts = _cuts(model)
    if cuts:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    tokenizer.decoder = _decoder(model)
    controls = model.of_kind(PieceKind.CONTROL, PieceKind.UNKNOWN)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in controls])
    return tokenizer, _assumptions(model, controls)


def _check(model: SentencePieceModel) -> None:
    where = model.where
    if model.algorithm == "word":
        raise ValueError(f"{where} is a SentencePiece model of words, which cannot be read: bpe, unigram and char can.")
    if model.whitespace_is_suffix:
        raise ValueError(
            f"{where} puts the mark of a space behind words, which cannot be read: it must be before them."
        )
    if not model.of_kind(PieceKind.UNKNOWN):
        raise DamagedError(f"{where} is damaged: it has no piece for what is unknown.")
    if model.byte_fallback and not BYTE_TOKENS.keys() <= set(model.of_kind(PieceKind.BYTE)):
        raise DamagedError(f"{where} is damaged: it spells with bytes, but has no piece for some of them.")
    odd = next((text for text in model.of_kind(_DEFINED) if " " in text), None)
    if odd is not None:
        raise ValueError(f"{where} cannot be read: its symbol {odd!r} has a space in it.")


# -- Characters --------------------------------------------------------------------------------------------------------


def _normalizers(model: SentencePieceModel) -> list[normalizers.Normalizer]:
    """What happens to a text before: replacements, then spaces (src/normalizer.cc)."""
    try:
        rules = read_charsmap(model.charsmap)
    except (ValueError, IndexError) as error:
        raise DamagedError(f"{model.where} is damaged: its table of replacements does not parse.") from error
    symbols = model.of_kind(_DEFINED)
    replacing = replacing_steps(rules, symbols)
    if replacing is None or any(key[0] == " " or "  " in text for key, text in rules.items()):
        raise ValueError(
            f"{model.where} cannot be read: its normaliser ({model.normalizer or 'its own rules'}) replaces characters "
            f"in a way that cannot be had exactly{' with its symbols' if symbols else ''}."
        )
    mark = model.mark
    before = [normalizers.Prepend(" ")] if model.add_dummy_prefix else []
    escape = [normalizers.Replace(" ", mark)] if mark != " " else []
    if not model.remove_extra_whitespaces:
        return [*before, *replacing, *escape]
    return [
        *replacing,
        normalizers.Replace(Regex(" {2,}"), " "),
        normalizers.Replace(Regex(r"\A "), ""),
        *before,
        *escape,
        normalizers.Replace(Regex(rf"{mark}+\z"), ""),
    ]


def _cuts(model: SentencePieceModel) -> list[pre_tokenizers.PreTokenizer]:
    """Where a text can be cut into words and symbols without another result."""
    cuts: list[pre_tokenizers.PreTokenizer] = []
    symbols = model.of_kind(_DEFINED)
    if symbols and model.algorithm != "unigram":
        cuts.append(pre_tokenizers.Split(Regex(_any_of(symbols)), "isolated"))
        cuts += _cut_in_bytes(model)
    pieces = model.of_kind(_NORMAL, _DEFINED)
    if model.byte_fallback and model.algorithm == "unigram":
        # What no piece holds stands alone anyway; cut off, it keeps “<0x41>” from being taken for the byte.
        alone = set("".join(BYTE_TOKENS)).difference("".join(pieces))
        if alone:
            cuts.append(pre_tokenizers.Split(Regex(_any_of(sorted(alone))), "isolated"))
    mark = model.mark
    goes_on = re.compile(f"[^{mark}]{mark}")
    if (model.byte_fallback or mark in pieces) and not any(map(goes_on.search, pieces)):
        cuts.append(pre_tokenizers.Split(Regex(f"{mark}*[^{mark}]+|{mark}+"), "isolated"))
    return cuts


def _cut_in_bytes(model: SentencePieceModel) -> list[pre_tokenizers.PreTokenizer]:
    """A cut within “<0x41>” where no merge goes across, so that it is no word which could be looked up; or none."""
    pieces = model.of_kind(_NORMAL) if model.byte_fallback else []
    for across, border, side in (
        ("<0", "<(?=0x[0-9A-F]{2}>)", "merged_with_previous"),
        ("[0-9A-F]>", "(?<=<0x[0-9A-F]{2})>", "merged_with_next"),
    ):
        if pieces and not any(re.search(across, piece) for piece in pieces):
            return [pre_tokenizers.Split(Regex(border), side)]
    return []


def _any_of(texts: list[str]) -> str:
    """A pattern for the longest of these texts that is there."""
    return "|".join(_literal(text) for text in sorted(texts, key=len, reverse=True))


def _literal(text: str) -> str:
    return "".join(rf"\x{{{ord(character):x}}}" for character in text)


def _decoder(model: SentencePieceModel) -> decoders.Decoder:
    steps: list[decoders.Decoder] = []
    if model.escape_whitespaces:
        steps.append(decoders.Replace(model.mark, " "))
    if model.byte_fallback:
        steps.append(decoders.ByteFallback())
    steps.append(decoders.Fuse())
    if model.remove_extra_whitespaces:
        steps.append(decoders.Strip(" ", _ALL, 0))
    elif model.add_dummy_prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    return decoders.Sequence(steps)


# -- Pieces ------------------------------------------------------------------------------------------------------------


def _bpe(model: SentencePieceModel) -> models.BPE:
    """The best score is merged first: so scores are ranks, and each piece is made by one merge."""
    vocab = {piece.text: id for id, piece in enumerate(model.pieces)}
    symbols = model.of_kind(_DEFINED)
    frozen = re.compile("|".join(map(re.escape, symbols))) if symbols else None
    pieces = [piece for piece in model.pieces if piece.kind in (_NORMAL, PieceKind.UNUSED)]
    if frozen is not None:  # symbols are never merged with anything
        pieces = [piece for piece in pieces if not frozen.search(piece.text)]
    ranks = {piece.text: -piece.score for piece in pieces} if model.algorithm == "bpe" else {}
    merges = derive_merges(ranks)
    made = [left + right for left, right in merges]
    missing = next((c for pair in merges for c in pair if c not in vocab), None)
    if missing is not None:
        raise ValueError(f"{model.where} cannot be read: pieces of it are made of {missing!r}, which is none.")
    unused = set(made).intersection(model.of_kind(PieceKind.UNUSED))
    if unused:
        raise ValueError(f"{model.where} cannot be read: its unused piece {min(unused)!r} is merged, then taken apart.")
    if len({ranks[text] for text in made}) < len(made):
        raise ValueError(f"{model.where} cannot be read: pieces of it have equal scores, so their order is open.")
    lost = {text for text in ranks.keys() & set(model.of_kind(_NORMAL)) if len(text) > 1}.difference(made)
    if symbols and lost:  # words are looked up then, and would be found without a merge
        raise ValueError(f"{model.where} cannot be read: no merge makes its piece {min(lost)!r}.")
    return models.BPE(
        vocab=vocab,
        merges=merges,
        unk_token=model.of_kind(PieceKind.UNKNOWN)[0],
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
        ignore_merges=bool(symbols),  # the cuts make each symbol a word of its own, which is looked up
    )


def _unigram(model: SentencePieceModel) -> models.Unigram:
    """The best path through the lattice of all pieces; those that texts never become are out of the question."""
    scores = [piece.score for piece in model.pieces if piece.kind == _NORMAL]
    if not scores:
        raise DamagedError(f"{model.where} is damaged: it has nothing but special pieces.")
    lowest, highest = min(scores), max(scores)
    characters = {piece.text for piece in model.pieces if len(piece.text) == 1 and piece.kind not in _HIDDEN}
    # An unknown character within a piece would make it a matter of the penalty, which is not the same here.
    # Symbols outdo that penalty, if only no score is near it.
    matters = (_NORMAL,) if highest > 1 - _UNKNOWN_PENALTY else (_NORMAL, _DEFINED)
    lost = set("".join(model.of_kind(*matters))) - characters
    if lost:
        raise ValueError(f"{model.where} cannot be read: pieces of it hold {min(lost)!r}, which is no piece.")
    vocab = []
    for piece in model.pieces:
        score = piece.score
        if piece.kind == _DEFINED:  # as src/unigram_model.cc has it
            score = len(piece.text.encode()) * highest - 0.1
        elif piece.kind in _HIDDEN:  # worse than its characters one by one
            score = len(piece.text) * lowest - 1.0
        vocab.append((piece.text, score))
    unknown = next(id for id, piece in enumerate(model.pieces) if piece.kind == PieceKind.UNKNOWN)
    return models.Unigram(vocab, unk_id=unknown, byte_fallback=model.byte_fallback)


def _assumptions(model: SentencePieceModel, controls: list[str]) -> list[str]:
    some = ", ".join(controls[:4]) + (" …" if len(controls) > 4 else "")
    told = [
        f"Its control symbols ({some}) stand for themselves where a text spells them, as in transformers; "
        "SentencePiece itself takes them for their characters."
    ]
    if model.algorithm == "unigram":
        told.append(
            "Where two ways to cut a word are equally likely, SentencePiece's rounding decides, not this one's."
        )
    if model.byte_fallback and model.of_kind(_DEFINED) and model.algorithm != "unigram" and not _cut_in_bytes(model):
        told.append("“<0x41>” written out between two of its own symbols is taken for that byte.")
    return told
