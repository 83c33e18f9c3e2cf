"""Searches for tests: cut short before what was found is trained, and trials that only pretend to train."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import soundfold
from conftest import SMALL
from soundfold.jobs import tuning_end, tuning_trial
from soundfold.jobs.tuning_study import Study
from soundfold.jobs.tuning_workers import Task
from soundfold.recipe import Recipe
from soundfold.training import EpochRecord, FitJob, Fitted
from soundfold.training.history import epoch_record

QUICK = {"trials": 4, "inner": 2, "folds": [1], "jobs": 1}


class SearchedError(Exception):
    """Raised in place of the end's trainings, with the searches as they stand then."""

    def __init__(self, task: Task, studies: list[Study]) -> None:
        super().__init__()
        self.task = task
        self.trials = {study.search.name: study.trials() for study in studies}


def search_only(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, **more: Any) -> SearchedError:
    """Search, and leave before anything is trained on all clips and scored."""

    def stop(task: Task, studies: list[Study], *_: object) -> None:
        raise SearchedError(task, studies)

    with monkeypatch.context() as patched:
        patched.setattr(tuning_end, "score_searches", stop)
        with pytest.raises(SearchedError) as told:
            soundfold.tune(data, recipe="tutorial", out=out, **(QUICK | {"changes": SMALL} | more))
    return told.value


def pretend(monkeypatch: pytest.MonkeyPatch, score: Callable[[Recipe, int], float]) -> list[FitJob]:
    """Put a training in place whose held-out score after each epoch is given; return what it was asked to train."""
    asked: list[FitJob] = []

    def fit(job: FitJob, _: object, on_epoch: Callable[[EpochRecord], None]) -> Fitted:
        asked.append(job)
        records = []
        for epoch in range(1, job.recipe.training.epochs + 1):
            held_out = 1.0, score(job.recipe, epoch)
            records.append(epoch_record(epoch, (1.0, 0.5), held_out, 0.001, 0.0, several=job.several))
            on_epoch(records[-1])
        return Fitted({}, records)

    monkeypatch.setattr(tuning_trial, "fit", fit)
    return asked
