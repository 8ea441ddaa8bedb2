"""Makes tests/old_library: a small TERRARIUM_HOME as it was written before the folders of the source were reordered.

Run it with the code of commit 89e9cd9, the last before the restructuring, from a checkout of that commit:

    git worktree add /tmp/old 89e9cd9
    cd /tmp/old
    PYTHONPATH=. QT_QPA_PLATFORM=offscreen python make_old_library.py FOLDER

Everything in FOLDER/library is written by that code itself; FOLDER/expected.json says what was in it, how the paused
run went on where nothing had stopped it, and what its models reply. Both are tests/old_library/ of later checkouts,
whose tests prove that such a library still opens. No need to run it again: what it would make is old as well.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import torch

from terrarium.app.chat_store import ChatStore
from terrarium.app.chat_tree import Chat, Message
from terrarium.app.conversation import Conversation
from terrarium.app.main_window import MainWindow
from terrarium.app.notebook_file import Piece, Token, open_notebook, write_notebook
from terrarium.app.sampling_presets import SamplingPresets
from terrarium.app.shell.offscreen import opened_window
from terrarium.models import load_model
from terrarium.models.config import ModelConfig
from terrarium.models.evaluation_record import write_evaluation
from terrarium.models.events import Evaluated, KindAccuracy, Saved, TokenMade, TrainMetrics, result_of
from terrarium.models.inference.generate import generate
from terrarium.models.inference.prompting import Prompting
from terrarium.models.inference.prompts import encode_for
from terrarium.models.inference.settings import SamplingConfig
from terrarium.models.library import Library
from terrarium.models.tiny_world.english import tell
from terrarium.models.tiny_world.stories import MIXED, draw_cast, simulate
from terrarium.models.tiny_world.world import World
from terrarium.models.tokenizers import change_about, load_tokenizer, train_in_child
from terrarium.models.training.fork import fork_run
from terrarium.models.training.prepare import prepare_run, prepare_waiting
from terrarium.models.training.run_folder import RunFolder
from terrarium.models.training.run_notes import write_notes
from terrarium.models.training.run_queue import RunQueue
from terrarium.models.training.spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.training.sweep import grid, parse_choices
from terrarium.models.training.sweep_result import sweep_tag
from terrarium.models.training.trainer import Trainer

TEXT_FILE = "stories.txt"
PROMPT = "Nina was in"
STOPPED_AT = 4
OWNER_HOME = "/home/mia"
"""Stands for the folders of the machine on which this runs."""

LITTLE = ModelConfig(
    n_layer=1,
    n_head=2,
    d_model=16,
    d_ff=32,
    context_length=32,
    position="rope",
    norm="rmsnorm",
    activation="relu2",
    bias="none",
)
WITH_DROPOUT = dataclasses.replace(LITTLE, dropout=0.1, qk_norm=True, conv_width=4)
TINY = dataclasses.replace(LITTLE, d_model=4, d_ff=8)
CUSTOM = ModelConfig(
    n_layer=3, n_head=4, n_kv_head=2, d_model=48, position="alibi", norm="rmsnorm", activation="swiglu", n_expert=4
)
TRAINING = TrainConfig(
    steps=2,
    batch_size=2,
    optimizer="adamw",
    lr=3e-3,
    warmup_steps=2,
    precision="float32",
    eval_interval=2,
    eval_batches=1,
    sample_interval=2,
    sample_tokens=4,
    layer_interval=2,
    checkpoint_interval=4,
    keep_checkpoints=1,
    prompts=(PROMPT,),
)
SAMPLING = SamplingConfig(
    temperature=0.7, top_k=9, min_p=0.02, stop=("The end",), logit_bias=((5, -1.5),), max_tokens=8
)
GREEDY = SamplingConfig(temperature=0.0, max_tokens=16)


def main(folder: Path) -> None:
    """Make the library and what is expected of it in `folder`, which must not exist yet."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True)
    home = folder.absolute() / "library"
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)  # files are named relative to here, so that no path of this machine is kept
        Path(TEXT_FILE).write_text(stories(), "utf-8")
        expected = make_library(Library(home))
        for about in home.glob("tokenizers/*/about.json"):  # which texts it was trained on, by their full paths
            text = about.read_text("utf-8").replace(str(home), OWNER_HOME + "/terrarium").replace(place, OWNER_HOME)
            about.write_text(text, "utf-8")
    for lock in home.rglob("*lock"):  # empty files that nobody holds
        lock.unlink()
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (folder / "expected.json").write_text(text, "utf-8")


def stories() -> str:
    """Four kilobytes of stories from Tiny World, one a line."""
    world, rng = World(0), random.Random(0)
    lines = [tell(simulate(draw_cast(world, rng, 2, 2, 2), 6, rng, MIXED), rng) for _ in range(16)]
    return "\n".join(lines) + "\n"


def make_library(library: Library) -> dict[str, Any]:
    """Fill `library`; returns what a later version must find in it."""
    runs = {"finished": finished_run(library), "paused": new_run(library, "Paused", WITH_DROPOUT, steps=8)}
    uninterrupted = train_in_a_copy(library, runs["paused"])
    train(library, runs["paused"], stop_at=STOPPED_AT)
    write_notes(runs["paused"].folder, "Stopped by the cat.\nGo on with it.", ["cat", "to go on"])
    design = dataclasses.replace(TINY, topology="encoder-only")
    runs["encoder"] = new_run(library, "Encoder", design, prompts=("Nina was in the [MASK].",))
    train(library, runs["encoder"])
    design = dataclasses.replace(TINY, topology="encoder-decoder")
    runs["encoder-decoder"] = new_run(library, "Encoder-decoder", design, prompts=("Nina was in the [MASK].",))
    train(library, runs["encoder-decoder"])
    queue = RunQueue(library)
    tag = sweep_tag(library, "rates")
    specs = grid(spec_of("Sweep", TINY), [parse_choices("train.lr=0.001,0.01")])
    first, second = queue.add_new(specs, tags=(tag,))
    runs["swept"] = result_of(prepare_waiting(library, queue, first))
    train(library, runs["swept"])
    changed = dataclasses.replace(runs["swept"].spec.train, lr=5e-3, steps=6)
    runs["fork"] = fork_run(library, runs["swept"], 2, name="Fork", train=changed)
    queue.set_problem(second.id, "The disk was full.")
    queue.add_run(runs["paused"].id, runs["paused"].name)
    make_tokenizer(library)
    library.save_design("Three little layers", CUSTOM)
    library.save_design("Thrown away", LITTLE)
    trashed = library.move_to_trash(library.designs / "Thrown away.json")
    chats, settings = use_the_window(library, runs)
    return {
        "runs": {which: about_run(library, run) for which, run in runs.items()},
        "uninterrupted": uninterrupted,
        "replies": {which: reply_of(runs[which]) for which in ("finished", "paused", "encoder-decoder")},
        "queue": [dataclasses.asdict(item) for item in queue.items()],
        "sweep tag": tag,
        "tokenizers": {info.name: [info.kind, info.vocab_size] for info in library.list_tokenizers()},
        "encoded": {
            info.name: load_tokenizer(info.name, library).encode("Nina was in the park.").ids
            for info in library.list_tokenizers()
        },
        "designs": {"Three little layers": CUSTOM.to_dict()},
        "trash": trashed,
        "chats": chats,
        "settings": settings,
        "notebook": make_notebook(library, runs["finished"]),
    }


# -- Runs --------------------------------------------------------------------------------------------------------------


def spec_of(name: str, design: ModelConfig, **training: Any) -> RunSpec:
    """A short run on the stories, word by word."""
    return RunSpec(
        name=name,
        model=design,
        tokenizer=TokenizerSpec(kind="word", vocab_size=64),
        data=DataSpec(source="files", files=(TEXT_FILE,)),
        train=dataclasses.replace(TRAINING, **training),
    )


def new_run(library: Library, name: str, design: ModelConfig, **training: Any) -> RunFolder:
    """A run that has not begun."""
    return result_of(prepare_run(library, spec_of(name, design, **training)))


def finished_run(library: Library) -> RunFolder:
    """A run with Muon that has learned a little, with a record of its evaluation."""
    run = new_run(
        library,
        "Finished",
        LITTLE,
        steps=40,
        batch_size=8,
        optimizer="muon",
        lr=0.03,
        muon_lr=0.03,
        checkpoint_interval=40,
        eval_interval=20,
        sample_interval=20,
        layer_interval=20,
    )
    train(library, run)
    kinds = (
        KindAccuracy(kind="knowledge", n=12, accuracy=0.75, most_frequent=0.25),
        KindAccuracy(kind="state", n=12, accuracy=0.5, most_frequent=0.125, last_mentioned=0.25, without_story=0.0),
    )
    write_evaluation(run.folder, Evaluated(accuracy=0.625, kinds=kinds, seconds=1.5))
    return run


def train(library: Library, run: RunFolder, stop_at: int | None = None) -> None:
    """Train to the end, or pause after step `stop_at`."""
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == stop_at:
            trainer.request_stop(keep=True, status="paused")
        assert not (isinstance(event, Saved) and stop_at is not None and event.step > stop_at)


def train_in_a_copy(library: Library, run: RunFolder) -> dict[str, Any]:
    """What becomes of a run that nothing stops, measured in a copy of the library that is thrown away."""
    with tempfile.TemporaryDirectory() as place:
        copy = Library(Path(place) / "library")
        shutil.copytree(library.home, copy.home)
        whole = RunFolder.open(copy.runs / run.folder.name)
        train(copy, whole)
        rows = [row for row in whole.read_metrics() if row["step"] > STOPPED_AT]
        last = whole.latest_checkpoint()
        assert last is not None
        state = json.loads((last / "state.json").read_text("utf-8"))
        return {
            "made with": state["made_with"] | {"cpu capability": torch.backends.cpu.get_cpu_capability()},
            "training losses": {str(row["step"]): row["loss"] for row in rows if row["kind"] == "train"},
            "validation losses": {str(row["step"]): row["loss"] for row in rows if row["kind"] == "val"},
        }


def about_run(library: Library, run: RunFolder) -> dict[str, Any]:
    """What the list of runs shows of it."""
    (info,) = (info for info in library.list_runs() if info.id == run.id)
    shown = {name: getattr(info, name) for name in ("id", "name", "status", "step", "total_steps", "tags", "notes")}
    return shown | {"parent": info.parent, "n metrics": len(run.read_metrics()), "n samples": len(run.read_samples())}


def reply_of(run: RunFolder) -> dict[str, Any]:
    """The likeliest reply to the prompt."""
    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    ids = encode_for(model.config, tokenizer, PROMPT)
    made = [event for event in generate(model, tokenizer, ids, GREEDY) if isinstance(event, TokenMade)]
    return {
        "prompt": PROMPT,
        "prompt ids": list(ids),
        "ids": [token.id for token in made],
        "text": "".join(token.text for token in made),
        "n": GREEDY.max_tokens,
    }


# -- Everything else ---------------------------------------------------------------------------------------------------


def make_tokenizer(library: Library) -> None:
    """A trained tokenizer that no run uses, with notes."""
    folder = library.tokenizers / "Syllables"
    result_of(train_in_child([Path(TEXT_FILE)], "bpe", 280, folder))
    change_about(folder, {"notes": "For little stories."})


def make_notebook(library: Library, run: RunFolder) -> list[Any]:
    """A person's words, and a model's after them."""
    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    pieces = [Piece(PROMPT)]
    sampling = SamplingConfig(seed=3, max_tokens=6)
    for event in generate(model, tokenizer, encode_for(model.config, tokenizer, PROMPT), sampling):
        if isinstance(event, TokenMade):
            pieces.append(Piece(event.text, Token(event.id, event.probability, event.entropy, event.rank)))
    pieces.append(Piece(" — and so on: «ß» 🌱"))
    write_notebook(open_notebook(library)[0], pieces)
    return [[piece.text, *(piece.token or ())] for piece in pieces]


def use_the_window(library: Library, runs: dict[str, RunFolder]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settle this and that, and talk with two models, as a person does; returns what there is to know of it."""
    with opened_window(library, "cpu") as window:
        session = window.session
        session.choose_tokenizer("Syllables")
        session.load_design("Three little layers")
        presets = SamplingPresets(session)
        presets.save("Little stories", SAMPLING)
        presets.settle_for_model(runs["finished"].id, dataclasses.replace(SAMPLING, temperature=0.2))
        session.remember("theme", "dark")
        session.remember("text scale", 1.25)
        session.remember("serve_port", 8901)
        session.remember("sort runs", "name")
        session.remember("curves", {"smoothing": 3, "log": True, "axis": "tokens"})
        for tab in ("tokenizer", "builder", "training", "chat"):
            window.show_tab(tab)
        chats = {"branches": branching_chat(window, runs["finished"]), "answered": answered_chat(window, runs)}
    chats["turns"] = chat_of_turns(library, runs["finished"])
    return chats, json.loads((library.home / "settings.json").read_text("utf-8"))


def branching_chat(window: MainWindow, run: RunFolder) -> dict[str, Any]:
    """Two versions of the question, two of a reply, one that goes on, one that a person wrote; the older are shown."""
    conversation = opened_conversation(window, run)
    conversation.set_prompting(Prompting(system="Tell stories.", when_full="summarise"))
    conversation.say(Message(content="Nina was in"))
    wait_for_reply(window, conversation)
    asked, first = conversation.chat.path
    conversation.retry(first.id)
    wait_for_reply(window, conversation)
    conversation.go_on(first.id)
    wait_for_reply(window, conversation)
    conversation.edit(first.id, "a good mood.")
    conversation.edit(asked.id, "Leo ran to")
    wait_for_reply(window, conversation)
    conversation.show(first.id)
    conversation.rename(conversation.chat.id, "Nina, or Leo")
    conversation.shelf.flush()
    return about_chat(window.session.library, conversation.chat.id)


def answered_chat(window: MainWindow, runs: dict[str, RunFolder]) -> dict[str, Any]:
    """Two questions to an encoder-decoder."""
    conversation = opened_conversation(window, runs["encoder-decoder"])
    for question in ("Nina was in the [MASK].", "The bell was in the [MASK]."):
        conversation.say(Message(content=question))
        wait_for_reply(window, conversation)
    conversation.shelf.flush()
    return about_chat(window.session.library, conversation.chat.id)


def opened_conversation(window: MainWindow, run: RunFolder) -> Conversation:
    """An empty conversation with the model of a run."""
    session = window.session
    assert session.open_chat_model(run.id)
    wait_for(lambda: session.chat_state == "ready")
    conversation = Conversation(session, window)
    seeds = iter(range(7, 99))
    conversation.draw = lambda: dataclasses.replace(SAMPLING, seed=next(seeds), stop=())
    return conversation


def wait_for_reply(window: MainWindow, conversation: Conversation) -> None:
    """Return when a reply is complete, and the model free."""
    wait_for(lambda: not conversation.writing and window.session.chat_state == "ready")


def wait_for(condition: Callable[[], bool]) -> None:
    """Let the window live until the condition holds."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop, timer = QEventLoop(), QTimer(interval=10)
    timer.timeout.connect(lambda: loop.quit() if condition() else None)
    timer.start()
    loop.exec()
    timer.stop()


def chat_of_turns(library: Library, run: RunFolder) -> dict[str, Any]:
    """A chat in format 1, which this commit reads but does not write any more."""
    reply = {"text": "blue.", "model": "Finished", "seed": 1, "n_tokens": 5, "tokens_per_s": 12.5, "reason": "stop"}
    turn = {
        "prompt": "What colour is the cup?",
        "kind": "knowledge",
        "gold": "blue",
        "topic": ["Mia", "cup", "kitchen"],
        "fresh": True,
        "goes_on": False,
        "shown": 0,
        "replies": [reply, {**reply, "text": "red.", "seed": 2}],
    }
    chat = {"format": 1, "id": "turns", "created": "2026-01-02T12:00:00+00:00", "run_id": run.id, "turns": [turn]}
    (library.chats / "turns.json").write_text(json.dumps(chat, indent=1) + "\n", "utf-8")
    return about_chat(library, "turns")


def about_chat(library: Library, chat_id: str) -> dict[str, Any]:
    """What there is to see of a chat."""
    chat: Chat = ChatStore(library).load(chat_id)
    return {
        "id": chat.id,
        "title": chat.title,
        "run_id": chat.run_id,
        "prompting": dataclasses.asdict(chat.prompting),
        "messages": {
            message.id: {
                "parent": message.parent,
                "role": message.role,
                "content": message.content,
                "edited": message.edited,
                "ids": None if message.made is None else list(message.made.ids),
                "seed": None if message.made is None else message.made.seed,
            }
            for message in chat.messages
        },
        "path": [message.id for message in chat.path],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
