"""How good a model is, in words, by its own measured numbers; and what is read of a library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from terrarium.app.home.library_overview import MAX_SHOWN, describe_quality, read_overview
from terrarium.models.evaluation.record import write_comparison
from terrarium.models.events import TextCompared
from terrarium.models.library.library import Library
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_record import RunInfo
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from tests.models.runs_on_disk import put_run


def spec(source: str) -> RunSpec:
    tokenizer = TokenizerSpec(kind="byte")
    return RunSpec(
        name="a", model=ModelConfig(), tokenizer=tokenizer, data=DataSpec(source=source), train=TrainConfig()
    )


def info(source: str = "stdlib", **values: Any) -> RunInfo:
    known = {"status": "finished", "step": 100, "total_steps": 100, "spec": spec(source)}
    return RunInfo(**{"id": "a", "name": "a", "folder": Path("a"), "created": "", **known, **values})


@pytest.mark.parametrize(
    ("run", "questions", "pronouns", "words"),
    [
        (info(), 0.976, None, "Right in 98 of 100 questions it had never seen"),
        (info(), 0.9999, None, "Right in 99 of 100 questions it had never seen"),
        (info(), 1.0, None, "Right in 100 of 100 questions it had never seen"),
        (info("pronouns"), None, 0.5, "Knows what “it” is in 50 of 100 sentences it had never seen"),
        (info(best_loss=1.629), None, None, "Hesitates between about 5.1 tokens (validation loss 1.63)"),
        (info(best_loss=3.0), None, None, "Hesitates between about 20 tokens (validation loss 3.00)"),
        (info("pronouns", best_loss=0.5), None, None, "Validation loss 0.500"),
        (info(best_loss=1.0, best_metric=("macro_f1", 0.976)), None, None, "Macro F1 97.6\N{NO-BREAK SPACE}%"),
        (info(), None, None, "Not measured"),
        (info(status="running", step=39, total_steps=418, best_loss=6.9), None, None, "Still learning"),
        (info(status="imported", step=0, total_steps=0), None, None, "Imported"),
        (
            info(status="interrupted", step=300, total_steps=2400),
            0.5,
            None,
            "Right in 50 of 100 questions it had never seen; interrupted at step 300 of 2,400",
        ),
    ],
)
def test_quality_is_said_in_words(run: RunInfo, questions: float | None, pronouns: float | None, words: str) -> None:
    assert describe_quality(run, questions, pronouns) == words


@pytest.mark.parametrize(("bits", "title", "is_grown"), [(1.9, "has grown", True), (2.4, "is half grown", False)])
def test_a_model_of_a_text_is_told_beside_a_table(tmp_path: Path, bits: float, title: str, is_grown: bool) -> None:
    library = Library(tmp_path)
    folder = put_run(library, "writer", ModelConfig(n_layer=1, d_model=16, n_head=2, vocab_size=300))
    compared = TextCompared(
        n_held_out=9, n_train=90_000, gzip=2.6, trigram=2.9, table=2.0, table_order=7, model=bits, step=5
    )
    write_comparison(folder, compared)
    overview = read_overview(library, RunIndex(library.runs))
    assert overview.models[0].quality == f"{bits:.2f} bits per byte of unseen text; the best table of letters: 2.00"
    assert overview.newest is not None
    assert (overview.newest.title, overview.newest.is_grown) == (title, is_grown)


def test_an_overview_tells_what_was_grown_and_tried(tmp_path: Path) -> None:
    library = Library(tmp_path)
    assert read_overview(library, RunIndex(library.runs)).newest is None
    put_run(library, "writer", ModelConfig(n_layer=1, d_model=16, n_head=2, vocab_size=300))
    encoder = ModelConfig(n_layer=1, d_model=16, n_head=2, vocab_size=300, topology="encoder-only")
    put_run(library, "zz encoder", encoder)  # the newest, but it writes nothing
    found = read_overview(library, RunIndex(library.runs))
    assert [model.name for model in found.models] == ["zz encoder", "writer"]
    assert [model.writes for model in found.models] == [False, True]
    assert found.newest is not None
    assert found.newest.name == "writer"
    assert not found.has_chatted
    library.chats.mkdir(parents=True)
    (library.chats / "one.json").write_text("{}", encoding="utf-8")
    assert read_overview(library, RunIndex(library.runs)).has_chatted


def test_the_model_that_learned_longest_is_shown_beside_newer_ones(tmp_path: Path) -> None:
    library, config = Library(tmp_path), ModelConfig(n_layer=1, d_model=16, n_head=2, vocab_size=300)
    put_run(library, "a long one", config, step=2000)
    for i in range(MAX_SHOWN + 1):
        put_run(library, f"short {i}", config)
    found = read_overview(library, RunIndex(library.runs))
    assert found.n_models == MAX_SHOWN + 2
    newest = [f"short {MAX_SHOWN - i}" for i in range(MAX_SHOWN - 1)]
    assert [model.name for model in found.models] == [*newest, "a long one"]
