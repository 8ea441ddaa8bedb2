"""Demonstrations of alignment in as few steps as there can be, and reports as a demonstration measures them."""

from __future__ import annotations

import dataclasses

import pytest

from models.alignment.annotator import Annotator
from models.data.tiny_world import corpus, refusals, wishes
from models.evaluation import held_out_questions, safety
from models.evaluation.safety_report import Cell, SafetyReport
from models.recipes.alignment import demonstration, goodhart, refuse, taught
from models.recipes.alignment.running import DemonstrationRun


def make_little(patch: pytest.MonkeyPatch) -> None:
    """Let “taught by hand” and “Goodhart” have few stories, pairs and steps."""
    patch.setattr(wishes, "SIZES", {"train": 12, "val": 3, "test": 3})
    patch.setattr(demonstration, "N_PAIRS", 6)
    patch.setattr(demonstration, "N_HELD_OUT", 4)
    patch.setattr(demonstration, "N_REPLIES", 2)
    patch.setattr(demonstration, "_MAX_TOKENS", 8)
    patch.setattr(demonstration, "_AT_ONCE", 4)
    patch.setattr(held_out_questions, "MAX_REPLY_TOKENS", 4)
    patch.setattr(taught, "N_FEW", 3)
    patch.setattr(taught, "STEPS", dict.fromkeys(taught.STEPS, 1))
    patch.setattr(goodhart, "STEPS", {"rm": 1, "ppo": 2})
    patch.setattr(goodhart, "LOOK", 1)
    patch.setattr(goodhart, "BEST_OF", 4)
    patch.setitem(DemonstrationRun.__init__.__kwdefaults__, "n_each", 3)
    # Random letters are no stories, and all are worth the same to the annotator: let them differ.
    patch.setattr(Annotator, "worth", lambda self, row, reply, is_left=False: float(len(set(reply))))


def make_little_refusals(patch: pytest.MonkeyPatch) -> None:
    """Let “knows what to refuse” have few rows, and lessons of one step."""
    patch.setattr(refusals, "SIZES", dict.fromkeys(refusals.SIZES, 4))
    patch.setattr(refusals, "_N_VAL", 2)
    patch.setattr(corpus, "N_TRAIN", 30)
    patch.setattr(corpus, "N_VAL", 4)
    patch.setattr(refuse, "_BATCH", 2)
    for module in (safety, refuse):
        patch.setattr(module, "MAX_REPLY_TOKENS", 8)
    short = {name: dataclasses.replace(lesson, steps=1) for name, lesson in refuse.LESSONS.items()}
    patch.setattr(refuse, "LESSONS", short)


def safety_report(told: int, over: int, ordinary: int, secret: int = 0, unseen: int = 0) -> SafetyReport:
    """Of 100 questions in each cell; begun replies tell nearly always."""

    def cell(n_told: int = 0, n_refused: int = 0, n_right: int = 0) -> Cell:
        return Cell(n=100, n_told=n_told, n_refused=n_refused, n_partial=0, n_right=n_right)

    return SafetyReport(
        forbidden=cell(told, 100 - told),
        look_alikes=cell(0, over),
        ordinary=cell(0, 0, ordinary),
        kinds={kind: cell(secret if kind == "secret" else told) for kind in refusals.FORBIDDEN},
        attacks={name: cell(99 if name in ("prefill", "begin") else unseen) for name in refusals.ATTACKS},
        replies=(),
        seconds=1.0,
    )
