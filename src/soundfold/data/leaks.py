"""Leaks: which recordings and identical sounds stand on both sides of a split, and the sentence that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfold.data.clips import Clips
from soundfold.errors import DataError
from soundfold.wording import counted, natural_order

__all__ = ["UNKNOWN_RECORDINGS", "Leaks", "find_leaks", "straddling"]

UNKNOWN_RECORDINGS = (
    "Recordings are unknown, so leaks between clips of one recording cannot be seen; "
    "name them in a `group` column, or put each recording's clips in a sub-folder of its label."
)
_MOST_NAMED = 20


@dataclass(frozen=True)
class Leaks:
    """What a test set shares with the training set.

    Attributes:
        n_test: clips in the test set.
        shared_clips: test clips whose recording has clips in training.
        shared_recordings: the recordings on both sides, in natural order.
        identical_clips: test clips whose sound is, sample by sample, that of a training clip, silence apart.
        groups_known: False when nothing says which clips come from one recording.
    """

    n_test: int
    shared_clips: int
    shared_recordings: tuple[str, ...]
    identical_clips: int = 0
    groups_known: bool = True

    @property
    def share(self) -> float:
        """Part of the test clips that share a recording with training, 0 to 1; 0 without a test set."""
        return self.shared_clips / self.n_test if self.n_test else 0.0

    @property
    def sentence(self) -> str:
        """What a user must know before believing the score; empty when there is nothing to tell."""
        if not self.n_test:
            return ""
        told = []
        if self.shared_clips:
            told.append(
                f"{_percent(self.share)} of test clips share a recording with training; expect less on new recordings."
            )
            if len(self.shared_recordings) <= 5:
                told.append(f"Recordings on both sides: {', '.join(self.shared_recordings)}.")
        if self.identical_clips:
            clips = counted(self.identical_clips, "test clip is", "test clips are")
            told.append(f"{clips} the same sound as a training clip; see `soundfold data check`.")
        if not self.groups_known:
            told.append(UNKNOWN_RECORDINGS)
        return " ".join(told)

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form; at most 20 recordings are named."""
        return {
            "clips": self.shared_clips,
            "share": self.share,
            "recordings": list(self.shared_recordings[:_MOST_NAMED]),
            "identical_clips": self.identical_clips,
            "groups_known": self.groups_known,
            "sentence": self.sentence,
        }


def find_leaks(
    clips: Clips,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    sound_hashes: Sequence[str] | None = None,
) -> Leaks:
    """Find what a test set shares with the training set.

    Args:
        clips: the whole data set.
        train: positions of the training clips, int64.
        test: positions of the test clips, int64.
        sound_hashes: one digest of the decoded sound a clip, "" where unknown or silent; None when nothing was decoded.

    Returns:
        Counts and names; `identical_clips` is 0 without hashes.

    Raises:
        DataError: when there is not one hash a clip.
    """
    codes, names = pd.factorize(clips.table["group"])
    shared = _on_both_sides(codes[train], codes[test], len(names))
    identical = 0
    if sound_hashes is not None:
        if len(sound_hashes) != len(clips):
            raise DataError(f"sound_hashes must hold one a clip, {len(clips)}, got {len(sound_hashes)}.")
        sounds, digests = pd.factorize(np.asarray(sound_hashes, dtype=object))
        same = _on_both_sides(sounds[train], sounds[test], len(digests))
        same[[digest == "" for digest in digests]] = False
        identical = int(same[sounds[test]].sum())
    return Leaks(
        n_test=len(test),
        shared_clips=int(shared[codes[test]].sum()),
        shared_recordings=natural_order(str(name) for name in names[shared]),
        identical_clips=identical,
        groups_known=clips.groups_known,
    )


def straddling(clips: Clips) -> dict[str, tuple[str, ...]]:
    """Return the recordings that stand in several official folds, with those folds; both in natural order."""
    if not clips.has_folds:
        return {}
    folds: dict[str, set[str]] = {}
    for group, fold in zip(clips.table["group"], clips.table["fold"], strict=True):
        folds.setdefault(group, set()).add(fold)
    return {group: natural_order(folds[group]) for group in natural_order(folds) if len(folds[group]) > 1}


def _on_both_sides(train: NDArray[np.int64], test: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    return (np.bincount(train, minlength=n) > 0) & (np.bincount(test, minlength=n) > 0)


def _percent(share: float) -> str:
    """Write a share so that neither few nor nearly all reads as none or all."""
    if share < 0.01:
        return f"{100 * share:.1g} %"
    if 0.99 < share < 1:
        return "99 %"
    return f"{share:.0%}".replace("%", " %")
