"""Fine-tuning on conversations and pairs of texts: the loss and gradients of transformers on the exported weights."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.chat.template_config import ChatTemplateConfig, reply_ends, write_template_config
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.data.batches import Batches
from terrarium.models.events import SampleMade
from terrarium.models.interop.chat_templates import read_template_config
from terrarium.models.interop.export import export_hf
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tokenizers import decode, train_tokenizer
from terrarium.models.training.batches import make_batches
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.setup import TrainingContext, set_up
from terrarium.models.training.trainer import Trainer
from terrarium.models.training.update import compute_gradients
from tests.models.interop.support import drive
from tests.models.training.support import result_of

CONTEXT = 48
SMALL: dict[str, Any] = {"context_length": CONTEXT, "n_layer": 2, "d_model": 32, "n_head": 2}
DESIGNS = {
    "llama": dataclasses.replace(PRESETS["llama-tiny"], **SMALL, n_kv_head=1, d_ff=40),
    "gpt2": dataclasses.replace(PRESETS["gpt2-tiny"], **SMALL),
    "t5": dataclasses.replace(PRESETS["t5-tiny"], **SMALL),
    "bart": dataclasses.replace(PRESETS["bart-tiny"], **SMALL),
}
TRAIN = TrainConfig(steps=2, batch_size=2, grad_accum_steps=3, context_loss_weight=0.0, eval_interval=0, warmup_steps=0)
CHATS = [
    {"messages": [{"role": "user", "content": f"Say {i}" * (i % 3 + 1)}, {"role": "assistant", "content": f"{i}" * i}]}
    for i in range(1, 13)
] + [
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
            {"role": "assistant", "content": "Bye " * 20},  # beyond the context
        ]
    }
]
PAIRS = [{"source": f"{i} and {i + 1} " * (i % 3 + 1), "target": f"{2 * i + 1}" * (i % 5 + 1)} for i in range(12)]


def prepared(library: Library, config: ModelConfig, rows: list[Any], task: str, **train: Any) -> RunFolder:
    build_examples_corpus(library, rows, rows[:2], "rows", None, task=task)
    spec = RunSpec(
        name="tuned",
        model=config,
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(source="dataset", dataset="rows", task=task),
        train=dataclasses.replace(TRAIN, **train),
    )
    return result_of(prepare_run(library, spec))


def with_gradients(run: RunFolder, library: Library) -> tuple[TrainingContext, float]:
    """The gradients of the first step, in the model, and its loss."""
    context = result_of(set_up(run, library, "cpu", None))
    return context, result_of(compute_gradients(context, run.spec.train, 0)).loss


def micro_batches(batches: Batches, n: int) -> list[Any]:
    return [batches.batch(0, micro_step) for micro_step in range(n)]


def exported(model: AnyModel, tokenizer: Tokenizer, folder: Path, kind: Any) -> Any:
    _, path = drive(export_hf(model, tokenizer, folder))
    return kind.from_pretrained(path)


def gradients_as_weights(model: AnyModel) -> AnyModel:
    """A model whose weights are the gradients: an export only renames, splits and turns them."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for weight, parameter in zip(twin.parameters(), model.parameters(), strict=True):
            weight.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
    return twin


def assert_same_gradients(theirs: Any, expected: Any) -> None:
    wanted = dict(expected.named_parameters())
    assert any(parameter.grad is not None for parameter in theirs.parameters())
    frozen = {id(module.weight): module.padding_idx for module in theirs.modules() if isinstance(module, nn.Embedding)}
    for name, parameter in theirs.named_parameters():
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        padding = frozen.get(id(parameter))
        if padding is not None:  # torch gives that row no gradient, although BART's target starts with it
            found[padding] = wanted[name][padding]
        torch.testing.assert_close(found, wanted[name], rtol=1e-4, atol=1e-5, msg=lambda text: f"{name}: {text}")  # noqa: B023


def masked(targets: Tensor, weights: Tensor) -> Tensor:
    return torch.where(weights > 0, targets, -100)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_loss_and_gradients_of_replies_are_those_of_transformers(name: str, library: Library, tmp_path: Path) -> None:
    """Over three micro-batches of different lengths: num_items_in_batch is that of all of them together."""
    from transformers import AutoModelForCausalLM

    run = prepared(library, DESIGNS[name], CHATS[:12], "chat")
    context, loss = with_gradients(run, library)
    theirs = exported(context.model, context.tokenizer, tmp_path / "weights", AutoModelForCausalLM)
    batches = micro_batches(context.train_batches, 3)
    assert len({int((batch.weights > 0).sum()) for batch in batches}) > 1
    assert {float(weight) for batch in batches for weight in batch.weights.unique()} == {0.0, 1.0}
    n = sum(int((batch.weights > 0).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        ids = torch.cat((batch.inputs, batch.targets[:, -1:]), dim=1)
        labels = torch.cat((torch.full_like(ids[:, :1], -100), masked(batch.targets, batch.weights)), dim=1)
        of_batch = theirs(input_ids=ids, labels=labels, num_items_in_batch=n).loss
        of_batch.backward()
        total += of_batch.item()
    assert loss == pytest.approx(total, abs=1e-5)
    expected = exported(
        gradients_as_weights(context.model), context.tokenizer, tmp_path / "gradients", AutoModelForCausalLM
    )
    assert_same_gradients(theirs, expected)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_loss_and_gradients_of_targets_are_those_of_transformers(name: str, library: Library, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    run = prepared(library, DESIGNS[name], PAIRS, "text-to-text", context_loss_weight=1.0)
    context, loss = with_gradients(run, library)
    theirs = exported(context.model, context.tokenizer, tmp_path / "weights", AutoModelForSeq2SeqLM)
    batches = micro_batches(context.train_batches, 3)
    n = sum(int((batch.weights > 0).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        labels = masked(batch.targets, batch.weights)
        mask = torch.ones_like(batch.source) if batch.source_mask is None else batch.source_mask.long()
        out = theirs(input_ids=batch.source, attention_mask=mask, decoder_input_ids=batch.inputs, labels=labels)
        of_batch = out.loss * int((labels >= 0).sum()) / n  # these classes know no num_items_in_batch
        of_batch.backward()
        total += of_batch.item()
        shifted = theirs.prepare_decoder_input_ids_from_labels(labels=labels)
        assert torch.equal(shifted[labels >= 0], batch.inputs[labels >= 0])
    assert loss == pytest.approx(total, abs=1e-5)
    expected = exported(
        gradients_as_weights(context.model), context.tokenizer, tmp_path / "gradients", AutoModelForSeq2SeqLM
    )
    assert_same_gradients(theirs, expected)


def counted(tokenizer: Tokenizer, batches: Batches) -> list[str]:
    """What counts of each row of an epoch, as text."""
    texts = []
    for step in range(batches.n_batches):
        batch = batches.batch(step)
        for targets, weights in zip(batch.targets, batch.weights, strict=True):
            texts.append(decode(tokenizer, targets[weights > 0].tolist()))
    return texts


def test_replies_and_their_ends_count_and_cut_ones_stay_without_an_end(library: Library) -> None:
    run = prepared(library, DESIGNS["llama"], CHATS, "chat", batch_size=1, grad_accum_steps=1)
    context = result_of(set_up(run, library, "cpu", None))
    assert "1 of 13 examples are longer than 48 tokens: their replies are cut, and stay without an end token." in (
        context.notices
    )
    texts = counted(context.tokenizer, context.train_batches)
    assert len(texts) == 13
    whole = [text for text in texts if text.startswith(" ") and text.endswith("<|end|>") and text.count("<|end|>") == 1]
    assert sorted(whole) == sorted(f" {row['messages'][1]['content']}<|end|>" for row in CHATS[:12])
    (cut,) = set(texts) - set(whole)
    assert cut.startswith(" Hello<|end|> Bye Bye")
    assert cut.count("<|end|>") == 1


def test_a_pair_on_a_decoder_is_a_turn_and_its_reply(library: Library) -> None:
    run = prepared(library, DESIGNS["llama"], PAIRS, "text-to-text", batch_size=1, grad_accum_steps=1)
    context = result_of(set_up(run, library, "cpu", None))
    assert context.prompts_are_chat
    assert sorted(counted(context.tokenizer, context.train_batches)) == sorted(
        f" {row['target']}<|end|>" for row in PAIRS
    )
    seen = {tuple(row.tolist()) for step in range(12) for row in context.train_batches.batch(step).inputs}
    messages = [{"role": "user", "content": PAIRS[5]["source"]}, {"role": "assistant", "content": PAIRS[5]["target"]}]
    assert tuple(encode_messages(context.tokenizer, messages)[0][:-1]) in seen


def test_long_pairs_keep_their_target_and_the_end_of_their_source(library: Library, byte_tokenizer: Tokenizer) -> None:
    rows = [{"source": "a" * 99, "target": "b"}, {"source": "c", "target": "d" * 99}]
    corpus = build_examples_corpus(library, rows, rows, "long", None, task="text-to-text")
    config = dataclasses.replace(DESIGNS["t5"], vocab_size=byte_tokenizer.get_vocab_size())
    batch = make_batches(corpus, byte_tokenizer, config, TRAIN, "val").batch(0)
    assert batch.source is not None
    sources = {decode(byte_tokenizer, [id for id in row if id]) for row in batch.source.tolist()}
    assert sources == {"a" * 47 + "<|end|>", "c<|end|>"}
    targets = {
        decode(byte_tokenizer, row[weight > 0].tolist())
        for row, weight in zip(batch.targets, batch.weights, strict=True)
    }
    assert targets == {"b<|end|>", "d" * 48}


CHATML = (
    "{% for m in messages %}{{ '<|user|>' + m['role'] + ':' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|user|>assistant:' }}{% endif %}"
)


def test_the_template_that_the_model_came_with_is_used(library: Library) -> None:
    run = prepared(
        library, DESIGNS["llama"], CHATS[:6], "chat", prompts=("Say 3",), sample_interval=1, grad_accum_steps=1, steps=1
    )
    write_template_config(run.folder, ChatTemplateConfig(template=CHATML))
    trainer = Trainer(run, library, device="cpu")
    events = list(trainer.events())
    assert any(isinstance(event, SampleMade) for event in events)
    context = trainer.context
    texts = counted(context.tokenizer, context.train_batches)
    assert sorted(set(texts)) == sorted(f"{row['messages'][1]['content']}<|end|>" for row in CHATS[:6])
    first = context.train_batches.batch(0).inputs[0].tolist()
    assert decode(context.tokenizer, first).startswith("<|user|>user:Say ")


def test_padding_is_told_by_its_place_and_not_by_its_id(library: Library) -> None:
    """Where the tokens of a foreign tokenizer have the id of our padding, they still count."""
    batch = micro_batches(
        result_of(set_up(prepared(library, DESIGNS["llama"], CHATS, "chat"), library, "cpu", None)).train_batches, 1
    )[0]
    lengths = [len(row) - int((row == 0).flip(0).cumprod(0).sum()) for row in batch.inputs]
    assert batch.n_tokens == sum(lengths)


def test_an_encoder_learns_no_conversations(library: Library, byte_tokenizer: Tokenizer) -> None:
    corpus: Corpus = build_examples_corpus(library, CHATS, CHATS, "talks", None, task="chat")
    config = ModelConfig(topology="encoder-only", vocab_size=300, **SMALL)
    with pytest.raises(ValueError, match=r"'talks' is a dataset for conversations, which this design \(encoder-only\)"):
        make_batches(corpus, byte_tokenizer, config, TRAIN)


def test_a_model_that_never_saw_a_template_learns_a_plain_one(library: Library, tmp_path: Path) -> None:
    """A GPT-2 from elsewhere has no tokens for turns: its tuned run keeps the template, and a chat ends its replies."""
    tokenizer = train_tokenizer(["Say 1 and 2 and 3."], "bpe", 280)
    names = {f"<|{role}|>": f"<|unused_{i}|>" for i, role in enumerate(("user", "assistant", "system"))}
    text = tokenizer.to_str()
    for name, other in names.items():
        text = text.replace(name, other)
    plain = Tokenizer.from_str(text.replace("<|end|>", "<|endoftext|>"))
    torch.manual_seed(0)
    config = dataclasses.replace(DESIGNS["gpt2"], vocab_size=plain.get_vocab_size())
    _, folder = drive(export_hf(build_model(config), plain, tmp_path / "gpt2"))
    build_examples_corpus(library, CHATS[:6], CHATS[:2], "rows", None, task="chat")
    spec = RunSpec(
        name="tuned",
        model=config,
        tokenizer=TokenizerSpec(),
        data=DataSpec(source="dataset", dataset="rows", task="chat"),
        train=dataclasses.replace(TRAIN, optimizer="adamw", batch_size=1),
        tune=TuneSpec(parent=str(folder)),
    )
    run = result_of(prepare_run(library, spec))
    context = result_of(set_up(run, library, "cpu", None))
    assert any("learns conversations as lines of “User: …” and “Assistant: …”" in said for said in context.notices)
    found = counted(context.tokenizer, context.train_batches)
    assert len(found) > 3
    assert set(found) <= {f" {row['messages'][1]['content']}<|endoftext|>" for row in CHATS[:6]}
    kept = read_template_config(run.folder)
    ends = reply_ends(context.model.config, context.tokenizer, kept)
    assert ends.ids == (context.tokenizer.token_to_id("<|endoftext|>"),)


def test_plain_texts_that_are_cut_are_not_called_replies(library: Library) -> None:
    run = prepared(library, DESIGNS["llama"], [{"text": "word " * n} for n in range(1, 21)], "language")
    notices = result_of(set_up(run, library, "cpu", None)).notices
    assert "11 of 20 examples are longer than 48 tokens: they are cut, and stay without an end token." in notices
