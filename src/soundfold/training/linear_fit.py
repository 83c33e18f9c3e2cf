"""Fitting a linear head in one go: multinomial logistic regression, solved to its optimum, no epochs and no seed.

Each view of an embedding gets a regression of its own, and the mean of their logits is the answer: the views err in
their own ways, and one regression over all of them overfits sooner. As all is linear, the mean is one linear layer.
"""

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from soundfold.models import Classifier, Embedding, LinearNet, build_classifier
from soundfold.training.checkpoint import Checkpoint, save_checkpoint
from soundfold.training.feature_cache import FeatureCache, open_feature_cache, runs_of
from soundfold.training.fitting import FitJob
from soundfold.training.history import EpochRecord, History
from soundfold.training.scoring import clip_probabilities

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = ["fit_linear"]

_MOST_ITERATIONS = 1_000
_NEAR_ENOUGH = 1e-4
"""Largest gradient at the end; ten times as much halves the time, and shows in the second digit of small fits."""


def fit_linear(job: FitJob, path_name: str, on_epoch: Callable[[EpochRecord], None]) -> None:
    """Fit the head, and leave a checkpoint and a history of one epoch, as the loop does.

    Args:
        job: what to learn; its recipe's model is linear.
        path_name: of the checkpoint in the job's folder.
        on_epoch: called once.
    """
    started = time.perf_counter()
    cache = open_feature_cache(job.features)
    first, count = cache.windows_of(job.train)
    rows = runs_of(first, count)
    owner = np.repeat(np.arange(len(job.train)), count)
    classifier = build_classifier(job.recipe, job.n_labels, job.recipe.training.seed, job.weights_file)
    classifier.standardise.set_statistics(*cache.statistics(rows, per_band=True))
    weights = np.ones(len(job.train)) if job.train_weights is None else job.train_weights
    weight = weights[owner] / count[owner]  # a clip counts once, in however many windows it stands
    _fit_head(classifier, cache, rows, job.train_labels[owner], weight, job.recipe.training.c)
    train_s = time.perf_counter() - started
    classifier.eval()
    loss, accuracy = _look(classifier, cache, job.train, job.train_labels)
    val_loss, val_accuracy = (
        _look(classifier, cache, job.held_out, job.held_out_labels) if len(job.held_out) else (None, None)
    )
    record = EpochRecord(
        job.recipe.training.epochs, loss, accuracy, val_loss, val_accuracy, job.recipe.training.c, train_s
    )
    with History(job.folder, []) as history:
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


def _fit_head(
    classifier: Classifier, cache: FeatureCache, rows: np.ndarray, labels: np.ndarray, weight: np.ndarray, c: float
) -> None:
    """Set the linear layer to the mean of the views' regressions."""
    with torch.inference_mode():
        values = classifier.prepare(cache.gather(rows)).flatten(1).numpy()
    network = classifier.network
    assert isinstance(network, LinearNet)
    front_end = classifier.features
    views = front_end.views if isinstance(front_end, Embedding) else [(0, values.shape[1])]
    weights, bias = np.zeros(network.head.weight.shape), np.zeros(network.head.bias.shape)
    for start, stop in views:
        found = _regression(values[:, start:stop], labels, weight / weight.mean(), c)
        for row, label in enumerate(found.classes_):
            weights[label, start:stop] += found.coef_[row] / len(views)
            bias[label] += found.intercept_[row] / len(views)
    absent = np.setdiff1d(np.arange(len(bias)), labels)
    bias[absent] = bias.min() - 20.0  # a class without a clip to learn from is never the answer
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weights))
        network.head.bias.copy_(torch.from_numpy(bias))


def _regression(values: np.ndarray, labels: np.ndarray, weight: np.ndarray, c: float) -> "LogisticRegression":
    # here and not above: fifty megabytes in each of several processes, most of which fit no regression
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many steps no answer changes any more
        found = LogisticRegression(C=c, tol=_NEAR_ENOUGH, max_iter=_MOST_ITERATIONS).fit(
            values, labels, sample_weight=weight
        )
    if len(found.classes_) == 2:  # scikit-learn keeps one row for two classes: half of it each way
        found.coef_ = np.concatenate([-found.coef_, found.coef_]) / 2
        found.intercept_ = np.concatenate([-found.intercept_, found.intercept_]) / 2
    return found


def _look(classifier: Classifier, cache: FeatureCache, clips: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    probabilities = clip_probabilities(classifier.classify, cache, clips, torch.device("cpu"))
    told = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(told, 1e-12)).mean()), float((probabilities.argmax(axis=1) == labels).mean())
