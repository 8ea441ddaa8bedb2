"""The tokenizer of a Hugging Face folder, for the model that is in it. No torch."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from models.tokenizers.foreign.patterns import PatternUnknownError
from models.tokenizers.foreign.reading import find_tokenizer_file, read_foreign


def read_tokenizer_files(folder: Path, vocab_size: int) -> tuple[Tokenizer | None, str | None]:
    """The tokenizer in `folder`, None where there is none; and a sentence where one is there in a form not known.

    Raises:
        ValueError: where a file of it is damaged, or it has tokens that a model of `vocab_size` tokens does not.
    """
    file = find_tokenizer_file(folder)
    if file is None:
        return None, None
    try:
        tokenizer = read_foreign(file).tokenizer
    except PatternUnknownError as error:
        return None, str(error)  # the model is good without
    except ValueError as error:
        if file.suffix != ".model":
            raise
        return None, str(error)  # much of SentencePiece cannot be had exactly; the model is good without
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= vocab_size:
        raise ValueError(
            f"{file} has tokens up to id {largest}, but the model knows only {vocab_size}: it belongs to another model."
        )
    return tokenizer, None
