"""The queue on disk: order, exclusive draining, and damage."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from terrarium.models.library.library import Library
from terrarium.models.library.run_notes import read_notes
from terrarium.models.runs.run_queue import RecipeSpec, RunQueue
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.spec_changes import changed_spec
from terrarium.models.training.prepare import prepare_queued
from tests.models.training.support import make_run, make_spec, result_of


def names(queue: RunQueue) -> list[str]:
    return [item.name for item in queue.items()]


@pytest.fixture
def queue(library: Library, tiny_config: ModelConfig, tmp_path: Path) -> RunQueue:
    """Three new runs wait: lr 1, 2 and 3."""
    base = make_spec(tmp_path / "texts", tiny_config)
    specs = [changed_spec(base, {"train.lr": float(lr)}) for lr in (1, 2, 3)]
    queue = RunQueue(library)
    for spec, name in zip(specs, "abc", strict=True):
        queue.add_new([type(spec)(**{**vars(spec), "name": name})], tags=("tagged",))
    return queue


def test_the_queue_is_stored_in_order(library: Library, queue: RunQueue) -> None:
    a, b, c = queue.items()
    assert [item.spec.train.lr for item in (a, b, c) if item.spec] == [1, 2, 3]
    other = RunQueue(library)  # another window
    other.move(c.id, 0)
    assert names(queue) == ["c", "a", "b"]
    other.move(c.id, 99)
    assert names(queue) == ["a", "b", "c"]
    taken = queue.remove(b.id)
    assert taken == b
    assert names(other) == ["a", "c"]
    queue.put_back(taken, 1)
    assert names(other) == ["a", "b", "c"]
    queue.remove(a.id)
    with pytest.raises(ValueError, match="no longer in the queue"):
        other.move(a.id, 0)


def test_a_queue_that_another_process_keeps_locked_is_not_waited_for_for_ever(library: Library) -> None:
    queue = RunQueue(library, lock_timeout_s=0.05)
    item = queue.add_run("a", "a")
    with FileLock(library.home / "queue.lock"):
        for change in (lambda: queue.add_run("b", "b"), lambda: queue.remove(item.id), lambda: queue.move(item.id, 0)):
            with pytest.raises(ValueError, match="Another window or command has been changing the queue"):
                change()
        assert queue.items() == [item], "it can be read"
    assert queue.remove(item.id) == item


def test_items_that_could_not_start_are_skipped_until_retried(queue: RunQueue) -> None:
    a, b, _ = queue.items()
    queue.set_problem(a.id, "No text.")
    following = queue.next()
    assert following is not None
    assert following.id == b.id
    assert queue.items()[0].problem == "No text."
    queue.set_problem(a.id, "")
    assert queue.next() == a
    queue.set_problem(a.id, "No text.")
    queue.set_problem(b.id, "No text.")
    queue.retry_all()
    assert not any(item.problem for item in queue.items())


def test_concurrent_changes_lose_nothing(queue: RunQueue) -> None:
    def add(thread: int) -> None:
        for n in range(10):
            queue.add_run(f"{thread}-{n}", "run")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(4)))
    assert len(queue.items()) == 3 + 40


def test_a_new_run_leaves_the_queue_when_its_folder_is_there(library: Library, queue: RunQueue) -> None:
    first = queue.items()[0]
    run = result_of(prepare_queued(library, queue, first))
    assert (run.status, run.name, run.spec.train.lr) == ("queued", "a", 1.0)
    assert read_notes(run.folder).tags == ("tagged",)
    assert names(queue) == ["b", "c"]


def test_an_item_removed_while_it_is_prepared_makes_no_run(library: Library, queue: RunQueue) -> None:
    first = queue.items()[0]
    preparing = prepare_queued(library, queue, first)
    next(preparing)
    queue.remove(first.id)
    with pytest.raises(ValueError, match="no longer in the queue"):
        result_of(preparing)
    assert library.list_runs() == []


def test_a_run_to_resume_is_queued_once(library: Library, queue: RunQueue, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    item = queue.add_run(run.id, run.name)
    with pytest.raises(ValueError, match="in the queue already"):
        queue.add_run(run.id, run.name)
    assert result_of(prepare_queued(library, queue, item)).id == run.id
    assert names(queue)[-1] == run.name, "until it has really begun"


def test_only_one_process_drains_the_queue(library: Library, queue: RunQueue) -> None:
    other = RunQueue(library)
    with queue.draining():
        with pytest.raises(ValueError, match="Another window or command"), other.draining():
            pass
        queue.begin_draining()  # its own, again
    with other.draining():
        pass


def test_a_damaged_queue_is_reported_and_left_alone(library: Library, queue: RunQueue) -> None:
    path = library.home / "queue.json"
    item = {"id": "1", "name": "", "spec": None, "run": "", "recipe": {"kind": "task", "arguments": "x"}, "tags": []}
    recipe = json.dumps({"format": 2, "items": [{**item, "problem": ""}]})
    for text in ("{", '{"format": 1, "items": [{}]}', '{"format": 9, "items": []}', "[]", recipe):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"queue\.json is damaged"):
            queue.items()
        with pytest.raises(ValueError, match=r"queue\.json is damaged"):
            queue.add_run("x", "x")
        assert path.read_text() == text


def test_a_recipe_is_kept_as_it_was_queued(library: Library) -> None:
    recipe = RecipeSpec(kind="task", arguments={"name": "mood", "seed": 2, "parent": "", "data": ""})
    added = RunQueue(library).add_recipe(recipe, "Moods")
    (item,) = RunQueue(library).items()
    assert item == added
    assert (item.recipe, item.spec, item.run) == (recipe, None, "")
