"""Fitting a linear head in one go: logistic regression or a linear discriminant, no epochs and no seed.

Where clips bear several labels, each label has a binary answer of its own.

Each view of an embedding gets a fit of its own, and the mean of their logits is the answer: the views err in their own
ways, and one fit over all of them overfits sooner. As all is linear, the mean is one linear layer. A discriminant's
views are weighed (`discriminant`), and kinds of texture are surer together than each (`fit_head`).
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from soundfold.models import Classifier, Embedding, LinearNet, build_classifier
from soundfold.training.checkpoint import Checkpoint, save_checkpoint
from soundfold.training.discriminant import fit_discriminants
from soundfold.training.feature_cache import FeatureCache, open_feature_cache, runs_of
from soundfold.training.fitting import FitJob
from soundfold.training.history import EpochRecord, History, epoch_record
from soundfold.training.logistic import fit_logistic
from soundfold.training.scoring import clip_probabilities, held_out_scores

__all__ = ["Windows", "fit_head", "fit_linear", "fit_views", "leave_fitted", "solve", "standardise", "training_windows"]

_BATCH = 256
_NEVER = 20.0  # in a logit
_LEAST_SPREAD = 0.1
"""Of a pooled value, beside that of the median one; a smaller one is taken for that."""


def fit_linear(job: FitJob, path_name: str, on_epoch: Callable[[EpochRecord], None]) -> None:
    """Fit the head, and leave a checkpoint and a history of one epoch, as the loop does.

    Args:
        job: what to learn; its recipe's model is linear.
        path_name: of the checkpoint in the job's folder.
        on_epoch: called once.
    """
    started = time.perf_counter()
    cache = open_feature_cache(job.features)
    rows = runs_of(*cache.windows_of(job.train))
    classifier = build_classifier(job.recipe, job.n_labels, job.recipe.training.seed, job.weights_file)
    classifier.standardise.set_statistics(*cache.statistics(rows, per_band=job.recipe.features.per_band))
    assert isinstance(classifier.network, LinearNet)
    fit_head(classifier.network, classifier, job, cache)
    leave_fitted(classifier, job, cache, path_name, time.perf_counter() - started, on_epoch)


def leave_fitted(
    classifier: Classifier,
    job: FitJob,
    cache: FeatureCache,
    path_name: str,
    train_s: float,
    on_epoch: Callable[[EpochRecord], None],
) -> None:
    """Leave a classifier that took no steps as a finished training: a checkpoint, and a history of its one look.

    Args:
        classifier: as it shall stay; switched to evaluation.
        job: what it was fitted to.
        cache: the features of all clips.
        path_name: of the checkpoint in the job's folder.
        train_s: seconds that the fit took.
        on_epoch: called once.
    """
    classifier.eval()
    trained = _look(classifier, cache, job.train, job.train_labels)
    held_out = _look(classifier, cache, job.held_out, job.held_out_labels) if len(job.held_out) else (None, None)
    record = epoch_record(job.recipe.training.epochs, trained, held_out, 0.0, train_s, several=job.several)
    with History(job.folder, [], several=job.several) as history:
        history.add(record)
    save_checkpoint(
        Checkpoint(
            epoch=record.epoch,
            model=classifier.state_dict(),
            optimizer={"state": {}, "param_groups": []},
            scheduler={},
            history=[vars(record)],
        ),
        job.folder / path_name,
    )
    on_epoch(record)


def fit_head(network: LinearNet, classifier: Classifier, job: FitJob, cache: FeatureCache) -> None:
    """Set a linear layer to what the training clips teach.

    Of n logistic regressions on kinds of texture the answer is √n times their mean: each is about as sure as it is
    right, and n that err apart know more than one, whose sureness a mean would have. (The mean of n equal and
    independent errors is 1/√n of one. Measured: docs/ablations.md.)

    Args:
        network: the classifier's, or a part of it; changed in place.
        classifier: has the statistics of the training clips already.
        job: what to learn; `training.head_fit`, `training.c` and the clips' weights are the fit's.
        cache: the features of all clips.
    """
    windows = training_windows(job, cache)
    values = np.empty((len(windows.rows), network.head.in_features), dtype=np.float32)
    with torch.inference_mode():
        for begin in range(0, len(values), _BATCH):
            batch = classifier.prepare(cache.gather(windows.rows[begin : begin + _BATCH]))
            values[begin : begin + _BATCH] = network.pooled(batch).numpy()
    front_end = classifier.features
    views = front_end.views if isinstance(front_end, Embedding) else network.views
    centre, spread = np.zeros(values.shape[1]), np.ones(values.shape[1])
    if network.pool != "none":  # means and deviations differ in size, and the weights' size is what `c` holds down
        # what hardly varies here, rounding noise at the worst, must not shout when it varies elsewhere
        centre, spread = standardise(values, least=_LEAST_SPREAD)
    weights, bias = solve(values, views, windows, job)
    if network.pool == "texture" and job.recipe.training.head_fit == "logistic":
        weights, bias = weights * len(views) ** 0.5, bias * len(views) ** 0.5
    weights = weights / spread
    bias = bias - weights @ centre
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weights))
        network.head.bias.copy_(torch.from_numpy(bias))


def standardise(values: np.ndarray, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Take the mean out of every column and divide it by its deviation, in place, a block of rows at a time.

    Of a hundred thousand clips the values fill half a gigabyte; a copy in double precision, as numpy's own deviation
    makes one, twice as much.

    Args:
        values: (n, values) float32; changed.
        least: the smallest deviation that is divided by, as a part of the median one.

    Returns:
        what was taken out and what was divided by, (values,) float64 each; 1 where a column does not vary.
    """
    blocks = [slice(begin, begin + _BATCH) for begin in range(0, len(values), _BATCH)]
    centre = values.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(centre)
    for block in blocks:
        squares += np.square(values[block] - centre).sum(axis=0)
    spread = np.sqrt(squares / len(values))
    spread = np.maximum(spread, least * np.median(spread))
    spread[spread == 0] = 1.0
    for block in blocks:
        values[block] = (values[block] - centre) / spread
    return centre, spread


class Windows(NamedTuple):
    """All windows of the training clips.

    Attributes:
        rows: (windows,) of the feature cache.
        labels: (windows,) class numbers, or (windows, n_labels) 0 and 1.
        weight: (windows,) what each counts: of what its clip counts, its part of the clip's sound, as in an answer.
        recordings: (windows,) number of the recording that each was cut out of.
    """

    rows: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    recordings: np.ndarray


def training_windows(job: FitJob, cache: FeatureCache) -> Windows:
    """Return what a fit learns from."""
    first, count = cache.windows_of(job.train)
    owner = np.repeat(np.arange(len(job.train)), count)
    rows = runs_of(first, count)
    sound = cache.weight[rows].astype(np.float64)
    weight = job.clip_weights[owner] * sound / np.bincount(owner, sound)[owner]
    return Windows(rows, job.train_labels[owner], weight, job.recordings[owner])


def solve(
    values: np.ndarray, views: Sequence[tuple[int, int]], windows: Windows, job: FitJob
) -> tuple[np.ndarray, np.ndarray]:
    """Return the linear layer that the recipe's `training.head_fit` finds.

    Args:
        values: (windows, values) float32, standardised.
        views: the first value and the end of each view.
        windows: what the values are of.
        job: whose recipe says how.

    Returns:
        weights (n_labels, values) and bias (n_labels,), float64; a label that no window bears is never the answer.
    """
    labels, settings = windows.labels, job.recipe.training
    if settings.head_fit == "discriminant":
        weights, bias = fit_discriminants(values, views, labels, windows.weight, windows.recordings, job.n_labels)
    else:
        weights, bias = fit_views(values, views, labels, windows.weight, job.n_labels, settings.c)
    if labels.ndim == 1:
        absent = np.setdiff1d(np.arange(len(bias)), labels)
        bias[absent] = bias.min() - _NEVER
    else:
        bias[~(labels > 0.5).any(axis=0)] = -_NEVER
        bias[(labels > 0.5).all(axis=0)] = _NEVER
    return weights, bias


def fit_views(
    values: np.ndarray,
    views: Sequence[tuple[int, int]],
    labels: np.ndarray,
    weight: np.ndarray,
    n_labels: int,
    c: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the linear layer that is the mean of a regression a view.

    Args:
        values: (windows, values) float32, standardised.
        views: the first value and the end of each view.
        labels: (windows,) class numbers, or (windows, n_labels) 0 and 1.
        weight: (windows,) what each counts, more than 0; only ratios matter.
        n_labels: number of classes.
        c: weight of the data against the size of the weights.

    Returns:
        weights (n_labels, values) and bias (n_labels,), float64; zeros for a label that there is nothing to learn of.
    """
    from threadpoolctl import threadpool_limits  # here and not above: most trainings fit no regression

    def fit(view: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        return _regressions(values[:, slice(*view)], labels, weight / weight.mean(), n_labels, c)

    # Each step is too short to be divided: with two threads that wait for each other a fit takes ten times as long. So
    # each view has a thread to itself.
    with threadpool_limits(1), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        fitted = list(pool.map(fit, views))
    weights, bias = np.zeros((n_labels, values.shape[1])), np.zeros(n_labels)
    for (start, stop), (coefficients, intercepts) in zip(views, fitted, strict=True):
        weights[:, start:stop] += coefficients / len(views)
        bias += intercepts / len(views)
    return weights, bias


def _regressions(
    values: np.ndarray, labels: np.ndarray, weight: np.ndarray, n_labels: int, c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (n_labels, values) and bias (n_labels,); zeros where there is nothing to learn a label from."""
    weights, bias = np.zeros((n_labels, values.shape[1])), np.zeros(n_labels)
    if labels.ndim == 2:
        borne = labels > 0.5
        learned = np.flatnonzero(borne.any(axis=0) & ~borne.all(axis=0))
        if len(learned):
            weights[learned], bias[learned] = fit_logistic(values, borne[:, learned], weight, c, several=True)
        return weights, bias
    classes = np.unique(labels)
    if len(classes) == 2:  # one question, whose answer is half of it each way
        yes = fit_logistic(values, (labels == classes[1])[:, np.newaxis], weight, c, several=True)
        weights[classes], bias[classes] = (np.concatenate([-part, part]) / 2 for part in yes)
    elif len(classes) > 2:
        weights[classes], bias[classes] = fit_logistic(
            values, labels[:, np.newaxis] == classes, weight, c, several=False
        )
    return weights, bias


def _look(classifier: Classifier, cache: FeatureCache, clips: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    several = labels.ndim == 2
    probabilities = clip_probabilities(classifier.classify, cache, clips, torch.device("cpu"), several=several)
    return held_out_scores(probabilities, labels)
