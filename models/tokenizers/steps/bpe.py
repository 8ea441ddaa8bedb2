"""Byte-pair encoding (Sennrich et al., arXiv:1508.07909) merge by merge, as in Hugging Face's library.

Follows `tokenizers` (Rust, models/bpe): the lowest rank first, the leftmost of equal ranks.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, NamedTuple

from terrarium.models.tokenizers.token_bytes import byte_token


class Node(NamedTuple):
    """A node of a word's merge tree: a symbol of the word, or the result of a merge.

    Args:
        start, end: the range of symbols that it covers.
        text: the characters of a symbol, as the model gets them (the same for each of its bytes); "" for a merge.
        rank: the rank of the merge, None for a symbol.
        left, right: the nodes that were merged, −1 for a symbol.
        step: the step in which it was made, 1 for the first merge, 0 for a symbol.
    """

    id: int
    start: int
    end: int
    text: str
    rank: int | None = None
    left: int = -1
    right: int = -1
    step: int = 0


@dataclass(frozen=True, eq=False)
class BpeSteps:
    """The merges of one word. `nodes`: its symbols, then the results of merge 1, 2, 3, …

    looked_up: the whole word is in the vocabulary, and the tokenizer takes it without merging.
    dropped: characters that are lost, as they are not in the vocabulary and there is no unknown token.
    """

    word: str
    nodes: tuple[Node, ...]
    n_symbols: int
    looked_up: bool = False
    dropped: str = ""

    @property
    def n_steps(self) -> int:
        """The number of merges."""
        return len(self.nodes) - self.n_symbols

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the word's tokens."""
        return tuple(self.nodes[i].id for i in self.state(self.n_steps))

    def merge(self, step: int) -> Node:
        """Return the node that merge `step` (from 1) made."""
        return self.nodes[self.n_symbols + step - 1]

    def state(self, step: int) -> list[int]:
        """Return the indices of the nodes that are the word's tokens after `step` merges, in order."""
        assert 0 <= step <= self.n_steps
        known = self.nodes[: self.n_symbols + step]
        used = {side for node in known for side in (node.left, node.right)}
        return sorted((i for i in range(len(known)) if i not in used), key=lambda i: known[i].start)


class BpeTable:
    """Vocabulary and merges of a BPE model, indexed by pairs of ids.

    Args:
        vocabulary: token → id.
        state: the JSON of the model.
    """

    def __init__(self, vocabulary: dict[str, int], state: dict[str, Any]) -> None:
        self._ids = vocabulary
        self._prefix = state.get("continuing_subword_prefix") or ""
        self._suffix = state.get("end_of_word_suffix") or ""
        self._unknown = state.get("unk_token")
        self._fuses_unknown = bool(state.get("fuse_unk"))
        self._spells_bytes = bool(state.get("byte_fallback"))
        self._looks_up_words = bool(state.get("ignore_merges"))
        self._made: list[int] = []
        self._ranks: dict[int, int] = {}
        for rank, (left, right) in enumerate(state.get("merges", ())):
            made = vocabulary[left + right.removeprefix(self._prefix)]
            self._made.append(made)
            self._ranks[vocabulary[left] << 32 | vocabulary[right]] = rank

    @property
    def looks_up_words(self) -> bool:
        """Whether words that are tokens are taken without merging (`ignore_merges`, as in Llama 3)."""
        return self._looks_up_words

    def rank(self, left: int, right: int) -> int | None:
        """Return the rank of the merge of two ids, 0 for the first learned; None if there is no such merge."""
        return self._ranks.get(left << 32 | right)

    def steps(self, word: str) -> BpeSteps:
        """Trace how `word` becomes tokens.

        Raises:
            ValueError: if the tokenizer itself fails: its unknown token is not in its vocabulary.
        """
        if self._looks_up_words and word in self._ids:
            return BpeSteps(word, (Node(self._ids[word], 0, 1, word),), 1, looked_up=True)
        symbols, dropped = self._symbols(word)
        nodes = [Node(id, i, i + 1, text) for i, (id, text) in enumerate(symbols)]
        self._merge(nodes)
        return BpeSteps(word, tuple(nodes), len(symbols), dropped=dropped)

    def token_steps(self, token: str) -> BpeSteps | None:
        """Return the merges that make a token, in any context; None if none do."""
        # A prefix or suffix marks the position of a symbol in a word, so the token may begin or end with it.
        inner = token.removeprefix(self._prefix) if self._prefix else token
        is_continuation = len(inner) < len(token)
        ends = bool(self._suffix) and inner.endswith(self._suffix)
        characters = list(inner.removesuffix(self._suffix) if ends else inner)
        for i, character in enumerate(characters):
            characters[i] = (self._prefix if i or is_continuation else "") + character
        if ends and characters:
            characters[-1] += self._suffix
        if not characters or any(character not in self._ids for character in characters):
            return None
        nodes = [Node(self._ids[character], i, i + 1, character) for i, character in enumerate(characters)]
        self._merge(nodes)
        steps = BpeSteps(token, tuple(nodes), len(characters))
        return steps if steps.ids == (self._ids[token],) else None

    def _symbols(self, word: str) -> tuple[list[tuple[int, str]], str]:
        """Return (id, text) of the initial symbols, and the characters that are dropped."""
        symbols: list[tuple[int, str]] = []
        dropped: list[str] = []
        waiting = ""  # unknown characters that are not yet in `symbols`
        for i, character in enumerate(word):
            spelled = (self._prefix if i else "") + character + (self._suffix if i == len(word) - 1 else "")
            id = self._ids.get(spelled)
            if id is not None:
                if waiting:
                    symbols.append((self._unknown_id(), waiting))
                    waiting = ""
                symbols.append((id, character))
                continue
            in_bytes = self._bytes(spelled) if self._spells_bytes else None
            if in_bytes is not None:
                symbols += [(byte, character) for byte in in_bytes]
            elif self._unknown is None:
                dropped.append(character)
            elif waiting and not self._fuses_unknown:
                symbols.append((self._unknown_id(), waiting))
                waiting = character
            else:
                waiting += character
        if waiting:
            symbols.append((self._unknown_id(), waiting))
        return symbols, "".join(dropped)

    def _bytes(self, text: str) -> list[int] | None:
        ids = [self._ids.get(byte_token(byte)) for byte in text.encode()]
        known = [id for id in ids if id is not None]
        return known if len(known) == len(ids) else None

    def _unknown_id(self) -> int:
        assert self._unknown is not None
        if self._unknown not in self._ids:
            raise ValueError(
                f"The unknown token {self._unknown!r} of this tokenizer is not in its vocabulary: correct its file."
            )
        return self._ids[self._unknown]

    def _merge(self, nodes: list[Node]) -> None:
        """Append the result of each merge to `nodes`, the symbols of a word."""
        n = len(nodes)
        at = list(range(n))  # at[i]: the node whose first symbol is i
        alive = [True] * n
        before, after = list(range(-1, n - 1)), [*range(1, n), -1]
        waiting: list[tuple[int, int, int]] = []  # rank, first symbol, resulting id

        def offer(left: int, right: int) -> None:
            rank = self.rank(nodes[at[left]].id, nodes[at[right]].id)
            if rank is not None:
                heapq.heappush(waiting, (rank, left, self._made[rank]))

        for i in range(n - 1):
            offer(i, i + 1)
        step = 0
        while waiting:
            _, left, made = heapq.heappop(waiting)
            right = after[left]
            if not alive[left] or right < 0:
                continue
            rank = self.rank(nodes[at[left]].id, nodes[at[right]].id)
            # The pair may have changed since; like the library, compare only the result.
            if rank is None or self._made[rank] != made:
                continue
            step += 1
            a, b = nodes[at[left]], nodes[at[right]]
            nodes.append(Node(made, a.start, b.end, "", rank, at[left], at[right], step))
            at[left], alive[right] = len(nodes) - 1, False
            after[left] = after[right]
            if after[left] >= 0:
                before[after[left]] = left
                offer(left, after[left])
            if before[left] >= 0:
                offer(before[left], left)
