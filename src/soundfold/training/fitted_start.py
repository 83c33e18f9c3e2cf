"""What of a network is fitted in one go before its training begins: a linear layer, by logistic regression.

A network that begins at the answer of the preset `probe` has a pretrained network's views under that layer. The views
of all windows are computed once and kept beside the features; every fold and every seed begins from them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from soundfold.atomic import replacing
from soundfold.models import Classifier, ProbedNetwork, TexturedNet
from soundfold.training.feature_cache import FeatureCache
from soundfold.training.fitting import FitJob
from soundfold.training.linear_fit import fit_head, fit_views, standardise, training_windows

__all__ = ["begin_fitted"]

_BATCH = 64


def begin_fitted(classifier: Classifier, job: FitJob, cache: FeatureCache) -> None:
    """Set a network's fitted part to what logistic regression finds on the training clips; most networks have none.

    Args:
        classifier: new, with its pretrained weights and the training clips' statistics; changed in place.
        job: what to learn; its recipe's `training.c` and the clips' weights are the regression's.
        cache: the features of all clips.
    """
    network = classifier.network
    if isinstance(network, TexturedNet):
        fit_head(network.regression, classifier, job, cache)
    if isinstance(network, ProbedNetwork):
        _begin_at_probe(network, classifier, job, cache)


def _begin_at_probe(network: ProbedNetwork, classifier: Classifier, job: FitJob, cache: FeatureCache) -> None:
    views = _kept_views(classifier, network, job.features, cache)
    rows, labels, counts = training_windows(job, cache)
    values = views[rows]
    mean, std = standardise(values)
    weight, bias = fit_views(values, network.views, labels, counts, job.n_labels, job.recipe.training.c)
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
