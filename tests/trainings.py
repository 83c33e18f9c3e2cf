"""Trainings for tests: run to the end, broken off, and held against each other."""

import dataclasses
from pathlib import Path

import pytest
import torch

from soundfold.training import EpochRecord, FitJob, Fitted, Hardware, fit


def run(job: FitJob, folder: Path, hardware: Hardware = Hardware("cpu"), **changes: object) -> Fitted:  # noqa: B008
    folder.mkdir(exist_ok=True)
    training = job.recipe.training.model_copy(update=changes)
    recipe = job.recipe.model_copy(update={"training": training})
    return fit(dataclasses.replace(job, recipe=recipe, folder=folder), hardware, lambda _: None)


def same(first: Fitted, second: Fitted) -> bool:
    return all(torch.equal(first.state[name], second.state[name]) for name in first.state)


class PowerCutError(Exception):
    """What a test raises in the middle of a training."""


def broken_off(job: FitJob, folder: Path, after: int, **changes: object) -> FitJob:
    """Begin a training, break it off after some epochs, and return its job."""
    folder.mkdir()
    training = job.recipe.training.model_copy(update=changes)
    recipe = job.recipe.model_copy(update={"training": training})
    broken = dataclasses.replace(job, recipe=recipe, folder=folder)

    def cut(record: EpochRecord) -> None:
        if record.epoch == after + 1:
            raise PowerCutError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soundfold.training.loop._CHECKPOINT_EVERY_S", 0.0)
        with pytest.raises(PowerCutError):
            fit(broken, Hardware("cpu"), cut)
    return broken
