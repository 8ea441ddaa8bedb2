from __future__ import annotations

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as cores

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["play", "##ing", "the", "cat", "sat", "who", "?", "un", "##a", "user", "assistant", ":"]


@pytest.fixture(scope="session")
def bert_tokenizer() -> Tokenizer:
    """A WordPiece tokenizer that puts [CLS] and [SEP], like BERT's."""
    tokenizer = Tokenizer(cores.WordPiece({word: i for i, word in enumerate([*MARKS, *WORDS])}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(MARKS)
    return tokenizer
