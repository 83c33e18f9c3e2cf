"""Probabilities of clips from kept features: no augmentation, running statistics, the same answer in any batch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from soundfold.models import to_probabilities
from soundfold.training.feature_cache import FeatureCache, runs_of
from soundfold.training.feature_source import Mapped, Source

__all__ = ["clip_probabilities", "held_out_scores"]

_BATCH = 64
_LEAST = 1e-12  # of a probability in a loss


def clip_probabilities(
    classify: Callable[[Tensor], Tensor],
    cache: FeatureCache,
    clips: np.ndarray,
    device: torch.device,
    source: Source | None = None,
    *,
    several: bool = False,
) -> np.ndarray:
    """Return probabilities of clips' labels; a clip of several windows gets their mean, weighted by the sound in each.

    Args:
        classify: features (batch, channels, n_mels, frames) → logits, in evaluation mode.
        cache: the kept features.
        clips: (n,) rows of the store.
        device: where to compute.
        source: where the features come from; None for the cache's own file.
        several: each label has a probability of its own; else those of a clip sum to 1.

    Returns:
        (n, n_labels) float64.
    """
    first, count = cache.windows_of(clips)
    owner = np.repeat(np.arange(len(clips)), count)
    rows = runs_of(first, count)
    with torch.inference_mode():
        batches = [rows[begin : begin + _BATCH] for begin in range(0, len(rows), _BATCH)]
        stream = (source or Mapped(cache)).stream(batches)
        parts = [to_probabilities(classify(features.to(device)).float(), several=several) for features in stream]
    if not parts:
        return np.zeros((0, 0))
    probabilities = torch.cat(parts).cpu().double().numpy()  # brought over once: the device need not wait for the host
    weight = cache.weight[rows].astype(np.float64)
    summed = np.zeros((len(clips), probabilities.shape[1]))
    np.add.at(summed, owner, probabilities * weight[:, None])
    return summed / np.bincount(owner, weight, minlength=len(clips))[:, None]


def held_out_scores(probabilities: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Return the mean loss of clips, and their accuracy; of several labels the mean average precision.

    As `evaluation` has it: over the labels that any of the clips bears.

    Args:
        probabilities: (n, n_labels).
        targets: (n,) class numbers, or (n, n_labels) 0 and 1.
    """
    if targets.ndim == 1:
        told = probabilities[np.arange(len(targets)), targets]
        right = probabilities.argmax(axis=1) == targets
        return float(-np.log(np.maximum(told, _LEAST)).mean()), float(right.mean())
    told = np.where(targets > 0.5, probabilities, 1.0 - probabilities)
    loss, occurs = float(-np.log(np.maximum(told, _LEAST)).mean()), targets.any(axis=0)
    if not occurs.any():
        return loss, 0.0
    from sklearn.metrics import average_precision_score  # here: fifty megabytes, for clips of several labels alone

    return loss, float(average_precision_score(targets[:, occurs], probabilities[:, occurs]))
