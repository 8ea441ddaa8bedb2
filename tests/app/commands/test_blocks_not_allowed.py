"""Commands that reply refuse models whose blocks may not run here, in every role, and let them run by their hash."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.library.library import Library
from tests.app.small_models import put_model
from tests.models.own_blocks import WRITES, put_block

FORM = ChatTemplateConfig(template="{% for m in messages %}{{ m.content }};{% endfor %}")
SHORT = ["--max-tokens", "3", "--device", "cpu"]


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that the block's text writes when it runs."""
    return tmp_path / "it ran"


@pytest.fixture
def block(library: Library, byte_tokenizer: Tokenizer, ran: Path, monkeypatch: pytest.MonkeyPatch) -> CustomBlock:
    """The block of the runs `own` and `judge`, a reward model, which may not run; the run `plain` has none."""
    monkeypatch.delenv(store.TRUST_VARIABLE, raising=False)
    block = put_block(WRITES % str(ran))
    slots = {"context_length": 128, "feed_forward_block": str(block.reference)}
    put_model(library, byte_tokenizer, "decoder-only", name="own", form=FORM, **slots)
    put_model(library, byte_tokenizer, "decoder-only", name="judge", head="sequence", n_label=1, **slots)
    put_model(library, byte_tokenizer, "decoder-only", name="plain", form=FORM, context_length=128)
    store.withdraw(block.sha256)
    ran.unlink()
    return block


@pytest.mark.parametrize(
    "words",
    [
        ["chat", "own", *SHORT],
        ["chat", "own", "--weights", "int8", *SHORT],
        ["chat", "plain", "--draft", "own", *SHORT],
        ["chat", "own", "--draft", "plain", *SHORT],
        ["chat", "plain", "--best-of", "2", "--reward-model", "judge", *SHORT],
        ["generate", "own", "--prompt", "Anna", *SHORT],
        ["generate", "plain", "--prompt", "Anna", "--draft", "own", *SHORT],
        ["bench", "draft", "plain", "--draft", "own", "--device", "cpu"],
        ["bench", "draft", "own", "--draft", "plain", "--device", "cpu"],
        ["bench", "weights", "own", "--device", "cpu"],
    ],
    ids=" ".join,
)
def test_it_replies_only_if_it_is_trusted(
    words: list[str],
    block: CustomBlock,
    ran: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Anna\n"))
    assert main(words) == 1
    out, err = capsys.readouterr()
    (sentence,) = [line for line in err.splitlines() if line.startswith("terrarium: ")]
    assert sentence.endswith(f"--trust-block {block.sha256}.")
    assert "Traceback" not in err
    assert not out
    assert not ran.exists()
    other = block.sha256[::-1]
    assert main([*words, "--trust-block", other]) == 1
    assert not ran.exists()
    if words[0] != "bench":  # which would take seconds
        assert main([*words, "--trust-block", block.sha256]) == 0
        assert ran.exists()
    assert not store.is_allowed(block)
