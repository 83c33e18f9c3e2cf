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

    Returns:
        (n,) float64.
    """
    weight = np.ones(len(train))
    if weighting == "none":
        return weight
    if weighting == "recordings":
        _, number, count = np.unique(
            clips.table["group"].to_numpy()[train].astype(str), return_inverse=True, return_counts=True
        )
        weight = 1.0 / np.sqrt(count[number])
    labels = clips.class_ids()[train]
    weight = weight / np.bincount(labels, weight)[labels]
    return np.asarray(weight / weight.mean())
