"""How much each training clip counts: so that neither a common class nor a recording cut into many clips rules."""

import numpy as np

from soundfold.data.clips import Clips

__all__ = ["clip_weights"]


def clip_weights(clips: Clips, train: np.ndarray, weighting: str) -> np.ndarray:
    """Return what each training clip counts, 1 on average.

    Args:
        clips: the table.
        train: (n,) the rows that train.
        weighting: none, classes (all classes count alike), or recordings (classes alike, and within them a clip counts
            1 / √k where k training clips come from its recording: the middle between counting clips and recordings).
            A clip of several labels belongs to the classes of all of them in equal parts; those of none are a class.

    Returns:
        (n,) float64.
    """
    weight: np.ndarray = np.ones(len(train))
    if weighting == "none":
        return weight
    if weighting == "recordings":
        _, number, count = np.unique(
            clips.table["group"].to_numpy()[train].astype(str), return_inverse=True, return_counts=True
        )
        weight = 1.0 / np.sqrt(count[number])
    borne = clips.membership()[train]
    borne = np.concatenate([borne, ~borne.any(axis=1, keepdims=True)], axis=1)
    clip, label = np.nonzero(borne)
    part = 1.0 / borne.sum(axis=1)[clip]
    held = np.bincount(label, weight[clip] * part)
    weight = np.bincount(clip, weight[clip] * part / held[label])
    return np.asarray(weight / weight.mean())
