"""What a network is before its training begins: its pretrained weights, and what is fitted in one go, a linear layer.

A network that begins at the answer of the preset `probe` has a pretrained network's views under that layer. The views
of all windows are computed once and kept beside the features; every fold and every seed begins from them.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from soundfold.atomic import replacing
from soundfold.models import Classifier, ProbedNetwork, TexturedNet, build_classifier
from soundfold.training.feature_cache import FeatureCache, open_feature_cache, runs_of
from soundfold.training.fitting import FitJob
from soundfold.training.history import EpochRecord
from soundfold.training.linear_fit import fit_head, leave_fitted, solve, standardise, training_windows

__all__ = ["begin_classifier", "heard_windows", "leave_as_begun"]

_BATCH = 64


def begin_classifier(job: FitJob, cache: FeatureCache, *, fitted: bool = True) -> Classifier:
    """Return a training's classifier before its first step, on the CPU.

    Args:
        job: what to learn; of a network with a part that is fitted in one go, its recipe's `training.head_fit`,
            `training.c` and the clips' weights are that fit's. Most networks have none.
        cache: the features of all clips.
        fitted: do the fit; not needed where a checkpoint is restored.
    """
    first, count = heard_windows(job, cache)
    classifier = build_classifier(job.recipe, job.n_labels, job.recipe.training.seed, job.weights_file)
    statistics = cache.statistics(runs_of(first, count), per_band=job.recipe.features.per_band)
    classifier.standardise.set_statistics(*statistics)
    network = classifier.network
    if fitted and isinstance(network, TexturedNet):
        fit_head(network.regression, classifier, job, cache)
    if fitted and isinstance(network, ProbedNetwork):
        _begin_at_probe(network, classifier, job, cache)
    return classifier


def leave_as_begun(job: FitJob, path_name: str, on_epoch: Callable[[EpochRecord], None]) -> None:
    """Leave a training's classifier as it begins, as if it were finished; see `leave_fitted`."""
    started = time.perf_counter()
    cache = open_feature_cache(job.features)
    classifier = begin_classifier(job, cache)
    leave_fitted(classifier, job, cache, path_name, time.perf_counter() - started, on_epoch)


def heard_windows(job: FitJob, cache: FeatureCache) -> tuple[np.ndarray, np.ndarray]:
    """Return the first window of each training clip and how many of its windows a training may hear, (n,) each."""
    first, count = cache.windows_of(job.train)
    return first, np.ones_like(count) if job.recipe.augment.crop == "start" else count


def _begin_at_probe(network: ProbedNetwork, classifier: Classifier, job: FitJob, cache: FeatureCache) -> None:
    views = _kept_views(classifier, network, job.features, cache)
    windows = training_windows(job, cache)
    values = views[windows.rows]
    mean, std = standardise(values)
    weight, bias = solve(values, network.views, windows, job)
    mean_, std_, weight_, bias_ = (torch.from_numpy(part).float() for part in (mean, std, weight, bias))
    network.set_head(mean_, std_, weight_, bias_)


def _kept_views(classifier: Classifier, network: ProbedNetwork, folder: Path, cache: FeatureCache) -> np.ndarray:
    """Return the views (windows, values) of all windows, computed by whoever comes first."""
    path = folder / f"views{len(network.views)}-{_digest(network.network.state_dict())}.npy"
    with FileLock(folder / "views.lock"):
        if not path.exists():
            found = np.empty((len(cache.clip), network.views[-1][1]), dtype=np.float32)
            network.eval()
            with torch.inference_mode():
                for rows in np.array_split(np.arange(len(found)), max(1, len(found) // _BATCH)):
                    found[rows] = network.view(classifier.prepare(cache.gather(rows))).numpy()
            with replacing(path) as part, part.open("wb") as file:
                np.save(file, found)
        views: np.ndarray = np.load(path, mmap_mode="r")
    return views


def _digest(state: Mapping[str, Tensor]) -> str:
    content = hashlib.blake2b(digest_size=8)
    for name, value in state.items():
        content.update(name.encode())
        content.update(value.contiguous().numpy().tobytes())
    return content.hexdigest()
