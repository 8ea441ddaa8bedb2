"""What a tokenizer makes of what it does not know."""

from __future__ import annotations

import json

from tokenizers import Tokenizer
from tokenizers import models as cores


def unknown_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """The ids that stand for what a tokenizer does not know: one, or none where everything can be spelled."""
    core = tokenizer.model
    if isinstance(core, cores.Unigram):
        id = json.loads(core.__getstate__()).get("unk_id")
        return frozenset() if id is None else frozenset([id])
    token = core.unk_token
    id = None if token is None else tokenizer.token_to_id(token)
    return frozenset() if id is None else frozenset([id])
