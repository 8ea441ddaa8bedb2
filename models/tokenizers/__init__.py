"""Tokenizers on top of Hugging Face `tokenizers`: training, storage, encoding and inspection. No torch."""

from terrarium.models.settings.tokenizer_options import KINDS, TokenizerOptions
from terrarium.models.tokenizers.codec import (
    SPECIAL_TOKENS,
    IncrementalDecoder,
    Piece,
    decode,
    encode_prompt,
    encode_text,
    encode_texts,
    pieces_of,
    show_bytes,
    token_pieces,
)
from terrarium.models.tokenizers.making.child import train_in_child
from terrarium.models.tokenizers.making.texts import CutCounter, read_texts
from terrarium.models.tokenizers.making.train import (
    MIN_VOCAB_SIZE,
    check_training,
    describe_shortfall,
    tokenizer_kind,
    train_tokenizer,
)
from terrarium.models.tokenizers.store import (
    duplicate_tokenizer,
    find_tokenizer,
    load_tokenizer,
    read_about,
    read_template,
    read_tokenizer,
    rename_tokenizer,
    save_tokenizer,
    update_about,
    write_tokenizer,
)
from terrarium.models.tokenizers.token_bytes import TokenBytes, special_ids

__all__ = [
    "KINDS",
    "MIN_VOCAB_SIZE",
    "SPECIAL_TOKENS",
    "CutCounter",
    "IncrementalDecoder",
    "Piece",
    "TokenBytes",
    "TokenizerOptions",
    "check_training",
    "decode",
    "describe_shortfall",
    "duplicate_tokenizer",
    "encode_prompt",
    "encode_text",
    "encode_texts",
    "find_tokenizer",
    "load_tokenizer",
    "pieces_of",
    "read_about",
    "read_template",
    "read_texts",
    "read_tokenizer",
    "rename_tokenizer",
    "save_tokenizer",
    "show_bytes",
    "special_ids",
    "token_pieces",
    "tokenizer_kind",
    "train_in_child",
    "train_tokenizer",
    "update_about",
    "write_tokenizer",
]
