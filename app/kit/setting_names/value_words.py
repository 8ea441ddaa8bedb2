"""Names on screen: of setting values, of the parts of a model (models.architecture.trace), of outcomes. No Qt."""

from __future__ import annotations

import re

from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.positions import POSITIONS
from terrarium.models.tasks.code_judge import Outcome

_WORDS = {
    name: entry.title for entries in (POSITIONS, NORMS, ACTIVATIONS, OPTIMIZERS) for name, entry in entries.items()
} | {
    "all": "All",
    "attention": "Attention only",
    "auto": "Auto",
    "balanced": "Balanced",
    "bart-base": "BART base",
    "bart-large": "BART large",
    "bart-tiny": "BART, tiny",
    "bert": "BERT's clean-up",
    "bert-base": "BERT base",
    "bert-large": "BERT large",
    "bert-tiny": "BERT, tiny",
    "bfloat16": "bfloat16",
    "bpe": "Byte-level BPE",
    "byte": "Bytes",
    "char": "Characters",
    "character-bpe": "BPE of characters",
    "constant": "Constant",
    "cosine": "Cosine",
    "decoder-only": "Decoder-only",
    "denoising": "Denoising (BART)",
    "digits": "GPT-2, digits apart",
    "dynamic": "Dynamic",
    "encoder-decoder": "Encoder-decoder",
    "encoder-only": "Encoder-only",
    "feed-forward": "Feed-forward only",
    "files": "Files",
    "float32": "float32",
    "head": "Head only",
    "last": "Last layers",
    "lora": "LoRA",
    "gpt2": "GPT-2",
    "gpt2-1.5b": "GPT-2 XL",
    "gpt2-124m": "GPT-2 small",
    "gpt2-355m": "GPT-2 medium",
    "gpt2-774m": "GPT-2 large",
    "gpt2-tiny": "GPT-2, tiny",
    "gpt4": "GPT-4",
    "language": "Language",
    "linear": "Linear",
    "llama-tiny": "LLaMA, tiny",
    "llama2-7b": "LLaMA 2 7B",
    "llama3": "Llama 3",
    "llama3-8b": "Llama 3 8B",
    "lowercase": "Lowercase",
    "mixtral-8x7b": "Mixtral 8×7B",
    "moe-tiny": "Mixture of experts, tiny",
    "nfc": "NFC",
    "nfkc": "NFKC",
    "post": "After (post)",
    "pre": "Before (pre)",
    "sequence": "Sequence",
    "span": "Span",
    "span-corruption": "Filling gaps (T5)",
    "pronouns": "Pronoun pairs",
    "stdlib": "Python's documentation",
    "t5-base": "T5 base",
    "t5-large": "T5 large",
    "t5-small": "T5 small",
    "t5-tiny": "T5, tiny",
    "t5-v1.1-base": "T5 1.1 base",
    "terrarium-tiny": "Terrarium, tiny",
    "terrarium-char": "Terrarium, for characters",
    "tiny-world": "Tiny World",
    "token": "Token",
    "transformer-base": "Transformer base",
    "transformer-big": "Transformer big",
    "transformer-tiny": "Transformer 2017, tiny",
    "unigram": "Unigram",
    "whitespace": "Whitespace",
    "word": "Words",
    "wordpiece": "WordPiece",
    "wsd": "Warm up, hold, decay",
    "yarn": "YaRN",
}


def words(value: str) -> str:
    """Return the name of a setting's value on screen; the value itself if it has none."""
    return _WORDS.get(value, value)


_SITE = re.compile(r"(?P<stack>encoder\.|decoder\.)?(?:blocks\.(?P<layer>\d+)|embedding)(?:\.(?P<part>\w+))?$")
PARTS = {"attention": "attention", "cross_attention": "cross-attention", "feed_forward": "feed-forward"}


def format_site(site: str, head: int | None = None) -> str:
    """Format a site as “Embedding”, “Layer 3, feed-forward”, “Encoder layer 1, head 2”; unknown sites are unchanged."""
    found = _SITE.match(site)
    if found is None:
        return site
    stack, layer, part = found["stack"], found["layer"], found["part"]
    side = f"{stack.rstrip('.')} " if stack else ""
    name = f"{side}embedding" if layer is None else f"{side}layer {int(layer) + 1}"
    title = [name.capitalize()]
    if part is not None and not (part == "attention" and head is not None):
        title.append(PARTS[part])
    if head is not None:
        title.append(f"head {head + 1}")
    return ", ".join(title)


def part_of_layer(site: str, head: int | None = None) -> str:
    """Format a site inside a sentence: “layer 3's feed-forward”, “head 2 of encoder layer 1”, “layer 3”."""
    layer, *parts = (word[:1].lower() + word[1:] for word in format_site(site, head).split(", "))
    if head is not None:
        return f"{parts[-1]} of {layer}'s cross-attention" if len(parts) > 1 else f"{parts[-1]} of {layer}"
    return f"{layer}'s {parts[0]}" if parts else layer


OUTCOME_TONES = {
    Outcome.RIGHT: "accent",
    Outcome.WRONG_VALUE: "validation",
    Outcome.EXCEPTION: "danger",
    Outcome.LIMIT: "warning",
    Outcome.NOT_SUPPORTED: "muted",
}
"""The theme's colour role of each outcome."""
OUTCOME_HELP = {
    Outcome.RIGHT: "The value and its type are the expected ones",
    Outcome.WRONG_VALUE: "Another value came out",
    Outcome.EXCEPTION: "It raised an exception, or cannot be read as Python",
    Outcome.LIMIT: "It ran for more than a second, or took too much memory",
    Outcome.NOT_SUPPORTED: "The sandbox does not know this part of Python: neither right nor wrong",
}
SANDBOX = (
    "Run by Monty, a small Python without access to your files or the network. It does not know all of Python: what "
    "it cannot run is listed as not supported"
)
