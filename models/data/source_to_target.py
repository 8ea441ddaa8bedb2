"""Text to text on an encoder-decoder: it reads a source, and writes the target (translation, summaries)."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from models.data.batch import Batch, Rows
from models.data.examples import EncodedExample
from models.data.plain_objectives import seq2seq_batch
from models.settings.model_config import ModelConfig
from models.tokenizers.special_tokens import end_id, pad_id, start_id


class SourceToTarget:
    """Rows of a source, whose tokens have no weight, and its target, both with an end token."""

    overlap = 0
    predicts_text = False
    ends_texts = False

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self._length = config.context_length
        self.width = 2 * self._length
        end = end_id(tokenizer, config)
        if end is None:
            raise ValueError("This tokenizer has no end token: start a new run with it.")
        self._end, self._start = end, start_id(config, tokenizer)
        self._pad = pad_id(tokenizer) or 0

    def fit(self, example: EncodedExample) -> EncodedExample:
        """The example, its source and its target cut to the context: a source keeps its end, a target loses it."""
        ids, is_target = example
        n_source = is_target.index(True)
        source, target = ids[:n_source], ids[n_source:]
        if n_source > self._length:
            source = [*source[: self._length - 1], source[-1]]
        target = target[: self._length]
        return [*source, *target], [False] * len(source) + [True] * len(target)

    def batch(self, rows: Rows, seed: int) -> Batch:
        sources, targets, weights = list[list[int]](), list[list[int]](), list[list[float]]()
        lengths: Sequence[int] = rows.real.sum(1).tolist()
        for row, of_row, length in zip(rows.ids.tolist(), rows.weights.tolist(), lengths, strict=True):
            begin = next(i for i in range(length) if of_row[i] > 0)
            sources.append(row[:begin])
            targets.append(row[begin:length])
            weights.append(of_row[begin:length])
        return seq2seq_batch(sources, targets, weights, start=self._start, pad=self._pad)
