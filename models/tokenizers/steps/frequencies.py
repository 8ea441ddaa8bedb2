"""Token and merge counts in a corpus, which tokenizer files do not store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field

from terrarium.models.events import Event, Phase, Progress
from terrarium.models.tokenizers.codec import text_parts
from terrarium.models.tokenizers.steps.steps import TokenizerSteps

_BATCH_SIZE = 16  # parts of a text per call: enough for all cores, few enough to cancel soon


@dataclass(eq=False)
class Frequencies:
    """Counts on one corpus. `label`: its name; `tokens`: by id; `merges`: by rank; `n_tokens`: the total."""

    label: str
    n_tokens: int = 0
    tokens: Counter[int] = field(default_factory=Counter)
    merges: Counter[int] = field(default_factory=Counter)


def count_frequencies(
    steps: TokenizerSteps, label: str, texts: Iterable[str], n_bytes: int
) -> Generator[Event, None, Frequencies]:
    """Encode a corpus of about `n_bytes` and count its tokens, and the merges that made them.

    A token is always made by the same merges, so each of these applied as often as the token was made. Special tokens
    spelled in the corpus are encoded as plain text. Yields Phase, and Progress in bytes.
    """
    yield Phase(name=f"Counting on {label}")
    found = Frequencies(label)
    alone: Counter[int] = Counter()
    looks_up = steps.bpe is not None and steps.bpe.looks_up_words
    # encode_batch_fast does not give word ids.
    encode = steps.encoder.encode_batch if looks_up else steps.encoder.encode_batch_fast
    done = 0
    for text in texts:
        parts = text_parts(steps.tokenizer, text)
        for i in range(0, len(parts), _BATCH_SIZE):
            yield Progress(done=min(done, n_bytes), total=n_bytes)
            batch = parts[i : i + _BATCH_SIZE]
            for encoding in encode(batch, add_special_tokens=False):
                found.tokens.update(encoding.ids)
                if looks_up:
                    alone.update(_single_token_words(encoding.ids, encoding.word_ids))
            done += sum(len(part.encode(errors="replace")) for part in batch)
    found.n_tokens = found.tokens.total()
    _count_merges(steps, found, alone)
    yield Progress(done=n_bytes, total=n_bytes)
    return found


def _single_token_words(ids: Sequence[int], words: Sequence[int | None]) -> list[int]:
    """Return the tokens that are whole words, which a tokenizer with word lookup has not merged."""
    last = len(ids) - 1
    return [
        id
        for i, id in enumerate(ids)
        if (i == 0 or words[i - 1] != words[i]) and (i == last or words[i + 1] != words[i])
    ]


def _count_merges(steps: TokenizerSteps, found: Frequencies, alone: Counter[int]) -> None:
    if steps.bpe is None:
        return
    added = steps.tokenizer.get_added_tokens_decoder()
    for id, n in found.tokens.items():
        made = steps.bpe.token_steps(steps.tokenizer.id_to_token(id) or "") if id not in added else None
        for node in made.nodes if made is not None else ():
            if node.rank is not None and n > alone[id]:
                found.merges[node.rank] += n - alone[id]
