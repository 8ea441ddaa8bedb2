"""Conversion of SentencePiece models into Hugging Face tokenizers with the same ids, or an error.

Both libraries find the same tokens if BPE merges follow from the scores, and if every character of the pieces of a
Unigram model is a piece itself. Other differences are listed as assumptions.
"""

from __future__ import annotations

import math
import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign.charsmap import read_charsmap
from terrarium.models.tokenizers.foreign.merges import derive_merges, find_undecided
from terrarium.models.tokenizers.foreign.replacing import replacement_steps
from terrarium.models.tokenizers.foreign.sentencepiece_file import PieceKind, SentencePieceModel
from terrarium.models.tokenizers.token_bytes import BYTE_TOKENS

_NORMAL, _DEFINED = PieceKind.NORMAL, PieceKind.USER_DEFINED
_ALL = 1 << 30  # leading spaces to strip
_UNKNOWN_PENALTY = 10.0  # an unknown character scores this much below the lowest score, in both libraries
_HIDDEN = (PieceKind.CONTROL, PieceKind.UNKNOWN, PieceKind.BYTE, PieceKind.UNUSED)
"""Pieces that do not match text by their characters."""


def sentencepiece_tokenizer(model: SentencePieceModel) -> tuple[Tokenizer, list[str]]:
    """Return the model as a tokenizer, and the assumptions made, one sentence each.

    Raises:
        ValueError: if exact conversion is impossible; DamagedError if the model is inconsistent.
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
        raise ValueError(
            f"{where} is a SentencePiece model of type word, which is not supported: only bpe, unigram and char are."
        )
    if model.whitespace_is_suffix:
        raise ValueError(f"{where} treats white space as a suffix of words, which is not supported.")
    if not model.of_kind(PieceKind.UNKNOWN):
        raise DamagedError(f"{where} is damaged: it has no unknown piece.")
    if model.byte_fallback and not BYTE_TOKENS.keys() <= set(model.of_kind(PieceKind.BYTE)):
        raise DamagedError(f"{where} is damaged: it uses byte fallback, but some byte pieces are missing.")
    odd = next((text for text in model.of_kind(_DEFINED) if " " in text), None)
    if odd is not None:
        raise ValueError(f"{where} cannot be read: its symbol {odd!r} contains a space.")


# -- Characters --------------------------------------------------------------------------------------------------------


def _normalizers(model: SentencePieceModel) -> list[normalizers.Normalizer]:
    """Build the normalisation: replacements, then spaces (src/normalizer.cc)."""
    try:
        rules = read_charsmap(model.charsmap)
    except (ValueError, IndexError) as error:
        raise DamagedError(f"{model.where} is damaged: its table of replacements does not parse.") from error
    symbols = model.of_kind(_DEFINED)
    replacing = replacement_steps(rules, symbols)
    begins_with_space = "\0 " in "\0" + "\0".join(rules)
    if replacing is None or begins_with_space or "  " in "\0".join(rules.values()):
        raise ValueError(
            f"{model.where} cannot be read: its normaliser ({model.normalizer or 'its own rules'}) cannot be "
            f"converted exactly{' together with its symbols' if symbols else ''}."
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
    """Return pre-tokenizers that split a text into words and symbols without changing the result."""
    cuts: list[pre_tokenizers.PreTokenizer] = []
    symbols = model.of_kind(_DEFINED)
    if symbols and model.algorithm != "unigram":
        cuts.append(pre_tokenizers.Split(Regex(_any_of(symbols)), "isolated"))
        cuts += _cut_in_bytes(model)
    pieces = model.of_kind(_NORMAL, _DEFINED)
    if model.byte_fallback and model.algorithm == "unigram":
        # Characters in no piece are separate tokens anyway; splitting at them prevents “<0x41>” from becoming the byte.
        alone = set("".join(BYTE_TOKENS)).difference("".join(pieces))
        if alone:
            cuts.append(pre_tokenizers.Split(Regex(_any_of(sorted(alone))), "isolated"))
    mark = model.mark
    mid_piece_mark = re.compile(f"[^{mark}]{mark}")
    if (model.byte_fallback or mark in pieces) and not any(map(mid_piece_mark.search, pieces)):
        cuts.append(pre_tokenizers.Split(Regex(f"{mark}*[^{mark}]+|{mark}+"), "isolated"))
    return cuts


def _cut_in_bytes(model: SentencePieceModel) -> list[pre_tokenizers.PreTokenizer]:
    """Return a split within “<0x41>” that no merge crosses, so that it is never looked up as a word; or none."""
    pieces = model.of_kind(_NORMAL) if model.byte_fallback else []
    for across, border, side in (
        ("<0", "<(?=0x[0-9A-F]{2}>)", "merged_with_previous"),
        ("[0-9A-F]>", "(?<=<0x[0-9A-F]{2})>", "merged_with_next"),
    ):
        if pieces and not any(re.search(across, piece) for piece in pieces):
            return [pre_tokenizers.Split(Regex(border), side)]
    return []


def _any_of(texts: list[str]) -> str:
    """Return a pattern that matches the longest of these texts."""
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
    """Build the BPE model: the highest score is merged first, so scores are ranks, and each piece has one merge."""
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
        raise ValueError(f"{model.where} cannot be read: some pieces are made of {missing!r}, which is not a piece.")
    unused = set(made).intersection(model.of_kind(PieceKind.UNUSED))
    if unused:
        raise ValueError(f"{model.where} cannot be read: its unused piece {min(unused)!r} takes part in merges.")
    undecided = find_undecided(ranks, merges)
    if undecided is not None:
        raise ValueError(
            f"{model.where} cannot be read: pieces such as {undecided!r} have equal scores, so which one is merged "
            "first depends on where they stand in a text, which has no equivalent here."
        )
    lost = {text for text in ranks.keys() & set(model.of_kind(_NORMAL)) if len(text) > 1}.difference(made)
    if symbols and lost:  # words are looked up then, so the piece would be found without a merge
        # Spelled with a space, which normalised text does not contain, it is not found, and decodes to the same.
        hidden = {text: text.replace(model.mark, " ") for text in lost}
        shown = next((text for text, spelling in hidden.items() if spelling == text or spelling in vocab), None)
        if shown is not None:
            raise ValueError(f"{model.where} cannot be read: no merge makes its piece {shown!r}.")
        vocab = {hidden.get(text, text): id for text, id in vocab.items()}
    return models.BPE(
        vocab=vocab,
        merges=merges,
        unk_token=model.of_kind(PieceKind.UNKNOWN)[0],
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
        ignore_merges=bool(symbols),  # the split makes each symbol a word, which is looked up
    )


def _unigram(model: SentencePieceModel) -> models.Unigram:
    """Build the Unigram model; pieces that text never matches get scores that never win."""
    scores = [piece.score for piece in model.pieces if piece.kind == _NORMAL]
    if not scores:
        raise DamagedError(f"{model.where} is damaged: it has nothing but special pieces.")
    lowest, highest = min(scores), max(scores)
    characters = {piece.text for piece in model.pieces if len(piece.text) == 1 and piece.kind not in _HIDDEN}
    # With an unknown character within a piece, the result would depend on the penalty, which differs between the
    # libraries. Symbols always beat that penalty unless a score is close to it.
    matters = (_NORMAL,) if highest > 1 - _UNKNOWN_PENALTY else (_NORMAL, _DEFINED)
    lost = set("".join(model.of_kind(*matters))) - characters
    if lost:
        raise ValueError(f"{model.where} cannot be read: some pieces contain {min(lost)!r}, which is not a piece.")
    _check_runs(model)
    vocab = []
    for piece in model.pieces:
        score = piece.score
        if piece.kind == _DEFINED:  # as in src/unigram_model.cc
            score = len(piece.text.encode()) * highest - 0.1
        elif piece.kind in _HIDDEN:  # worse than the sum of its characters
            score = len(piece.text) * lowest - 1.0
        vocab.append((piece.text, score))
    unknown = next(id for id, piece in enumerate(model.pieces) if piece.kind == PieceKind.UNKNOWN)
    return models.Unigram(vocab, unk_id=unknown, byte_fallback=model.byte_fallback)


def _check_runs(model: SentencePieceModel) -> None:
    """Raise ValueError if a run of one character is exactly as likely as two shorter runs.

    SentencePiece adds scores as floats, so rounding decides between them, which depends on all of the text before.
    """
    score_of = {piece.text: piece.score for piece in model.pieces if piece.kind == _NORMAL}
    for text, score in score_of.items():
        if len(text) == text.count(text[0]) and any(
            score_of.get(text[:i], math.inf) + score_of.get(text[i:], math.inf) == score for i in range(1, len(text))
        ):
            raise ValueError(
                f"{model.where} cannot be read: its piece {text!r} is exactly as likely as two shorter ones, so what "
                "SentencePiece finds depends on how it rounds, which has no equivalent here."
            )


def _assumptions(model: SentencePieceModel, controls: list[str]) -> list[str]:
    some = ", ".join(controls[:4]) + (", …" if len(controls) > 4 else "")
    assumptions = [
        f"Its control symbols ({some}) are parsed in text, as in transformers; "
        "SentencePiece itself encodes them as characters."
    ]
    if model.algorithm == "unigram":
        assumptions.append(
            "Between equally likely segmentations, as of “---------”, SentencePiece decides by how it rounds, and may "
            "choose another one."
        )
    if model.byte_fallback and model.of_kind(_DEFINED) and model.algorithm != "unigram" and not _cut_in_bytes(model):
        assumptions.append("“<0x41>” spelled out between two of its symbols becomes that byte.")
    return assumptions
