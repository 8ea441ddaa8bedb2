"""A training session and its controls. Exact resuming: test_resume.py."""

import dataclasses
import json
import math

import pytest
import torch

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import build_examples_corpus, open_corpus
from terrarium.models.data.batch import Batch
from terrarium.models.events import Finished, MicroStep, Noted, RunStarted, SampleMade, Saved, TrainMetrics, ValMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.batches import make_batches
from terrarium.models.training.clock import EtaEstimator
from terrarium.models.training.objective import validation_slice, weighted_nll
from terrarium.models.training.schedule import lr_factor
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import make_run, make_spec, numbers, train


def of_kind(events: list, kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


def test_events_and_logs_agree(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    events = train(run, library)
    assert [event.step for event in of_kind(events, TrainMetrics)] == list(range(1, 11))
    assert [event.step for event in of_kind(events, ValMetrics)] == [0, 4, 8, 10]
    assert [event.step for event in of_kind(events, SampleMade)] == [0, 3, 5, 6, 9, 10], "at every checkpoint, too"
    assert [event.step for event in of_kind(events, Saved)] == [3, 6, 9, 10]
    assert of_kind(events, Finished) == [Finished(run_id=run.id, status="finished", step=10)]
    started = of_kind(events, RunStarted)[0]
    assert (started.step, started.total_steps, started.precision, started.threads) == (0, 10, "float32", 1)

    rows = run.read_metrics()
    measured = {"loss", "lr", "grad_norm", "tokens_per_s", "bits_per_byte", "loss_error", "memory_bytes", "peak_share"}
    keys = {"kind", "step", "tokens", "elapsed_s"} | measured
    assert all(set(row) == keys for row in rows)
    told = [(event.step, event.loss) for event in events if isinstance(event, TrainMetrics | ValMetrics)]
    assert [(row["step"], row["loss"]) for row in rows] == told
    assert [row["elapsed_s"] for row in rows] == sorted(row["elapsed_s"] for row in rows)
    assert rows[-1]["tokens"] == 10 * 3 * 32
    for row in rows:  # a token is a byte here
        assert row["bits_per_byte"] == pytest.approx(row["loss"] / math.log(2), rel=0.05)
    assert [row["step"] for row in run.read_samples()] == [0, 3, 5, 6, 9, 10]
    sample = run.read_samples()[0]
    assert sample.keys() == {"step", "prompt", "seed", "text", "top"}
    assert len(sample["top"]) == 10
    assert [event["event"] for event in run.read_events()] == ["started", *["saved"] * 4, "finished"]
    record = RunFolder.open(run.folder)
    assert (record.status, record.threads, record.best_step) == ("finished", 1, 10)
    assert [path.name for path in run.checkpoints()] == ["step-00000009", "step-00000010"]


def test_the_loss_starts_at_chance_and_a_batch_can_be_overfitted(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=40, batch_size=8, lr=0.02, muon_lr=0.1, sample_interval=0)
    losses = [event.loss for event in of_kind(train(run, library), TrainMetrics)]
    assert losses[0] == pytest.approx(math.log(261), rel=0.02)
    assert losses[-1] < 1.2


def test_target_weights_decide_what_counts_however_few(tiny_config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = Decoder(tiny_config)
    ids = torch.randint(5, 261, (3, 17))
    weights = torch.where(torch.rand(3, 16) < 0.3, torch.rand(3, 16), 0.0)
    assert int(weights.count_nonzero()) < 0.6 * weights.numel()
    picked = weighted_nll(model, Batch(ids[:, :-1], ids[:, 1:], weights))
    log_probabilities = model(ids[:, :-1]).log_softmax(-1)
    nll = -log_probabilities.gather(2, ids[:, 1:, None])[..., 0]
    torch.testing.assert_close(picked, (nll * weights).sum())
    every = weighted_nll(model, Batch(ids[:, :-1], ids[:, 1:], torch.ones(3, 16)))
    torch.testing.assert_close(every, nll.sum())
    assert weighted_nll(model, Batch(ids[:, :-1], ids[:, 1:], torch.zeros(3, 16))).item() == 0


def test_accumulated_batches_equal_one_large_batch(library: Library, tiny_config: ModelConfig) -> None:
    settings = {"steps": 3, "optimizer": "adamw", "eval_interval": 0, "sample_interval": 0}
    large = make_run(library, tiny_config, batch_size=6, **settings)
    small = make_run(library, tiny_config, batch_size=2, grad_accum_steps=3, **settings)
    large_events, small_events = train(large, library), train(small, library)
    assert [(event.step, event.micro_step) for event in of_kind(small_events, MicroStep)] == [
        (step, micro_step) for step in (1, 2, 3) for micro_step in (1, 2)
    ]
    assert of_kind(large_events, MicroStep) == []
    for one, other in zip(of_kind(large_events, TrainMetrics), of_kind(small_events, TrainMetrics), strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-3)
        assert one.tokens == other.tokens


def test_validation_is_float32_in_eval_mode_on_one_fixed_slice(library: Library, tiny_config: ModelConfig) -> None:
    config = dataclasses.replace(tiny_config, dropout=0.3)
    run = make_run(library, config, precision="bfloat16", checkpoint_interval=4, keep_checkpoints=9)
    trainer = Trainer(run, library, device="cpu")
    tokenizer = read_tokenizer(run.tokenizer_file)
    corpus = open_corpus(library, run.lineage["corpus"]["sha256"])
    slice_ = validation_slice(make_batches(corpus, tokenizer, run.spec.model, run.spec.train, "val"), 2)
    checked = 0
    for event in trainer.events():
        if isinstance(event, ValMetrics):
            model = trainer.model
            assert next(model.parameters()).dtype == torch.float32
            model.eval()
            with torch.no_grad():
                total = sum(float(weighted_nll(model, batch)) for batch in slice_)
            assert event.loss == pytest.approx(total / sum(float(batch.weights.sum()) for batch in slice_), rel=1e-6)
            checked += 1
    assert checked == 4


def test_chats_train_on_replies_and_sample_prompts_as_turns(library: Library, tiny_config: ModelConfig) -> None:
    chats = [
        {"messages": [{"role": "user", "content": f"Say {n}"}, {"role": "assistant", "content": f"{n}!"}]}
        for n in range(40)
    ]
    corpus = build_examples_corpus(library, chats[:30], chats[30:], "say", 0)
    spec = make_spec(library.home, tiny_config, context_loss_weight=0.0, prompts=("Say 3",))
    make_run(library, tiny_config)  # makes the byte tokenizer
    run = RunFolder.create(library, spec, "byte", corpus.sha)
    trainer = Trainer(run, library, device="cpu")
    data = make_batches(corpus, read_tokenizer(run.tokenizer_file), tiny_config, spec.train)
    batches = [data.batch(step) for step in range(spec.train.steps)]
    question = [{"role": "user", "content": "Say 3"}]
    events, first_loss = [], math.nan
    for event in trainer.events():
        events.append(event)
        if isinstance(event, SampleMade) and event.step == 0:
            assert event.prompt == "Say 3"
            ids, _ = encode_messages(trainer.tokenizer, question, add_generation_prompt=True)
            with torch.no_grad():
                probabilities = trainer.model(torch.tensor([ids]))[0, -1].softmax(-1)
                replies = batches[0].weights == 1
                nll = -trainer.model(batches[0].inputs).log_softmax(-1).gather(2, batches[0].targets[..., None])[..., 0]
            assert [p for _, p in event.top] == pytest.approx(probabilities.topk(10).values.tolist())
            first_loss = nll[replies].mean().item()
    metrics = of_kind(events, TrainMetrics)
    assert metrics[0].loss == pytest.approx(first_loss)
    assert metrics[-1].tokens == sum(int((batch.inputs != 0).sum()) for batch in batches)
    assert metrics[-1].tokens < sum(batch.inputs.numel() for batch in batches)  # padding is not counted


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "constant"])
def test_the_learning_rate_warms_up_and_falls(schedule: str) -> None:
    config = TrainConfig(steps=100, warmup_steps=10, schedule=schedule, min_lr_ratio=0.1)
    course = [lr_factor(step, config) for step in range(100)]
    assert course[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert course[10] == 1
    assert course[-1] == pytest.approx(1.0 if schedule == "constant" else 0.1)
    assert course[10:] == sorted(course[10:], reverse=True)
    assert course.count(1.0) == {"constant": 91, "wsd": 91 - 36}.get(schedule, 2)  # the last of the warm-up is one, too
    assert lr_factor(0, TrainConfig(steps=1, warmup_steps=0)) == 1
    assert lr_factor(4, TrainConfig(steps=5, warmup_steps=50)) == 0.1


def test_save_sample_and_learning_rate_act_at_the_next_boundary(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, schedule="constant", warmup_steps=0, checkpoint_interval=100)
    trainer = Trainer(run, library, device="cpu")
    events = []
    for event in trainer.events():
        events.append(event)
        if isinstance(event, TrainMetrics) and event.step == 2:
            trainer.save()
            trainer.sample("Ben has")
            trainer.set_lr(0.5)
    assert [event.step for event in of_kind(events, Saved)] == [2, 10]
    assert [event.step for event in of_kind(events, SampleMade) if event.prompt == "Ben has"] == [2]
    lrs = [event.lr for event in of_kind(events, TrainMetrics)]
    assert lrs == [run.spec.train.lr] * 2 + [run.spec.train.lr / 2] * 8
    state = json.loads((run.checkpoint_path(10) / "state.json").read_text())
    assert state["lr_scale"] == 0.5
    with pytest.raises(ValueError, match="cannot be multiplied by nan"):
        trainer.set_lr(math.nan)


@pytest.mark.parametrize("status", ["stopped", "paused"])
def test_stop_with_keep_saves_the_current_step(library: Library, tiny_config: ModelConfig, status: str) -> None:
    run = make_run(library, tiny_config)
    trainer = Trainer(run, library, device="cpu")
    events = []
    for event in trainer.events():
        events.append(event)
        if isinstance(event, TrainMetrics) and event.step == 4:  # a validation is due, too
            trainer.request_stop(keep=True, status=status)
    told = [type(event) for event in events if not isinstance(event, Noted)]
    assert told[-3:] == [TrainMetrics, Saved, Finished]
    assert [event.event for event in events if isinstance(event, Noted)] == ["started", "saved", "saved", status]
    assert events[-1] == Finished(run_id=run.id, status=status, step=4)
    assert library.list_runs()[0].status == status
    assert run.latest_checkpoint() == run.checkpoint_path(4)


def test_stop_without_keep_leaves_the_last_checkpoint(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 5:
            trainer.request_stop(keep=False)
    assert run.latest_checkpoint() == run.checkpoint_path(3)
    assert library.list_runs()[0].status == "stopped"
    assert trainer.step == 5


def test_a_stop_before_the_start_takes_effect(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    trainer = Trainer(run, library, device="cpu")
    with pytest.raises(ValueError, match="not built yet"):
        _ = trainer.model
    trainer.request_stop()
    events = list(trainer.events())
    assert of_kind(events, TrainMetrics) == []
    assert events[-1] == Finished(run_id=run.id, status="stopped", step=0)
    assert library.list_runs()[0].status == "stopped"


def test_time_spent_by_the_caller_does_not_count(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.001  # each look at the clock takes a while, so that nothing is for free
        return now[0]

    monkeypatch.setattr("time.perf_counter", clock)
    run = make_run(library, tiny_config, sample_interval=0)
    for _ in Trainer(run, library, device="cpu").events():
        now[0] += 1000
    assert run.read_metrics()[-1]["elapsed_s"] < 10


def test_the_time_left_is_that_of_this_session() -> None:
    eta = EtaEstimator(seconds=500.0, step=100)  # resumed after 500 s
    assert eta.seconds_left(510.0, 101, 111) == pytest.approx(10 * 510 / 101)  # the first step warms up …
    assert eta.seconds_left(511.0, 102, 111) == pytest.approx(9)  # … and does not count
    assert eta.seconds_left(515.0, 104, 111) == pytest.approx(7 * 5 / 3)


def test_metrics_are_the_same_on_every_first_run(library: Library, tiny_config: ModelConfig) -> None:
    one, two = (make_run(library, tiny_config, steps=5) for _ in range(2))
    train(one, library)
    torch.rand(3)
    train(two, library)
    assert numbers(one) == numbers(two)
    other_seed = make_run(library, tiny_config, steps=5, seed=1)
    train(other_seed, library)
    assert numbers(other_seed) != numbers(one)
