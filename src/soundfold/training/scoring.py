"""Probabilities of clips from kept features: no augmentation, running statistics, the same answer in any batch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from soundfold.training.feature_cache import FeatureCache, runs_of
from soundfold.training.feature_source import FeatureSource, MappedFeatures

__all__ = ["clip_probabilities"]

_BATCH = 64


def clip_probabilities(
    classify: Callable[[Tensor], Tensor],
    cache: FeatureCache,
    clips: np.ndarray,
    device: torch.device,
    source: FeatureSource | None = None,
) -> np.ndarray:
    """Return class probabilities of clips; a clip of several windows gets their mean, weighted by the sound in each.

    Args:
        classify: features (batch, channels, n_mels, frames) → logits, in evaluation mode.
        cache: the kept features.
        clips: (n,) rows of the store.
        device: where to compute.
        source: where the features come from; None for the cache's own file.

    Returns:
        (n, n_labels) float64.
    """
    first, count = cache.windows_of(clips)
    owner = np.repeat(np.arange(len(clips)), count)
    rows = runs_of(first, count)
    with torch.inference_mode():
        batches = [rows[begin : begin + _BATCH] for begin in range(0, len(rows), _BATCH)]
        stream = (source or MappedFeatures(cache)).stream(batches)
        parts = [classify(features.to(device)).float().softmax(dim=-1) for features in stream]
    if not parts:
        return np.zeros((0, 0))
    probabilities = torch.cat(parts).cpu().double().numpy()  # brought over once: the device need not wait for the host
    weight = cache.weight[rows].astype(np.float64)
    summed = np.zeros((len(clips), probabilities.shape[1]))
    np.add.at(summed, owner, probabilities * weight[:, None])
    return summed / np.bincount(owner, weight, minlength=len(clips))[:, None]
