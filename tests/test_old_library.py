"""A library that was written before the folders of the source were reordered still opens, and goes on exactly.

tests/old_library is what old code wrote (see make_old_library.py there), and what that code made of it.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytestqt.qtbot import QtBot

from terrarium.app.chat.archive.store import ChatIndex, ChatStore
from terrarium.app.chat.notebook.file import open_notebook
from terrarium.app.chat.settings.sampling_presets import SamplingPresets
from terrarium.app.session.designs import Designs
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.tokenizers import Tokenizers
from terrarium.app.session.trash import Trash
from terrarium.app.session.undo import Undo
from terrarium.app.worker.notices import Notices
from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from terrarium.models.corpora.corpus import list_corpora
from terrarium.models.evaluation.record import read_evaluation
from terrarium.models.events import Notice, TokenMade, result_of
from terrarium.models.inference.generate import generate
from terrarium.models.inference.prompts import encode_for
from terrarium.models.library.library import Library
from terrarium.models.library.trash import list_trash
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.runs.sweep import compare_runs, sweep_infos
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import load_tokenizer, read_about
from terrarium.models.training.prepare import prepare_queued
from terrarium.models.training.trainer import Trainer

OLD = Path(__file__).parent / "old_library"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text("utf-8"))
SAMPLING = SamplingConfig(
    temperature=0.7, top_k=9, min_p=0.02, stop=("The end",), logit_bias=((5, -1.5),), max_tokens=8
)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A copy of the old library, which is also the default one while the test runs."""
    home = tmp_path / "home"
    shutil.copytree(OLD / "library", home)
    monkeypatch.setenv("TERRARIUM_HOME", str(home))
    return Library()


def run_of(library: Library, which: str) -> RunFolder:
    """One of the old runs, by what expected.json calls it."""
    return RunFolder.open(library.find_run(EXPECTED["runs"][which]["id"]))


def as_json(value: Any) -> Any:
    """A value as it comes back from a JSON file: tuples are lists."""
    return json.loads(json.dumps(value))


# -- What is on the shelves --------------------------------------------------------------------------------------------


def test_the_runs_are_listed(library: Library) -> None:
    infos = {info.id: info for info in library.list_runs()}
    assert set(infos) == {about["id"] for about in EXPECTED["runs"].values()}
    for about in EXPECTED["runs"].values():
        info = infos[about["id"]]
        assert info.problem is None
        shown = {name: getattr(info, name) for name in ("id", "name", "status", "step", "total_steps", "tags", "notes")}
        assert as_json(shown | {"parent": info.parent}) == {k: v for k, v in about.items() if not k.startswith("n ")}
        run = RunFolder.open(info.folder)
        assert len(run.read_metrics()) == about["n metrics"]
        assert len(run.read_samples()) == about["n samples"]
        assert run.read_events()
        assert run.read_layers()
        assert run.read_attention()


def test_the_settings_of_a_run_are_as_they_were(library: Library) -> None:
    spec = run_of(library, "paused").spec
    assert (spec.model.n_layer, spec.model.d_model, spec.model.dropout, spec.model.conv_width) == (1, 16, 0.1, 4)
    assert (spec.model.position, spec.model.norm, spec.model.qk_norm) == ("rope", "rmsnorm", True)
    assert (spec.train.optimizer, spec.train.steps, spec.train.lr, spec.train.precision) == (
        "adamw",
        8,
        3e-3,
        "float32",
    )
    assert (spec.tokenizer.kind, spec.data.source, spec.data.files) == ("word", "files", ("stories.txt",))
    assert run_of(library, "finished").spec.train.optimizer == "muon"


def test_the_evaluation_is_there(library: Library) -> None:
    evaluated = read_evaluation(run_of(library, "finished").folder)
    assert evaluated is not None
    assert evaluated.accuracy == 0.625
    assert [(kind.kind, kind.accuracy, kind.last_mentioned) for kind in evaluated.kinds] == [
        ("knowledge", 0.75, None),
        ("state", 0.5, 0.25),
    ]
    assert read_evaluation(run_of(library, "paused").folder) is None


def test_the_fork_and_the_sweep_know_where_they_come_from(library: Library) -> None:
    swept = EXPECTED["runs"]["swept"]
    parent = run_of(library, "fork").lineage["parent"]
    assert (parent["run"], parent["step"]) == (swept["id"], 2)
    (found,) = compare_runs(sweep_infos(library, EXPECTED["sweep tag"]))
    assert (found.id, found.status) == (swept["id"], "finished")
    assert found.best_loss is not None


def test_the_queue_waits_and_can_begin(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = RunQueue(library)
    items = queue.items()
    written = [
        dataclasses.asdict(item) | {"spec": item.spec.to_dict() if item.spec is not None else None} for item in items
    ]
    assert [item.pop("recipe") for item in written] == [None] * len(written), "there were none in the queue then"
    assert [as_json(item) for item in written] == EXPECTED["queue"]
    (corpus,) = list_corpora(library)
    (tmp_path / "stories.txt").write_text(corpus.read_text("train") + corpus.read_text("val"), "utf-8")
    monkeypatch.chdir(tmp_path)  # the item names its file as it is called there
    run = result_of(prepare_queued(library, queue, items[0]))
    assert (run.status, run.made_from("corpus")[:12]) == ("queued", corpus.sha)
    assert run.made_from("tokenizer") == run_of(library, "swept").made_from("tokenizer")
    assert [item.run for item in queue.items()] == [EXPECTED["runs"]["paused"]["id"]]


def test_the_tokenizers_cut_as_before(library: Library) -> None:
    found = {info.name: [info.kind, info.vocab_size] for info in library.list_tokenizers() if info.problem is None}
    assert found == EXPECTED["tokenizers"]
    assert read_about(library.tokenizers / "Syllables")["notes"] == "For little stories."
    for name, ids in EXPECTED["encoded"].items():
        assert load_tokenizer(name, library).encode("Nina was in the park.").ids == ids


def test_the_designs_are_as_they_were(library: Library) -> None:
    assert library.list_designs() == list(EXPECTED["designs"])
    for name, values in EXPECTED["designs"].items():
        assert library.load_design(name) == ModelConfig.from_dict(values)
    assert (
        library.load_design("Three little layers").n_expert,
        library.load_design("Three little layers").n_kv_head,
    ) == (
        4,
        2,
    )


def test_what_was_thrown_away_comes_back(library: Library) -> None:
    (item,) = list_trash(library.trash)
    assert (item.token, item.kind, item.name) == (EXPECTED["trash"], "design", "Thrown away")
    assert library.restore(EXPECTED["trash"]) == library.designs / "Thrown away.json"
    assert library.load_design("Thrown away").d_model == 16


# -- What the window remembers -----------------------------------------------------------------------------------------


def test_the_settings_are_understood(library: Library, qtbot: QtBot) -> None:
    notices = Notices()
    remembered, trash = Remembered(library.home, notices), Trash(library, notices, Undo(notices))
    assert remembered.problem is None
    for key, value in EXPECTED["settings"].items():
        assert remembered.get(key, None) == value
    tokenizers = Tokenizers(library, remembered, trash, notices, notices)
    tokenizers.choose_last()
    qtbot.waitUntil(lambda: not tokenizers.is_loading)
    assert tokenizers.name == "Syllables"
    assert tokenizers.current is not None
    designs = Designs(library, remembered, trash, notices, notices)
    assert designs.name == "Three little layers"
    assert designs.current == library.load_design("Three little layers")


def test_the_sampling_presets_are_understood(library: Library) -> None:
    notices = Notices()
    presets = SamplingPresets(Remembered(library.home, notices), notices)
    assert presets.own == ("Little stories",)
    assert presets.applied("Little stories", SamplingConfig()) == SAMPLING
    settled = presets.of_model(EXPECTED["runs"]["finished"]["id"])
    assert settled == dataclasses.replace(SAMPLING, temperature=0.2)


@pytest.mark.parametrize("which", EXPECTED["chats"])
def test_a_chat_has_all_its_branches(library: Library, which: str) -> None:
    expected = EXPECTED["chats"][which]
    chat = ChatStore(library).load(expected["id"])
    assert (chat.title, chat.run_id) == (expected["title"], expected["run_id"])
    assert dataclasses.asdict(chat.prompting) == expected["prompting"]
    assert [message.id for message in chat.path] == expected["path"]
    assert {message.id for message in chat.messages} == set(expected["messages"])
    for id, about in expected["messages"].items():
        message = chat.message(id)
        told = {name: getattr(message, name) for name in ("parent", "role", "content", "edited")}
        made = message.generation
        assert (
            told
            | {
                "ids": None if made is None else list(made.ids),
                "seed": None if made is None else made.seed,
            }
            == about
        )
    assert len(chat.rows) == len(chat.messages)


def test_another_branch_can_be_shown_and_is_kept(library: Library) -> None:
    store = ChatStore(library)
    chat = store.load(EXPECTED["chats"]["branches"]["id"])
    first, second = chat.children("")
    assert (first.content, second.content) == ("Nina was in", "Leo ran to")
    replies = chat.children(first.id)
    assert chat.path == (first, replies[0])
    assert len(replies) == 4
    assert replies[2].content.startswith(replies[0].content)  # it went on with the first
    store.save(chat.showing(replies[3].id))
    assert [message.content for message in store.load(chat.id).path] == ["Nina was in", "a good mood."]


def test_chats_are_found_by_their_words(library: Library) -> None:
    ids = {which: chat["id"] for which, chat in EXPECTED["chats"].items()}
    index = ChatIndex(library.chats)
    assert {line.id for line in index.find("")} == set(ids.values())
    assert [line.id for line in index.find("Leo ran")] == [ids["branches"]]


def test_the_notebook_is_as_it_was(library: Library) -> None:
    path, pieces = open_notebook(library)
    assert path == library.home / "notebook.json"
    assert [[piece.text, *(piece.token or ())] for piece in pieces] == EXPECTED["notebook"]


# -- What the models do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "kind"),
    [("finished", Decoder), ("paused", Decoder), ("encoder", Encoder), ("encoder-decoder", EncoderDecoder)],
)
def test_a_model_can_be_loaded(library: Library, which: str, kind: type[AnyModel]) -> None:
    model, tokenizer = load_model(run_of(library, which).folder)
    assert type(model) is kind
    assert tokenizer is not None
    assert tokenizer.get_vocab_size() == model.config.vocab_size


@pytest.mark.parametrize("which", EXPECTED["replies"])
def test_a_model_replies_as_before(library: Library, which: str) -> None:
    expected = EXPECTED["replies"][which]
    model, tokenizer = load_model(run_of(library, which).folder)
    assert tokenizer is not None
    ids = encode_for(model.config, tokenizer, expected["prompt"])
    assert list(ids) == expected["prompt ids"]
    sampling = SamplingConfig(temperature=0.0, max_tokens=expected["n"])
    made = [event for event in generate(model, tokenizer, ids, sampling) if isinstance(event, TokenMade)]
    assert [token.id for token in made] == expected["ids"]
    assert "".join(token.text for token in made) == expected["text"]


def test_the_paused_run_goes_on_as_if_nothing_had_stopped_it(library: Library) -> None:
    expected = EXPECTED["uninterrupted"]
    run = run_of(library, "paused")
    notices = [event.sentence for event in Trainer(run, library, device="cpu").events() if isinstance(event, Notice)]
    assert run.status == "finished"
    rows = [row for row in run.read_metrics() if row["step"] > 4]
    last = run.latest_checkpoint()
    assert last == run.checkpoint_path(8)
    state = json.loads((last / "state.json").read_text("utf-8"))
    made_with = state["made_with"] | {"cpu capability": torch.backends.cpu.get_cpu_capability()}
    for kind, name in (("train", "training losses"), ("val", "validation losses")):
        losses = {str(row["step"]): row["loss"] for row in rows if row["kind"] == kind}
        assert losses == pytest.approx(expected[name], rel=1e-4), "but for rounding, which differs between versions"
    if made_with == expected["made with"]:
        assert notices == []


def test_the_fork_can_be_trained(library: Library) -> None:
    run = run_of(library, "fork")
    for _ in Trainer(run, library, device="cpu").events():
        pass
    assert (run.status, run.latest_checkpoint()) == ("finished", run.checkpoint_path(6))
