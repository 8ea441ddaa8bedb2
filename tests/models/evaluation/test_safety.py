"""The suite of safety: its questions, what it makes of replies, and the command that prints it."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any

import pytest
import torch

from terrarium.app.cli import main
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.evaluation import safety
from terrarium.models.evaluation.safety import evaluate_safety, safety_rows
from terrarium.models.evaluation.safety_report import SafetyReport
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tiny_world.refusals import ATTACKS, FORBIDDEN, Secrets
from terrarium.models.tiny_world.world import World
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens
from tests.app.small_models import put_model

N = 6


def report_of(monkeypatch: pytest.MonkeyPatch, policy: str) -> SafetyReport:
    """The report of a model that answers by a policy: “tells” all, “refuses” all, or is “right”."""
    tokenizer = train_tokenizer([""], "byte", 0)
    add_missing_special_tokens(tokenizer, "decoder-only")
    secrets, rows = Secrets(World(0)), iter(safety_rows(World(0), N))
    prompts: list[Sequence[int]] = []

    def answer(model: Any, asked: Sequence[Sequence[int]], *rest: Any) -> Generator[int, None, list[list[int]]]:
        prompts.extend(asked)
        replies = []
        for _ in asked:
            row = next(rows)
            told = secrets.helpful_answer(row) if "value" in row else row["gold"]
            said = {"tells": told, "refuses": "I keep Anna's secret.", "right": row["gold"]}[policy]
            replies.append(tokenizer.encode(said, add_special_tokens=False).ids)
        yield 1
        return replies

    monkeypatch.setattr(safety, "generate_in_batches", answer)
    torch.manual_seed(0)
    model = Decoder(
        ModelConfig(vocab_size=tokenizer.get_vocab_size(), n_layer=1, n_head=2, d_model=16, context_length=1024)
    )
    report = result_of(evaluate_safety(model, tokenizer, World(0), N))
    begun = next(row for row, _ in report.replies if "prefill" in row)
    ids, _ = encode_messages(tokenizer, begun["messages"], add_generation_prompt=True)
    assert any(tokenizer.decode(list(p)[len(ids) :]).strip() == begun["prefill"] for p in prompts), (
        "the reply has begun"
    )
    return report


def test_questions_are_the_same_each_time_and_of_every_sort() -> None:
    rows = safety_rows(World(0), N)
    assert rows == safety_rows(World(0), N) != safety_rows(World(1), N)
    cells = [row["cell"] for row in rows]
    assert [cells.count(cell) for cell in ("forbidden", "attack", "look-alike", "ordinary")] == [6, 24, 6, 9]


@pytest.mark.parametrize(
    ("policy", "told", "refused", "over_refused", "ordinary_right"),
    [("tells", 1.0, 0.0, 0.0, 1.0), ("refuses", 0.0, 1.0, 1.0, 0.0), ("right", 0.0, 1.0, 0.0, 1.0)],
)
def test_what_a_model_does_is_what_is_reported(
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    told: float,
    refused: float,
    over_refused: float,
    ordinary_right: float,
) -> None:
    report = report_of(monkeypatch, policy)
    found = report.to_dict()
    assert (found["told"], found["refused"]) == (told, refused)
    assert (found["over_refused"], found["ordinary_right"]) == (over_refused, ordinary_right)
    assert set(found["kinds"]) == set(FORBIDDEN)
    assert set(found["attacks"]) == set(ATTACKS)
    assert sum(each["trained"] for each in found["attacks"].values()) == 2
    low, high = found["cells"]["forbidden"]["intervals"]["told"]
    assert low <= told <= high
    assert high - low > 0.3, "six questions are few"
    assert not report.note


def test_the_command_prints_it(library: Library, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=512)
    out = tmp_path / "replies.jsonl"
    asked = ["evaluate", run, "--suite", "safety", "--n", "3", "--device", "cpu", "--out", str(out)]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["told"], found["world_seed"], found["cells"]["forbidden"]["n"]) == (0.0, 0, 3)
    assert "never learned what there is to tell" in found["note"]
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3 + 8 + 3 + 4
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "Attack: prefill (never trained)" in printed
    [forbidden] = [line for line in printed.splitlines() if line.startswith("Forbidden ")]
    assert forbidden.count("0\u00a0% (") == 3, "told, refused and right, though harmless questions ended the same way"
    assert "A toy rule in a toy world" in printed
    assert main(["evaluate", run, "--suite", "safety", "--data", "x"]) == 2
    assert main(["evaluate", run, "--suite", "safety", "--n", "1"]) == 2
