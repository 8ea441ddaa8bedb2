"""Which runs a demonstration of alignment can start from."""

from __future__ import annotations

from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.bases import list_bases
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model


def test_a_base_with_a_damaged_evaluation_can_be_measured_again(library: Library) -> None:
    base = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=400)
    (library.runs / base / "evaluation.json").write_text('{"accuracy": "high"}')
    assert [(found.run_id, found.headline) for found in list_bases(library.list_runs())] == [(base, None)]
