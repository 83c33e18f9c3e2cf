"""Parts of the training clips, so that some recordings can be left out of a fit and asked about it."""

import numpy as np
import numpy.typing as npt

__all__ = ["PARTS", "parts_of_recordings"]

PARTS = 5


def parts_of_recordings(recordings: np.ndarray, labels: np.ndarray) -> npt.NDArray[np.int64]:
    """Return each row's part (rows,), 0 to 4: all of a recording's are in one, and each class is in all if it can be.

    The same recordings and classes always give the same parts.

    Args:
        recordings: (rows,) number of each row's recording.
        labels: (rows,) class numbers, or (rows, n_labels) 0 and 1; a recording goes with the first of its own.
    """
    firsts = labels if labels.ndim == 1 else labels.argmax(axis=1)
    _, number = np.unique(recordings, return_inverse=True)
    label = np.full(number.max() + 1, firsts.max())
    np.minimum.at(label, number, firsts)
    shuffled = np.random.default_rng(0).permutation(len(label))  # neighbours by name are often alike
    part = np.empty_like(label)
    part[shuffled[np.argsort(label[shuffled], kind="stable")]] = np.arange(len(label)) % PARTS
    return part[number]
