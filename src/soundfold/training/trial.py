"""A trial before a training: does learning on pay, on recordings that are left out of it?

A network that begins as a fitted probe is good before its first step, and with few recordings its steps may make it
worse. So it can be asked to prove itself: a fifth of the training recordings is left out, the rest is learned as all
would be, and both networks, the one that began and the one that learned, are asked about the fifth. Only one that is
right more often, beyond chance, is worth its training.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from soundfold.atomic import write_text
from soundfold.models import Classifier
from soundfold.training.checkpoint import load_checkpoint
from soundfold.training.feature_cache import open_feature_cache
from soundfold.training.fitted_start import begin_classifier
from soundfold.training.fitting import FitJob
from soundfold.training.loop import CHECKPOINT_NAME
from soundfold.training.parts import parts_of_recordings
from soundfold.training.scoring import clip_probabilities
from soundfold.wording import counted

__all__ = ["Trial", "forget_trial", "hold_trial", "trial_in"]

_FOLDER = "trial"
_VERDICT = "trial.json"
_BEYOND_CHANCE = 1.645
"""Standard errors of the gain: of networks that learned nothing of use, one in twenty would seem to have."""


class Trial(BaseModel):
    """What a trial found.

    Attributes:
        clips, recordings: how many were left out and asked about; none where no recording could be.
        began, learned: share of them, weighed as in training, that each network is right about; of several labels the
            mean share of right answers, yes or no.
        error: standard error of the difference, over recordings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips: int
    recordings: int
    began: float
    learned: float
    error: float

    @property
    def pays(self) -> bool:
        """Whether the one that learned is better beyond chance."""
        return self.learned - self.began > _BEYOND_CHANCE * self.error

    def __str__(self) -> str:
        if not self.clips:
            return "the network stays as it began: no recording could be left out for a trial of learning on"
        asked = f"{counted(self.clips, 'clip')} of {counted(self.recordings, 'recording')} left out for a trial"
        shares = f"{100 * self.began:.1f} % right before, {100 * self.learned:.1f} % after"
        if self.pays:
            return f"the network learned on, as that pays: {shares}, on {asked}"
        return f"the network stays as it began, as learning on does not pay beyond chance: {shares}, on {asked}"


def hold_trial(job: FitJob, learn: Callable[[FitJob], None], *, writes: bool) -> Trial:
    """Return what the job's trial finds, or has found before; every process of a training calls this.

    Args:
        job: what is to be learned; its folder gets the trial's.
        learn: trains a job, or goes on with it, as one that asks for no trial, in all processes together.
        writes: this process is the one that writes.
    """
    found = trial_in(job.folder)
    if found is not None:
        return found
    trial = _trial_of(job)
    if len(trial.train) and len(trial.held_out):
        trial.folder.mkdir(parents=True, exist_ok=True)  # whichever process comes first makes the run's own too
        learn(trial)
        found = _judged(job, trial)
    else:
        found = Trial(clips=0, recordings=0, began=0.0, learned=0.0, error=0.0)
    if writes:
        write_text(job.folder / _VERDICT, found.model_dump_json() + "\n")
    return found


def trial_in(folder: Path) -> Trial | None:
    """Return what the trial of a training in this folder found; None before it has."""
    try:
        return Trial.model_validate_json((folder / _VERDICT).read_bytes())
    except (FileNotFoundError, ValidationError):  # a damaged one is held again
        return None


def forget_trial(folder: Path) -> None:
    """Remove what a trial has left in a training's folder."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)
    (folder / _VERDICT).unlink(missing_ok=True)


def _trial_of(job: FitJob) -> FitJob:
    """Return the training of four fifths of the recordings, with the others held out."""
    out = _left_out(job)
    weights = job.train_weights
    if weights is not None and not out.all():
        weights = weights[~out] / weights[~out].mean()
    once = {"trial": False, "validate_every": job.recipe.training.epochs}
    return replace(
        job,
        recipe=job.recipe.model_copy(update={"training": job.recipe.training.model_copy(update=once)}),
        train=job.train[~out],
        train_labels=job.train_labels[~out],
        train_weights=weights,
        train_recordings=job.recordings[~out],
        held_out=job.train[out],
        held_out_labels=job.train_labels[out],
        folder=job.folder / _FOLDER,
    )


def _judged(job: FitJob, trial: FitJob) -> Trial:
    """Ask the network as it began, and as it has learned."""
    cache = open_feature_cache(job.features)
    classifier = begin_classifier(trial, cache)

    def right(network: Classifier) -> np.ndarray:
        answers = clip_probabilities(
            network.eval().classify, cache, trial.held_out, torch.device("cpu"), several=job.several
        )
        if job.several:
            return np.asarray(((answers > 0.5) == (trial.held_out_labels > 0.5)).mean(axis=1))
        return np.asarray(answers.argmax(axis=1) == trial.held_out_labels, dtype=np.float64)

    began = right(classifier)
    classifier.load_state_dict(load_checkpoint(trial.folder / CHECKPOINT_NAME).result)
    learned = right(classifier)
    out = _left_out(job)
    weight = job.clip_weights[out] / job.clip_weights[out].sum()
    _, number = np.unique(job.recordings[out], return_inverse=True)
    gains = np.bincount(number, weight * (learned - began))  # clips of a recording are not right by chance apart
    return Trial(
        clips=len(trial.held_out),
        recordings=len(gains),
        began=float(weight @ began),
        learned=float(weight @ learned),
        error=float(np.sqrt(np.square(gains).sum())),
    )


def _left_out(job: FitJob) -> np.ndarray:
    """Return which training clips (n,) a trial leaves out and asks about."""
    return np.asarray(parts_of_recordings(job.recordings, job.train_labels) == 0)
