"""A trial before a training: does learning on pay, on recordings that are left out of it?

A network that begins as a fitted probe is good before its first step, and with few recordings its steps may make it
worse. So it can be asked to prove itself: a fifth of the training recordings is left out, the rest is learned as all
would be, and both networks, the one that began and the one that learned, are asked about the fifth. Only one that is
right more often, beyond chance, is worth its training. Of several labels a clip the one is better that costs less.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from soundfold.atomic import write_text
from soundfold.data.allotting import hold_back, recordings_of
from soundfold.models import Classifier
from soundfold.training.checkpoint import load_checkpoint
from soundfold.training.feature_cache import open_feature_cache
from soundfold.training.fitted_start import begin_classifier
from soundfold.training.fitting import FitJob
from soundfold.training.loop import CHECKPOINT_NAME
from soundfold.training.scoring import clip_probabilities
from soundfold.wording import counted

__all__ = ["Trial", "forget_trial", "hold_trial", "trial_in"]

_FOLDER = "trial"
_VERDICT = "trial.json"
_BEYOND_CHANCE = 1.645
"""Standard errors of the gain: of networks that learned nothing of use, one in twenty would seem to have."""
_FEWEST = 5
"""Recordings that must tell the two apart: of four, one way in sixteen of signs drawn by lot is all for the better."""
_PART = 0.2
_LEAST = 1e-7  # probability: nearer to none, float32 cannot tell

FirstSays = Callable[[Callable[[], "Trial | None"]], "Trial | None"]


class Trial(BaseModel):
    """What a trial found.

    Attributes:
        clips, recordings: how many were left out and asked about; none where no recording could be.
        began, learned: share of them, weighed as in training, that each network is right about; of several labels the
            log loss of each network, of which less is better.
        error: standard error of the difference, over recordings.
        telling: how many recordings tell the two apart.
        several: clips bear several labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips: int
    recordings: int
    began: float
    learned: float
    error: float
    telling: int
    several: bool

    @property
    def gain(self) -> float:
        """How much better the one that learned is."""
        return self.began - self.learned if self.several else self.learned - self.began

    @property
    def pays(self) -> bool:
        """Whether the one that learned is better beyond chance."""
        return self.telling >= _FEWEST and self.gain > _BEYOND_CHANCE * self.error

    def __str__(self) -> str:
        if not self.clips:
            return "the network stays as it began: no recording could be left out for a trial of learning on"
        asked = f"{counted(self.clips, 'clip')} of {counted(self.recordings, 'recording')} left out for a trial"
        found = f"{100 * self.began:.1f} % right before, {100 * self.learned:.1f} % after"
        if self.several:
            found = f"log loss {self.began:.4f} before, {self.learned:.4f} after"
        if self.pays:
            return f"the network learned on, as that pays: {found}, on {asked}"
        return f"the network stays as it began, as learning on does not pay beyond chance: {found}, on {asked}"


def hold_trial(job: FitJob, learn: Callable[[FitJob], None], first_says: FirstSays) -> Trial:
    """Return what the job's trial finds, or has found before; every process of a training calls this.

    Args:
        job: what is to be learned; its folder gets the trial's.
        learn: trains a job, or goes on with it, as one that asks for no trial, in all processes together.
        first_says: calls what it is given in the first process, and returns in all of them what that one got: each by
            itself might read a folder that the first has cleared up meanwhile, or round the other way.
    """
    found = first_says(lambda: trial_in(job.folder))
    if found is not None:
        return found
    trial = _trial_of(job)
    if trial is not None:
        trial.folder.mkdir(parents=True, exist_ok=True)  # whichever process comes first makes the run's own too
        learn(trial)

    def judge() -> Trial:
        none = Trial(clips=0, recordings=0, began=0.0, learned=0.0, error=0.0, telling=0, several=job.several)
        found = none if trial is None else _judged(job, trial)
        write_text(job.folder / _VERDICT, found.model_dump_json() + "\n")
        return found

    found = first_says(judge)
    assert found is not None
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


def _trial_of(job: FitJob) -> FitJob | None:
    """Return the training of four fifths of the recordings, with the others held out; None if none can be spared."""
    out = _left_out(job)
    if not out.any():
        return None
    weights = job.train_weights
    if weights is not None:
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

    def score(network: Classifier) -> np.ndarray:
        answers = clip_probabilities(
            network.eval().classify, cache, trial.held_out, torch.device("cpu"), several=job.several
        )
        truth = trial.held_out_labels
        if not job.several:
            return np.asarray(answers.argmax(axis=1) == truth, dtype=np.float64)
        given = np.where(truth > 0.5, answers, 1 - answers)
        return np.asarray(-np.log(np.maximum(given, _LEAST)).mean(axis=1))

    began = score(classifier)
    classifier.load_state_dict(load_checkpoint(trial.folder / CHECKPOINT_NAME).result)
    learned = score(classifier)
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
        telling=int((gains != 0).sum()),
        several=job.several,
    )


def _left_out(job: FitJob) -> np.ndarray:
    """Return which training clips (n,) a trial leaves out and asks about: whole recordings, and of no class all."""
    labels = job.train_labels
    table = recordings_of(job.recordings, labels > 0.5 if job.several else np.eye(job.n_labels, dtype=bool)[labels])
    if len(table) < 2:
        return np.zeros(len(labels), dtype=bool)
    return np.asarray(hold_back(table, _PART, np.random.default_rng(0))[table.of_clip] == 1)
