"""Text to text with an encoder-decoder: it reads a source and writes the target (translation, summaries)."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from terrarium.models.data.batch import Batch, Rows
from terrarium.models.data.plain_objectives import seq2seq_batch
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.special_tokens import end_id, pad_id, start_id


class SourceToTarget:
    """Rows of a source, whose tokens have weight 0, and its target, both with an end token (`fit_pair`)."""

    overlap = 0
    predicts_text = False
    ends_texts = False

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self.width = 2 * config.context_length
        end = end_id(tokenizer, config)
        if end is None:
            raise ValueError("This tokenizer has no end token: start a new run with it.")
        self._end, self._start = end, start_id(config, tokenizer)
        self._pad = pad_id(tokenizer) or 0

    def batch(self, rows: Rows, seed: int) -> Batch:
        sources, targets, weights = list[list[int]](), list[list[int]](), list[list[float]]()
        lengths: Sequence[int] = rows.real.sum(1).tolist()
        for row, of_row, length in zip(rows.ids.tolist(), rows.weights.tolist(), lengths, strict=True):
            begin = next(i for i in range(length) if of_row[i] > 0)
            sources.append(row[:begin])
            targets.append(row[begin:length])
            weights.append(of_row[begin:length])
        return seq2seq_batch(sources, targets, weights, start=self._start, pad=self._pad)
