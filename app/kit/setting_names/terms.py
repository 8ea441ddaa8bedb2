"""The glossary terms of settings, numbers and headings."""

from __future__ import annotations

from collections.abc import Mapping

_OF_SETTINGS: Mapping[str, str] = {
    # A design
    "topology": "Decoder",
    "vocab_size": "Vocabulary",
    "context_length": "Context length",
    "n_layer": "Layer",
    "d_model": "d_model",
    "n_encoder_layer": "Encoder",
    "position": "Positional encoding",
    "rope_theta": "RoPE",
    "norm": "Layer norm",
    "norm_place": "Layer norm",
    "n_head": "Head",
    "n_kv_head": "GQA",
    "sliding_window": "Causal mask",
    "qk_norm": "Query, key and value",
    "max_ngram": "N-gram embedding",
    "activation": "MLP",
    "d_ff": "d_ff",
    "n_expert": "Mixture of experts",
    "n_expert_used": "Mixture of experts",
    "tied_embeddings": "Tied embeddings",
    "dropout": "Dropout",
    # A training
    "steps": "Step",
    "batch_size": "Batch",
    "grad_accum_steps": "Gradient accumulation",
    "optimizer": "AdamW",
    "lr": "Learning rate",
    "muon_lr": "Muon",
    "warmup_steps": "Warm-up",
    "schedule": "Schedule",
    "weight_decay": "Weight decay",
    "grad_clip": "Clipping",
    "seed": "Seed",
    "eval_interval": "Validation",
    "prompts": "Prompt",
    "accuracy_interval": "Held-out",
    "layer_interval": "Update-to-weight ratio",
    "checkpoint_interval": "Checkpoint",
    "patience": "Overfitting",
    # Fine-tuning and alignment
    "mode": "LoRA",
    "stage": "RLHF",
    "beta": "KL divergence",
    "n_replies": "GRPO",
    # Sampling
    "temperature": "Temperature",
    "top_k": "Top-k",
    "top_p": "Top-p",
    "min_p": "Min-p",
    "typical_p": "Typical-p",
    "repetition_penalty": "Repetition penalty",
    "frequency_penalty": "Repetition penalty",
    "presence_penalty": "Repetition penalty",
    "logit_bias": "Logits",
}

_OF_WORDS: Mapping[str, str] = {
    "parameters": "Parameter",
    "in training": "FLOP",
    "kv cache": "KV cache",
    "loss": "Loss",
    "validation loss": "Loss",
    "perplexity": "Perplexity",
    "bits per byte": "Bits per byte",
    "learning rate": "Learning rate",
    "gradient norm": "Gradient norm",
    "update-to-weight ratio": "Update-to-weight ratio",
    "tokens": "Token",
    "markers": "Special token",
    "of the context": "Context length",
    "bytes": "Byte fallback",
    "training tokens": "Token",
    "validation tokens": "Validation",
    "read": "Epoch",
    "tokenizers": "Tokenizer",
    "kl at each position": "KL divergence",
    "all scores": "Baseline",
    "what it forgot": "Catastrophic forgetting",
    "what it unlearned": "Catastrophic forgetting",
    "pseudo-perplexity": "Perplexity",
    "unseen questions": "Held-out",
    "measured accuracy": "Baseline",
    "samples": "Sampling",
    "best of n": "Reward hacking",
    "system prompt": "Prompt",
    "chat template": "Chat template",
    "when the context is full": "Context length",
    "largest attributions": "Attribution",
    "draft model": "Speculative decoding",
    "best of several replies": "Reward model",
    "weights": "Quantisation",
    "sampling": "Sampling",
    "outcomes of the functions": "Pass@k",
    "accuracy": "Baseline",
    "macro f1": "F1",
    "micro f1": "F1",
    "weighted f1": "F1",
    "entity f1": "F1",
    "word f1": "F1",
    "no-answer f1": "F1",
    "bleu": "BLEU",
    "chrf2": "BLEU",
    "rouge-1": "ROUGE",
    "rouge-2": "ROUGE",
    "rouge-l": "ROUGE",
    "rouge-lsum": "ROUGE",
    "pass@1": "Pass@k",
    "reward": "Reward model",
    # Home and the quick start
    "what you have grown": "Language model",
    "the guide": "Guide",
    "missions": "Mission",
    "what it will learn from": "Corpus",
    "how a word becomes tokens": "Merge",
    "what it says now": "Next-token prediction",
    "right answers to questions it has never seen": "Held-out",
    "chat": "Prompt",
    "time machine": "Checkpoint",
    "look inside": "Next-token prediction",
    # Data
    "datasets": "Dataset",
    "source": "Dataset",
    "what can be dropped": "Dataset",
    "columns": "Dataset",
    "checks": "Deduplication",
    "split and name": "Held-out",
    "ready-made: tasks of tiny world": "Tiny World",
    "hugging face hub": "Hugging Face hub",
    "first rows": "Dataset",
    "first rows of the training part": "Dataset",
    "as the model will see it": "Token",
    "pairs": "Preference pair",
    # A new run
    "model": "Language model",
    "data": "Corpus",
    "tokenizer": "Tokenizer",
    # The builder
    "costs": "Parameter",
}

TERMS = frozenset((*_OF_SETTINGS.values(), *_OF_WORDS.values()))
"""All glossary terms used here."""


def term_of_setting(name: str) -> str:
    """Return the glossary term of a setting, by its field's name; '' for none."""
    return _OF_SETTINGS.get(name, "")


def term_of_words(words: str) -> str:
    """Return the glossary term of a heading or label on screen; '' for none.

    A step's heading may begin with its number: “1  Source”.
    """
    return _OF_WORDS.get(words.casefold().rpartition("  ")[2], "")
