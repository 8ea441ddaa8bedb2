"""Sharing a model: the file, the Modelfile beside it, and what the format costs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import CHAT_TEMPLATE, render_chat
from terrarium.models.chat.template_config import PLAIN_TEMPLATE, ChatTemplateConfig
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import Notice
from terrarium.models.inference.held_out import held_out, held_out_replies, held_out_texts
from terrarium.models.inference.measure_weights import nats
from terrarium.models.inference.weight_kinds import GGUF_FORMATS
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.publish.ollama import message_form, modelfile, ollama_commands, ollama_name
from terrarium.models.interop.publish.share import gguf_sizes, share_gguf
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import decode, train_tokenizer
from tests.models.interop.publish.test_gguf_export import LLAMA
from tests.models.interop.support import drive
from tests.models.interop.test_export import random_model
from tests.runs_on_disk import make_run

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Who are you?"},
]
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["Anna has a red ball, isn't it? Ben's 12 bells 345."] * 9, "bpe", 300)


@pytest.fixture
def source(bpe: Tokenizer, tmp_path: Path) -> Path:
    _, out = drive(export_hf(random_model(LLAMA), bpe, tmp_path / "source"))
    return out


def test_our_template_becomes_one_of_gos() -> None:
    form = message_form(CHAT_TEMPLATE, ChatTemplateConfig())
    assert form is not None
    assert form.text(TALK) == render_chat(TALK, add_generation_prompt=True)
    assert form.go() == "{{ range .Messages }}<|{{ .Role }}|> {{ .Content }}<|end|>{{ end }}<|assistant|>"


def test_a_template_with_a_default_system_message() -> None:
    form = message_form(CHATML, ChatTemplateConfig())
    assert form is not None
    assert form.text(TALK[1:]).startswith("<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n")
    assert form.go() == (
        '{{ if ne (index .Messages 0).Role "system" }}<|im_start|>system\nYou help.<|im_end|>\n{{ end }}'
        "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    )


def test_roles_that_are_written_in_different_ways() -> None:
    form = message_form(PLAIN_TEMPLATE, ChatTemplateConfig(named_tokens={"eos_token": "</s>"}))
    assert form is not None
    assert form.go() == (
        '{{ range .Messages }}{{ if eq .Role "system" }}System: {{ .Content }}\n'
        '{{ else if eq .Role "user" }}User: {{ .Content }}\n'
        '{{ else if eq .Role "assistant" }}Assistant: {{ .Content }}</s>\n{{ end }}{{ end }}Assistant:'
    )


def test_a_template_that_does_more_is_left_out(bpe: Tokenizer) -> None:
    upper = "{% for message in messages %}{{ message['content'] | upper }}{% endfor %}"
    assert message_form(upper, ChatTemplateConfig()) is None
    assert message_form("{{ raise_exception('no') }}", ChatTemplateConfig()) is None
    assert "TEMPLATE" not in modelfile("x.gguf", LLAMA, bpe, upper, ChatTemplateConfig(template=upper))
    assert 'TEMPLATE """{{ .Prompt }}"""' in modelfile("x.gguf", LLAMA, bpe, "", ChatTemplateConfig())


def test_names_and_commands() -> None:
    assert ollama_name("Tiny World 3: Übung") == "tiny-world-3-bung"
    assert ollama_commands(Path("/a b/Tiny World.Modelfile")) == (
        'ollama create tiny-world -f "/a b/Tiny World.Modelfile"',
        "ollama run tiny-world",
    )
    assert ollama_commands(Path("a.Modelfile"), makes_embeddings=True)[1] == (
        """curl http://localhost:11434/api/embed -d '{"model": "a", "input": "A text."}'"""
    )


def test_a_shared_model_is_measured(source: Path, library: Library, tmp_path: Path) -> None:
    sizes = gguf_sizes(source)
    assert list(sizes) == list(GGUF_FORMATS)
    out = tmp_path / "shared" / "My model"
    events, shared = drive(share_gguf(source, out, library, quantisation="Q4_0", licence="mit"))
    assert shared.path == tmp_path / "shared" / "My model.gguf"
    template = 200 + len(CHAT_TEMPLATE)  # what the sizes shown before do not count: name, licence, chat template
    assert 0 <= shared.n_bytes - sizes["Q4_0"] < template
    assert shared.path.stat().st_size == shared.n_bytes
    assert any("My model.gguf takes" in event.sentence for event in events if isinstance(event, Notice))
    assert shared.perplexity is not None
    before, after = shared.perplexity
    assert before != after
    assert after == pytest.approx(before, rel=0.3)
    assert shared.n_predicted > 100
    assert shared.modelfile is not None
    written = shared.modelfile.read_text()
    assert written.startswith("FROM ./My model.gguf\n")
    assert 'PARAMETER stop "<|end|>"' in written
    assert "PARAMETER num_ctx 20" in written
    assert 'LICENSE """mit"""' in written
    with pytest.raises(ValueError, match=r"My model\.gguf exists already"):
        drive(share_gguf(source, out, library))


def test_a_model_trained_on_replies_is_measured_on_replies(bpe: Tokenizer, library: Library, tmp_path: Path) -> None:
    talks = [
        {"messages": [{"role": "user", "content": f"What has {name}?"}, {"role": "assistant", "content": "A ball."}]}
        for name in ("Anna", "Ben")
    ]
    corpus = build_examples_corpus(library, talks, talks, "talks", 0)
    lineage = {"corpus": {"name": "talks", "sha256": corpus.sha}}
    folder = make_run(library, LLAMA, "talker", lineage=lineage, context_loss_weight=0.0)
    found = held_out_replies(folder, bpe, library)
    assert found is not None
    assert found.label == "the replies in the validation texts of talks"
    for ids, counted, talk in zip(found.texts, found.counted, talks, strict=True):
        said = [id for id, is_counted in zip(ids, counted, strict=True) if is_counted]
        assert decode(bpe, said) == " A ball.<|end|>"
        assert len(ids) > len(said) > 2, talk
    assert held_out(folder, bpe, library) == found
    assert held_out_replies(tmp_path, bpe, library) is None
    on_all = make_run(library, LLAMA, "reader", lineage=lineage, context_loss_weight=1.0)
    assert held_out(on_all, bpe, library).counted == ()
    assert held_out(on_all, bpe, library) == held_out_texts(on_all, bpe, library)
    model = random_model(LLAMA)
    assert isinstance(model, Decoder)
    ids, counted = found.texts[0], found.counted[0]
    whole, replies = nats(model, ids), nats(model, ids, counted)
    others = [not each for each in counted]
    assert 0 < replies < whole
    assert whole == pytest.approx(replies + nats(model, ids, others), rel=1e-5)


def test_in_f32_nothing_is_lost(source: Path, library: Library, tmp_path: Path) -> None:
    _, shared = drive(share_gguf(source, tmp_path / "model.gguf", library, quantisation="F32"))
    assert shared.perplexity is not None
    assert shared.perplexity[0] == shared.perplexity[1]


def test_a_disk_without_room_and_a_name_that_is_none(
    source: Path, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="may not contain"):
        drive(share_gguf(source, tmp_path / "a?b", library))
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("terrarium.models.interop.publish.share.shutil.disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"needs .* free: choose another disk, or a smaller format"):
        drive(share_gguf(source, tmp_path / "model.gguf", library))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("model")] == []


def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export", str(source), "--format", "gguf", "--quantisation", "F16", "--out", str(tmp_path / "m")]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(tmp_path / "m.gguf")
    assert lines[1].endswith("as F16")
    assert lines[2].startswith("perplexity ")
    assert lines[3:] == [f'ollama create m -f "{tmp_path / "m.Modelfile"}"', "ollama run m"]
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_design_without_a_graph_is_refused_by_the_command(
    bpe: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistral = random_model(dataclasses.replace(LLAMA, sliding_window=4))
    _, out = drive(export_hf(mistral, bpe, tmp_path / "source"))
    assert main(["export", str(out), "--format", "gguf", "--out", str(tmp_path / "m")]) == 1
    assert "needs Sliding window 0 (here 4)" in capsys.readouterr().err
    assert not (tmp_path / "m.gguf").exists()
