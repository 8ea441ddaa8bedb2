"""The recipes of Tiny World's tasks, so small that each runs within a second or two."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from terrarium.models.recipes.tasks import tasks_table as table
from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES, TaskRecipe, with_steps
from terrarium.models.settings.tune_spec import usual_train
from terrarium.models.tiny_world.tasks import corpora

N_ROWS = 10
"""Of each split and group; in training four times as many."""


def small(name: str) -> TaskRecipe:
    """A recipe with a narrow model of one layer and four steps."""
    recipe = TASK_RECIPES[name]
    model = dataclasses.replace(recipe.model, n_layer=1, d_model=32, context_length=64)
    tokenizer = dataclasses.replace(recipe.tokenizer, vocab_size=400)
    train = dataclasses.replace(recipe.train, batch_size=8, eval_batches=1)
    return dataclasses.replace(recipe, model=model, tokenizer=tokenizer, train=with_steps(train, 4))


@contextmanager
def few_rows() -> Iterator[None]:
    """Datasets of N_ROWS; and as few steps from a parent's weights as `small` takes from nothing."""
    tasks = {
        name: dataclasses.replace(
            task, sizes={(split, group): N_ROWS * (4 if split == "train" else 1) for split, group in task.sizes}
        )
        for name, task in corpora.WORLD_TASKS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "WORLD_TASKS", tasks)
        patch.setattr(table, "usual_train", lambda mode: usual_train(mode) | {"steps": 4, "eval_interval": 1})
        yield
