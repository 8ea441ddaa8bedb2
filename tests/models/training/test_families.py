"""Encoders and encoder-decoders as runs: their tokens, logs and samples; what they learn; and exact resuming."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.experts import balance_loss
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder
from terrarium.models.corpora.corpus import build_examples_corpus, open_corpus
from terrarium.models.data.plain_objectives import fill_sentinels
from terrarium.models.events import RunStarted, SampleMade, TokenMade, TrainMetrics, ValMetrics
from terrarium.models.inference.generate import generate
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tokenizers import encode_text, load_tokenizer, read_tokenizer
from terrarium.models.tokenizers.special_tokens import end_id, mask_id, sentinel_ids
from terrarium.models.training.batches import make_batches
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.samples import ARROW
from terrarium.models.training.trainer import Trainer, prepare_run
from terrarium.models.training.update import compute_gradients
from tests.models.training.support import make_run, make_spec, numbers, result_of, train

ENCODER = ModelConfig(
    topology="encoder-only", context_length=32, n_layer=2, d_model=32, n_head=2, head_transform=True, head_bias=True
)
PAIR = ModelConfig(topology="encoder-decoder", context_length=32, n_layer=1, d_model=32, n_head=2, position="t5")
DESIGNS = {
    "encoder-only": ENCODER,
    "encoder-decoder": PAIR,
    "mixture": ModelConfig(context_length=32, n_layer=1, d_model=32, n_head=2, n_expert=3, n_expert_used=2),
}
POST = {"norm_place": "post", "embedding_norm": True}


def set_up(library: Library, config: ModelConfig, text: str = "", **train: Any) -> tuple[RunFolder, Tokenizer]:
    spec = make_spec(library.home, config, **train)
    if text:
        Path(spec.data.files[0]).write_text(text, encoding="utf-8")
    run = result_of(prepare_run(library, spec))
    return run, read_tokenizer(run.tokenizer_file)


def trained(library: Library, config: ModelConfig, text: str, **train: Any) -> tuple[AnyModel, Tokenizer, RunFolder]:
    quiet = {"eval_interval": 0, "sample_interval": 0, "checkpoint_interval": 10**6}
    run, _ = set_up(library, config, text, **(quiet | train))
    trainer = Trainer(run, library, device="cpu")
    for _ in trainer.events():
        pass
    return trainer.model.eval(), trainer.tokenizer, run


DENOISER = dataclasses.replace(PAIR, position="learned")


def test_the_runs_own_tokenizer_gets_what_the_objective_needs(library: Library) -> None:
    for config, n_more in ((ENCODER, 1), (PAIR, 32), (DENOISER, 1), (DESIGNS["mixture"], 0)):
        run, tokenizer = set_up(library, config)
        assert tokenizer.get_vocab_size() == run.spec.model.vocab_size == 261 + n_more
        assert (mask_id(tokenizer) is not None) == (config in (ENCODER, DENOISER))
        assert (len(sentinel_ids(tokenizer)) == 32) == (config is PAIR)
    assert load_tokenizer("byte", library).get_vocab_size() == 261  # the library's stays as it is
    assert [info.kind for info in library.list_tokenizers()] == ["byte"]


@pytest.mark.parametrize("head", ["sequence", "token", "none"])
def test_an_encoder_without_a_language_head_is_refused_at_once(library: Library, head: str) -> None:
    spec = make_spec(library.home, dataclasses.replace(ENCODER, head=head, head_transform=False, head_bias=False))
    with pytest.raises(ValueError, match=f"head '{head}' cannot learn from plain text.*choose the head language"):
        next(prepare_run(library, spec))
    assert library.list_runs() == []


@pytest.mark.parametrize("config", [ENCODER, PAIR, DENOISER], ids=["masked", "spans", "denoising"])
def test_rows_have_no_bits_per_byte_and_count_real_tokens(library: Library, config: ModelConfig) -> None:
    run, tokenizer = set_up(library, config)
    events = train(run, library)
    assert {event.bits_per_byte for event in events if isinstance(event, ValMetrics)} == {None}
    rows = run.read_metrics()
    assert {row["bits_per_byte"] for row in rows} == {None}
    assert {row["kind"] for row in rows} == {"train", "val"}
    corpus = open_corpus(library, run.lineage["corpus"]["sha256"])
    batches = make_batches(corpus, tokenizer, run.spec.model, run.spec.train)
    expected = sum(batches.batch(step).n_tokens or 0 for step in range(run.spec.train.steps))
    assert [event.tokens for event in events if isinstance(event, TrainMetrics)][-1] == expected


@pytest.mark.parametrize(
    ("name", "how"), [("encoder-only", "stop"), ("encoder-decoder", "discard"), ("mixture", "close")]
)
def test_resume_is_exact(library: Library, name: str, how: str, trained_at_once: Callable[..., RunFolder]) -> None:
    config = dataclasses.replace(DESIGNS[name], dropout=0.1)
    settings = {"grad_accum_steps": 2, "keep_checkpoints": 9, "prompts": ("Anna has [MASK] apples", "Ben has")}
    reference, run = trained_at_once(config, **settings), make_run(library, config, **settings)
    for stop_at in (4, 5):  # 4: a validation is due; 5: a sample
        trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
        events = trainer.events()
        for event in events:
            if isinstance(event, TrainMetrics) and event.step == stop_at:
                if how == "close":
                    events.close()
                    break
                trainer.request_stop(keep=how != "discard")
        torch.rand(5)  # nothing may depend on the global random state
    train(run, library)
    assert numbers(run) == numbers(reference)
    assert run.read_samples() == reference.read_samples()
    ours, theirs = (
        safetensors.torch.load_file(run.checkpoint_path(10) / "model.safetensors") for run in (run, reference)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_an_old_run_resumes_with_its_objective(library: Library) -> None:
    """Before `objective` was a setting, every encoder-decoder filled gaps, whatever its positions."""
    runs = [set_up(library, DENOISER, objective="span-corruption")[0] for _ in range(2)]
    reference, run = runs
    train(reference, library)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 4:
            trainer.request_stop(keep=True)
    record = json.loads((run.folder / "run.json").read_text())
    del record["spec"]["train"]["objective"]
    (run.folder / "run.json").write_text(json.dumps(record))
    old = RunFolder.open(run.folder)
    assert old.spec == dataclasses.replace(reference.spec, name=old.spec.name)
    train(old, library)
    assert numbers(old) == numbers(reference)


def samples(library: Library, spec: RunSpec, run: RunFolder | None = None) -> dict[str, str]:
    """Prompt -> text of the first samples."""
    trainer = Trainer(run or result_of(prepare_run(library, spec)), library, device="cpu")
    found: dict[str, str] = {}
    for event in trainer.events():
        if isinstance(event, SampleMade):
            assert len(event.top) == 10
            found.setdefault(event.prompt, event.text)
            if len(found) == len(spec.train.prompts):
                trainer.request_stop(keep=False)
    return found


def test_an_encoders_samples_fill_masks_or_its_last_word(library: Library) -> None:
    prompts = ("Anna has [MASK] pears", "Anna <mask>has<|mask|>", "Ben has pears.", "Ben, 3?", "?", "", "long " * 30)
    found = samples(library, make_spec(library.home, ENCODER, prompts=prompts))
    filled = {prompt: text.removeprefix(ARROW) for prompt, text in found.items()}
    assert all(text.startswith(ARROW) for text in found.values())
    assert filled["Anna has [MASK] pears"].startswith("Anna has ")
    assert filled["Anna has [MASK] pears"].endswith(" pears")
    assert filled["Ben has pears."].startswith("Ben has")
    assert filled["Ben has pears."].endswith(".")
    assert filled["Ben, 3?"].startswith("Ben,")
    assert filled["?"].startswith("?")


def test_an_encoder_decoders_samples_fill_the_gaps(library: Library) -> None:
    prompts = ("Anna has <|extra_0|> pears", "Anna has many more pears", "Ben", "", "long " * 30)
    found = samples(library, make_spec(library.home, PAIR, prompts=prompts))
    assert found["Anna has <|extra_0|> pears"].count(ARROW) == 1
    assert found["Anna has many more pears"].startswith(f"{ARROW}Anna has many more<|extra_0|>{ARROW}")
    assert found["Ben"].startswith(f"{ARROW}<|extra_0|>{ARROW}")


def test_a_denoisers_samples_are_the_whole_text(library: Library) -> None:
    prompts = ("Anna has [MASK] pears", "Anna has many more pears", "Ben", "", "long " * 30)
    found = samples(library, make_spec(library.home, DENOISER, prompts=prompts))
    assert found["Anna has [MASK] pears"].count(ARROW) == 1
    assert found["Anna has many more pears"].startswith(f"{ARROW}Anna has many more<|mask|>{ARROW}")


@pytest.mark.parametrize("config", [ENCODER, PAIR, DENOISER], ids=["masked", "spans", "denoising"])
def test_chats_train_and_are_sampled(library: Library, config: ModelConfig) -> None:
    chats = [
        {"messages": [{"role": "user", "content": f"Say {n}"}, {"role": "assistant", "content": f"{n}!"}]}
        for n in range(40)
    ]
    spec = make_spec(library.home, config, prompts=("Say 3",))
    corpus = build_examples_corpus(library, chats[:30], chats[30:], "say", 0)
    run, _ = set_up(library, config)
    run = RunFolder.create(
        library, dataclasses.replace(spec, model=run.spec.model), str(run.tokenizer_file), corpus.sha
    )
    assert samples(library, spec, run)["Say 3"].startswith(ARROW)


LETTERS = "abcd" * 600
LOCAL: dict[str, Any] = {"position": "rope", "conv_width": 3}


@pytest.mark.parametrize("norm_place", [{}, POST], ids=["pre", "post"])
def test_an_encoder_masters_a_regular_text(library: Library, norm_place: dict[str, Any]) -> None:
    config = dataclasses.replace(ENCODER, n_layer=1, **LOCAL, **norm_place)
    model, tokenizer, run = trained(library, config, LETTERS, steps=40, batch_size=8, lr=0.02, muon_lr=0.1)
    corpus = open_corpus(library, run.lineage["corpus"]["sha256"])
    batch = make_batches(corpus, tokenizer, run.spec.model, run.spec.train, "val").batch(0)
    with torch.no_grad():
        guesses = model(batch.inputs, mask=batch.mask).argmax(-1)
    hidden = batch.inputs == mask_id(tokenizer)
    assert hidden.sum() > 20
    assert (guesses == batch.targets)[hidden].float().mean() > 0.95


def test_an_encoder_decoder_masters_a_regular_text(library: Library) -> None:
    config = dataclasses.replace(PAIR, **LOCAL)
    model, tokenizer, _ = trained(library, config, LETTERS, steps=150, batch_size=16, lr=0.03, muon_lr=0.1)
    assert isinstance(model, EncoderDecoder)
    sentinels, end = sentinel_ids(tokenizer), end_id(tokenizer)
    assert end is not None
    right = 0
    for start in range(20):
        text = encode_text(tokenizer, LETTERS[start : start + 25])
        source = [*text[:8], sentinels[0], *text[11:19], sentinels[1], *text[21:], end]
        events = generate(model, tokenizer, source, SamplingConfig(temperature=0.0, max_tokens=12))
        target = [event.id for event in events if isinstance(event, TokenMade)]
        right += fill_sentinels(source, target, sentinels, end) == text
    assert right >= 18


def test_a_denoiser_masters_a_regular_text(library: Library) -> None:
    model, tokenizer, run = trained(library, DENOISER, LETTERS, steps=60, batch_size=16)
    corpus = open_corpus(library, run.lineage["corpus"]["sha256"])
    batch = make_batches(corpus, tokenizer, run.spec.model, run.spec.train, "val").batch(0)
    assert isinstance(model, EncoderDecoder)
    assert batch.source is not None
    with torch.no_grad():
        guesses = model(batch.source, batch.inputs, source_mask=batch.source_mask).argmax(-1)
    assert (batch.source == mask_id(tokenizer)).sum() > 20
    assert (guesses == batch.targets)[batch.weights > 0].float().mean() > 0.95


def test_training_balances_the_router_without_changing_the_reported_loss(library: Library) -> None:
    config = dataclasses.replace(DESIGNS["mixture"], router_balance=0.5)
    run, _ = set_up(library, config, grad_accum_steps=2, steps=1, optimizer="adamw", grad_clip=0.0)
    trainer = Trainer(run, library, device="cpu")
    events = trainer.events()
    while not isinstance(next(events), RunStarted):
        pass
    context, model = trainer.context, trainer.model
    steps = compute_gradients(context, run.spec.train, 0)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            gradients = stop.value
            break
    ours = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    batches = [context.train_batches.batch(0, micro_step) for micro_step in range(2)]
    weight = sum(float(batch.weights.sum()) for batch in batches)
    total, nll = torch.tensor(0.0), 0.0
    for batch in batches:
        trace = Trace(wanted=frozenset({"router"}))
        loss = weighted_nll(model, batch, trace=trace) / weight
        nll += float(loss.detach())
        total = total + loss + 0.5 * balance_loss(trace) / 2
    total.backward()
    assert gradients.loss == pytest.approx(nll, rel=1e-5)
    assert float(total.detach()) > nll + 0.4
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-4, atol=1e-6)
    model.zero_grad()
    events.close()
