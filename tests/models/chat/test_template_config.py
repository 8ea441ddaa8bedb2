"""The chat settings of a model: read from its files, kept with an imported run; what ends its replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE

from terrarium.models.chat.own_template import CHAT_TEMPLATE
from terrarium.models.chat.template_config import ChatTemplateConfig, ReplyEnds, reply_ends, shown_template
from terrarium.models.interop.chat_templates import read_template_config
from terrarium.models.interop.importing import import_model
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import train_tokenizer
from tests.models.chat.test_chat_template import LLAMA2, NAMED_TOKENS, SMOLLM2
from tests.models.interop.support import change_config, drive, save_theirs
from tests.models.interop.test_decoders import llama

VICUNA = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }}{% else %} ASSISTANT: {{ m.content }}\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = train_tokenizer((), "byte", 0)
    made.add_special_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>", "<s>", "</s>")])
    return made


def test_what_ends_a_reply(tokenizer: Tokenizer) -> None:
    def ends(form: ChatTemplateConfig, template: str = "", **config: int) -> ReplyEnds:
        return reply_ends(ModelConfig(**config), tokenizer, form, template)

    own, im_end, eos = (tokenizer.token_to_id(token) for token in ("<|end|>", "<|im_end|>", "</s>"))
    assert ends(ChatTemplateConfig()) == ReplyEnds((own,))
    assert ends(ChatTemplateConfig(template=SMOLLM2), end_id=eos) == ReplyEnds((eos, im_end))
    assert ends(ChatTemplateConfig(template=SMOLLM2, end_ids=(im_end, 7)), end_id=eos) == ReplyEnds((im_end, 7, eos))
    assert ends(ChatTemplateConfig(template=LLAMA2, named_tokens=NAMED_TOKENS), end_id=9) == ReplyEnds((9, eos))
    assert ends(ChatTemplateConfig(template=VICUNA), end_id=9) == ReplyEnds((9,), ("\nUSER: ",))
    assert ends(ChatTemplateConfig(template=SMOLLM2), VICUNA, end_id=9) == ReplyEnds((9,), ("\nUSER: ",))
    assert ends(ChatTemplateConfig(template="{{ broken"), end_id=9) == ReplyEnds((9,))


def test_the_template_for_display(tokenizer: Tokenizer) -> None:
    assert shown_template(ChatTemplateConfig(template=SMOLLM2), tokenizer) == SMOLLM2
    assert shown_template(ChatTemplateConfig(), tokenizer) == CHAT_TEMPLATE.strip()
    assert shown_template(ChatTemplateConfig(), Tokenizer(BPE())) == ""


def test_the_chat_settings_of_an_imported_model(tokenizer: Tokenizer, library: Library, tmp_path: Path) -> None:
    source = save_theirs(llama(0, vocab_size=tokenizer.get_vocab_size()), tmp_path / "llama")
    tokenizer.save(str(source / "tokenizer.json"))
    (source / "chat_template.jinja").write_text(SMOLLM2)
    (source / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    said = {"eos_token_id": [6, 8], "temperature": 0.6, "top_p": 0.9, "do_sample": True, "top_k": None}
    (source / "generation_config.json").write_text(json.dumps(said))
    change_config(source, eos_token_id=[6, 8])
    expected = ChatTemplateConfig(
        template=SMOLLM2,
        named_tokens={"eos_token": "<|im_end|>"},
        end_ids=(6, 8),
        sampling={"temperature": 0.6, "top_p": 0.9},
    )
    assert read_template_config(source) == expected
    _, run = drive(import_model(source, library))
    assert read_template_config(run.folder) == expected
    assert read_template_config(run.folder / "checkpoints" / "step-00000000") == expected
    (run.folder / "chat_form.json").unlink()  # as older versions left it: its source still says it
    assert read_template_config(run.folder) == expected
    source.rename(tmp_path / "gone")
    assert read_template_config(run.folder) == ChatTemplateConfig()
    (run.folder / "chat_form.json").write_text("{}")
    with pytest.raises(ValueError, match=r"chat_form\.json is damaged"):
        read_template_config(run.folder)


def test_a_chat_model_without_recommended_settings_uses_careful_ones(tokenizer: Tokenizer, tmp_path: Path) -> None:
    source = save_theirs(llama(0, vocab_size=tokenizer.get_vocab_size()), tmp_path / "llama")
    tokenizer.save(str(source / "tokenizer.json"))
    assert read_template_config(source).sampling == {}
    (source / "chat_template.jinja").write_text(SMOLLM2)
    assert read_template_config(source).sampling["temperature"] < 0.5


def test_the_default_of_several_templates_is_used(tokenizer: Tokenizer, tmp_path: Path) -> None:
    source = save_theirs(llama(0, vocab_size=tokenizer.get_vocab_size()), tmp_path / "llama")
    tokenizer.save(str(source / "tokenizer.json"))
    several = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "{{ messages }}"}]
    (source / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}))
    assert read_template_config(source).template == "{{ messages }}"
    (source / "tokenizer_config.json").write_text(json.dumps({"chat_template": several[:1]}))
    assert read_template_config(source).template == ""
