"""Allot whole recordings to bins so that each bin gets its share of every class: the engine of splits by recording.

The key idea: recordings go one by one, the largest first, each to the bin where it does least harm. Harm is chi
squared: the squared distance between a bin's part of a class and the bin's share, divided by the share, summed over
classes. The clips as such count as one more class, which keeps the bins' sizes right too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Recordings", "deal", "hold_back", "recordings_of"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recordings:
    """Clips per recording and class, as a sparse table sorted by recording.

    Attributes:
        of_clip: recording of each clip, shape (clips,).
        recording, label, count: one entry a pair of recording and class that occurs, shape (pairs,).
        first: where a recording's pairs begin, shape (recordings + 1,).
    """

    of_clip: IntArray
    recording: IntArray
    label: IntArray
    count: IntArray
    first: IntArray

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def sizes(self) -> IntArray:
        """Clips of each recording, shape (recordings,)."""
        return np.bincount(self.of_clip, minlength=len(self)).astype(np.int64)

    def with_label(self, label: int) -> IntArray:
        """Recordings that hold a class."""
        held: IntArray = self.recording[self.label == label]
        return held

    def per_label(self) -> IntArray:
        """Recordings of each class, shape (classes,)."""
        return np.bincount(self.label).astype(np.int64)


def recordings_of(groups: IntArray, borne: NDArray[np.bool_]) -> Recordings:
    """Count clips per recording and class.

    Args:
        groups: a number for the recording of each clip, any numbers; the table counts them from 0, in their order.
        borne: which classes each clip bears, (clips, classes).

    Returns:
        The sparse table.
    """
    n_labels = borne.shape[1]
    known, of_clip = np.unique(groups, return_inverse=True)
    clip, label = np.nonzero(borne)
    pairs, counts = np.unique(of_clip[clip] * n_labels + label, return_counts=True)
    recording = pairs // n_labels
    first = np.searchsorted(recording, np.arange(len(known) + 1))
    return Recordings(of_clip, recording, pairs % n_labels, counts.astype(np.int64), first.astype(np.int64))


def hold_back(recordings: Recordings, fraction: float, generator: np.random.Generator) -> IntArray:
    """Choose recordings to test on, about the same fraction of every class, such that no class is missing in training.

    Args:
        recordings: clips per recording and class, two recordings or more.
        fraction: part of the clips to test on, above 0 and below 1.
        generator: draws the order among recordings of one size.

    Returns:
        1 for each recording to test on and 0 for the others; all 0 when each is the only one of some class.
    """
    alone = _alone(recordings)
    bins = _allot(recordings, np.array([1 - fraction, fraction]), generator, dict.fromkeys(alone.tolist(), 0))
    sizes = recordings.sizes
    for label in range(len(recordings.per_label())):
        holders = recordings.with_label(label)
        if len(holders) and (bins[holders] == 1).all():
            bins[holders[sizes[holders].argmin()]] = 0
    if not bins.any():
        free = np.setdiff1d(np.arange(len(recordings)), alone)
        if len(free):
            bins[free[sizes[free].argmin()]] = 1
    return bins


def deal(recordings: Recordings, k: int, generator: np.random.Generator) -> IntArray:
    """Deal recordings out to folds, each class spread as evenly as its recordings allow.

    Args:
        recordings: clips per recording and class, `k` recordings or more.
        k: number of folds, 2 or more.
        generator: draws the order among recordings of one size.

    Returns:
        The fold of each recording, 0..k-1, each fold at least once, shape (recordings,).
    """
    bins = _allot(recordings, np.full(k, 1 / k), generator, {})
    _fill_empty_folds(recordings, bins, k)
    for _ in range(3):  # a move for one class may undo another's; after three rounds it stays
        if not _spread_classes(recordings, bins, k):
            break
    return bins


def _alone(recordings: Recordings) -> IntArray:
    """Recordings that are the only one of a class."""
    return np.unique(recordings.recording[recordings.per_label()[recordings.label] == 1])


def _allot(
    recordings: Recordings, shares: NDArray[np.float64], generator: np.random.Generator, fixed: dict[int, int]
) -> IntArray:
    """Allot each recording to a bin, those in `fixed` first and to the bin they are given there."""
    totals = np.append(np.bincount(recordings.label, weights=recordings.count), len(recordings.of_clip))
    everything = len(totals) - 1
    filled = np.zeros((len(shares), len(totals)))
    bins = np.full(len(recordings), -1, dtype=np.int64)
    sizes = recordings.sizes
    shuffled = generator.permutation(len(recordings))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    if fixed:
        order = np.concatenate([np.array(list(fixed), dtype=np.int64), order[~np.isin(order, list(fixed))]])
    share = shares[:, None]
    for recording in order.tolist():
        span = slice(recordings.first[recording], recordings.first[recording + 1])
        columns = np.append(recordings.label[span], everything)
        counts = np.append(recordings.count[span], sizes[recording])
        total = totals[columns]
        if recording in fixed:
            chosen = fixed[recording]
        else:
            # What ((filled + count) / total - share)² / share grows by over ((filled) / total - share)² / share.
            harm = counts / total * ((2 * filled[:, columns] + counts) / (share * total) - 2)
            chosen = int(harm.sum(axis=1).argmin())
        filled[chosen, columns] += counts
        bins[recording] = chosen
    return bins


def _fill_empty_folds(recordings: Recordings, bins: IntArray, k: int) -> None:
    """Move the smallest recording of the fold with most recordings into each fold that got none."""
    for empty in range(k):
        held = np.bincount(bins, minlength=k)
        if held[empty] == 0:
            rich = np.flatnonzero(bins == held.argmax())
            bins[rich[recordings.sizes[rich].argmin()]] = empty


def _spread_classes(recordings: Recordings, bins: IntArray, k: int) -> bool:
    """Take a recording of each class that stands in one fold, though it has several, to the smallest other fold."""
    moved = False
    for label, n_recordings in enumerate(recordings.per_label().tolist()):
        holders = recordings.with_label(label)
        if n_recordings < 2 or len(set(bins[holders].tolist())) > 1:
            continue
        here = int(bins[holders[0]])
        if (bins == here).sum() < 2:
            continue
        filled = np.bincount(bins, weights=recordings.sizes, minlength=k)
        filled[here] = np.inf
        bins[holders[recordings.sizes[holders].argmin()]] = int(filled.argmin())
        moved = True
    return moved
