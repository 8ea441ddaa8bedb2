"""Predictions with probabilities, answers over windows, texts in batches; scores of them, and the command for it."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
import torch

from terrarium.app.cli import main
from terrarium.models import load_model
from terrarium.models.architecture.transformer import build_model
from terrarium.models.data.examples import fit_source
from terrarium.models.events import Progress, result_of
from terrarium.models.inference import prefill
from terrarium.models.inference.beam import beam_search
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tasks import predicting, writing
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.evaluating import read_task_rows
from terrarium.models.tasks.predicting import predict, predict_items
from terrarium.models.tasks.writing import Writing, write_texts
from terrarium.models.tokenizers.special_tokens import end_id, start_id
from tests.models.tasks.small_tasks import DESIGNS, driven, make_dataset, make_row, make_task_run, word_tokenizer
from tests.models.training.support import train


def make_model(topology: str, task: str, labels: tuple[str, ...] = ("x", "y")) -> torch.nn.Module:
    torch.manual_seed(0)
    config = dataclasses.replace(DESIGNS[topology], vocab_size=word_tokenizer().get_vocab_size(), init_std=0.4)
    return build_model(config.for_task(task, labels)).eval()


@pytest.mark.parametrize("topology", DESIGNS)
def test_a_batch_predicts_what_each_row_alone_does(topology: str) -> None:
    model, tokenizer = make_model(topology, "classification"), word_tokenizer()
    rows = [{"text": text} for text in ("anna smiles", "ben cries in rome", "carl", "dora sings in oslo")]
    together = result_of(predict(model, tokenizer, "classification", rows, ("x", "y")))
    for row, expected in zip(rows, together, strict=True):
        (alone,) = result_of(predict(model, tokenizer, "classification", [row], ("x", "y")))
        assert alone.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert sum(alone.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert alone.score == max(alone.probabilities.values())


@pytest.mark.parametrize("task", ["classification", "span"])
def test_very_many_rows_are_predicted_some_at_a_time(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, rng = make_model("encoder-only", task), word_tokenizer(), random.Random(1)
    rows = [make_row(task, rng) for _ in range(11)]
    labels = ("x", "y") if task == "classification" else ()
    whole = result_of(predict(model, tokenizer, task, rows, labels))
    monkeypatch.setattr(predicting, "POOL_SIZE", 4)
    events, found = driven(predict(model, tokenizer, task, rows, labels, batch_size=2))
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (done[-1], events[-1].total) == (11, 11)
    for one, other in zip(whole, found, strict=True):
        assert one.value == other.value
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_the_best_answer_of_all_windows_is_taken() -> None:
    """Compared with all spans of all windows, one by one."""
    model, tokenizer = make_model("encoder-only", "span"), word_tokenizer()
    config: ModelConfig = model.config
    context = " ".join(["anna has key and ben has lamp in rome and carl took hat"] * 3)
    row = {"question": "what has ben ?", "context": context}
    encoder = TaskEncoder(config, tokenizer, "span")
    items = encoder.items([row], has_targets=False)
    assert len(items) > 2
    best, none = (-1e9, ""), 1e9
    with torch.no_grad():
        for item in items:
            batch = encoder.batch([item])
            logits = model(batch.inputs, mask=batch.mask)[0]
            assert batch.candidates is not None
            logs = logits.masked_fill(~batch.candidates[0][:, None], float("-inf")).log_softmax(0)
            none = min(none, float(logs[0].sum()))
            for i, (start, _) in enumerate(item.offsets):
                for j in range(i, min(i + 30, len(item.offsets))):
                    score = float(logs[item.context_start + i, 0] + logs[item.context_start + j, 1])
                    best = max(best, (score, context[start : item.offsets[j][1]].strip()))
    (found,) = result_of(predict_items(model, encoder, [row]))
    assert found.value == ("" if none >= best[0] else best[1])
    if found.value:
        start = found.details["start"]
        assert context[start : start + len(found.value)] == found.value


def test_texts_written_in_a_batch_are_those_written_alone() -> None:
    model, tokenizer = make_model("encoder-decoder", "text-to-text"), word_tokenizer()
    sources = ["anna smiles", "ben cries in rome", "carl took key", "dora"]
    together = result_of(write_texts(model, tokenizer, sources, Writing(max_tokens=8)))
    for source, expected in zip(sources, together, strict=True):
        assert result_of(write_texts(model, tokenizer, [source], Writing(max_tokens=8))) == [expected]
    beams = result_of(write_texts(model, tokenizer, sources[:1], Writing(max_tokens=8, n_beam=3)))
    from terrarium.models.inference.prompts import encode_for

    best = beam_search(
        model,
        encode_for(model.config, tokenizer, sources[0]),
        n_beam=3,
        max_tokens=8,
        start_id=start_id(model.config, tokenizer),
        end_id=end_id(tokenizer, model.config),
    )[0]
    assert beams == [tokenizer.decode(list(best.ids)).strip()]


@pytest.mark.parametrize("topology", ["encoder-decoder", "decoder-only"])
@pytest.mark.parametrize("n_beam", [1, 2])
def test_writing_can_be_closed_between_tokens(topology: str, n_beam: int) -> None:
    """Stop acts at an event, and a batch of long texts takes long."""
    model, tokenizer = make_model(topology, "text-to-text").train(), word_tokenizer()
    sources = ["anna smiles", "ben cries in rome"]
    how = Writing(max_tokens=6, n_beam=n_beam)
    steps = write_texts(model, tokenizer, sources, how)
    assert next(steps) == Progress(done=0, total=2), "before the first text ended"
    assert not torch.is_inference_mode_enabled()
    assert model.training
    steps.close()
    *_, last = write_texts(model, tokenizer, sources, how)
    assert last == Progress(done=2, total=2)


def test_of_a_large_model_fewer_texts_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the prompts of a batch must not take long either; the texts are the same."""
    model, tokenizer = make_model("decoder-only", "text-to-text"), word_tokenizer()
    sources = ["anna smiles", "ben cries in rome", "carl took key", "dora"]
    expected = result_of(write_texts(model, tokenizer, sources, Writing(max_tokens=4)))
    monkeypatch.setattr(prefill, "CHUNK_FLOPS", {"cpu": 0.0})
    monkeypatch.setattr(writing, "CHUNKS_AT_ONCE", 1)
    events, texts = driven(write_texts(model, tokenizer, sources, Writing(max_tokens=4)))
    assert texts == expected
    assert len({event.done for event in events}) > 2, "in several batches"


def test_a_long_source_is_cut_as_in_training() -> None:
    model, tokenizer = make_model("encoder-decoder", "text-to-text"), word_tokenizer()
    n = model.config.context_length
    long, as_read = (" ".join(["anna", *["smiles"] * n, *tail]) for tail in (["rome"], []))
    written = result_of(write_texts(model, tokenizer, [long, as_read], Writing(max_tokens=8)))
    assert written[0] == written[1], "both are read up to the same word"
    end = end_id(tokenizer, model.config)
    assert fit_source([*range(n + 5), end], n) == [*range(n - 1), end]


def test_a_prompt_that_does_not_fit_is_answered_with_nothing() -> None:
    model, tokenizer = make_model("decoder-only", "text-to-text"), word_tokenizer()
    rows = [{"source": "anna smiles " * 20}, {"source": "ben cries"}]
    found = result_of(predict(model, tokenizer, "text-to-text", rows, writing=Writing(max_tokens=4)))
    assert found[0].value == ""
    assert found[1] == result_of(predict(model, tokenizer, "text-to-text", rows[1:], writing=Writing(max_tokens=4)))[0]
    with pytest.raises(ValueError, match="the model's context takes 24"):
        result_of(write_texts(model, tokenizer, [rows[0]["source"]], Writing()))


def test_another_head_or_number_of_labels_is_one_sentence() -> None:
    tokenizer = word_tokenizer()
    with pytest.raises(ValueError, match="cannot be predicted by this model, which is with the head 'token'"):
        result_of(predict(make_model("encoder-only", "tagging"), tokenizer, "classification", [], ("x", "y")))
    with pytest.raises(ValueError, match="The model has 2 outputs, but there are 3 labels"):
        result_of(predict(make_model("encoder-only", "tagging"), tokenizer, "tagging", [], ("x", "y", "z")))


@pytest.mark.parametrize("task", ["tagging", "span"])
def test_a_model_whose_weights_diverged_is_one_sentence(task: str) -> None:
    model, row = make_model("encoder-only", task), make_row(task, random.Random(0))
    with torch.no_grad():
        model.embedding.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"not finite|diverged"):
        result_of(predict(model, word_tokenizer(), task, [row], ("x", "y") if task == "tagging" else ()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    library = Library(tmp_path_factory.mktemp("home"))
    make_dataset(library, "classification")
    made = make_task_run(
        library, "classification", "decoder-only", steps=30, prompts=("anna smiles",), sample_interval=30
    )
    train(made, library)
    return made


def test_a_pinned_prompt_shows_its_label(run: RunFolder) -> None:
    (sample,) = [row for row in run.read_samples() if row["step"] == 30]
    assert sample["text"].startswith(" → ")
    assert any(label in sample["text"] for label in run.spec.data.labels)


def test_evaluate(run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(run.folder.parent.parent))
    assert main(["evaluate", run.id, "--json", "--worst", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["task"], said["metric"], said["n"]) == ("classification", "macro_f1", 60)
    assert said["interval"][0] <= said["score"] <= said["interval"][1]
    assert len(said["worst"]) == 2
    path = Path(said["predictions"])
    assert path == run.folder / "scores" / "classification-test.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(rows) == 60
    assert {"row", "gold", "prediction", "score", "item_score", "probabilities"} <= rows[0].keys()
    right = sum(row["gold"] == row["prediction"] for row in rows) / 60
    assert said["scores"]["accuracy"]["value"] == pytest.approx(right)
    assert json.loads(path.with_suffix(".json").read_text("utf-8"))["headline"] == "macro_f1"

    assert main(["evaluate", run.id, "--data", "classification", "--split", "val"]) == 0
    assert capsys.readouterr().out.startswith("Classification · classification, val · 60 rows\nMacro F1 ")


def test_evaluate_refuses_in_one_sentence(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(run.folder.parent.parent))
    for text, words in (
        ("", "is empty: choose a file with data in it"),
        ('{"text": "a", "label": "glad"}\n{"text": "a"\n', "line 2: not JSON"),
        ('{"text": "a"}', "row 1: it has no column 'label'"),
    ):
        file = tmp_path / "rows.jsonl"
        file.write_text(text, "utf-8")
        assert main(["evaluate", run.id, "--data", str(file)]) == 1
        assert words in capsys.readouterr().err
    assert main(["evaluate", run.id, "--data", "none such"]) == 1
    assert "no dataset called 'none such'" in capsys.readouterr().err


def test_rows_of_a_file_need_a_task(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "label": "x"}\n', "utf-8")
    library = Library(tmp_path / "home")
    with pytest.raises(ValueError, match="not known what task"):
        read_task_rows(library, str(file))
    assert read_task_rows(library, str(file), "classification").name == "rows"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "text,label\na b,x\n"),
        ("a.csv", "review,sentiment\na b,x\nb c,y\nc a,x\nd a,y\n"),
        ("a.json", '[{"text": "a b", "label": "x"}]'),
        ("a.jsonl", '{"review": "a b", "sentiment": "x"}\n{"review": "b", "sentiment": "y"}\n' * 3),
    ],
)
def test_rows_of_any_format_are_scored(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    first = read_task_rows(Library(tmp_path / "home"), str(file), "classification").rows[0]
    assert (first["text"], first["label"]) == ("a b", "x")


def test_columns_that_nothing_names_are_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("one,two\n1,2\n3,4\n", "utf-8")
    with pytest.raises(ValueError, match="nothing says which of its columns are text and label: name them so"):
        read_task_rows(Library(tmp_path / "home"), str(file), "classification")


def test_a_run_keeps_its_labels_when_it_is_imported(run: RunFolder, tmp_path: Path) -> None:
    from terrarium.models.interop.export import export_hf
    from terrarium.models.interop.importing import import_model

    model, tokenizer = load_model(run.folder)
    data = run.spec.data
    folder = result_of(export_hf(model, tokenizer, tmp_path / "out", labels=data.labels))
    for source in (run.folder, folder):
        again = result_of(import_model(source, Library(tmp_path / "home")))
        assert (again.spec.data.task, again.spec.data.labels) == ("classification", data.labels)
