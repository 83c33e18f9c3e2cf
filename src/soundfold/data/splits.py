"""Splits into training and test clips. Official folds are taken as they are; recordings are never divided, except by
`random_split`, which says so in its leaks.

All positions are rows of the clips table, int64, sorted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfold.data.allotting import Recordings, deal, hold_back, recordings_of
from soundfold.data.clips import Clips
from soundfold.data.leaks import Leaks, find_leaks, straddling
from soundfold.errors import DataError, did_you_mean
from soundfold.wording import counted, quoted

__all__ = [
    "Leaks",
    "Split",
    "by_fold",
    "by_recording",
    "check_classes_left",
    "default_split",
    "everything",
    "find_leaks",
    "fold_splits",
    "random_split",
    "straddling",
]

IntArray = NDArray[np.int64]
Kind: TypeAlias = Literal["fold", "random", "recordings", "all"]
_NAME_RECORDINGS = "Name recordings in a `group` column, or put each recording's clips in a sub-folder of its label."


@dataclass(frozen=True, eq=False)
class Split:
    """Which clips train and which test.

    Attributes:
        name: for people: "fold 3".
        kind: where it comes from: an official fold, a random draw, whole recordings, or all clips for training.
        fold: the test fold's name where there is one.
        train, test: positions in the clips table, shape (n,), int64, sorted, no position in both.
        leaks: what both sides share.
        notes: sentences on classes that are missing on one side.
    """

    name: str
    kind: Kind
    fold: str | None
    train: IntArray
    test: IntArray
    leaks: Leaks
    notes: tuple[str, ...] = ()


def by_fold(clips: Clips, fold: str) -> Split:
    """Test on one official fold and train on all others.

    Recordings that stand in both (UrbanSound8K has five) are named in the leaks and left where they are.

    Args:
        clips: a data set with folds of its own.
        fold: the test fold's name.

    Raises:
        DataError: when there are no official folds, no such fold, or none but this one.
    """
    if not clips.has_folds:
        raise DataError(
            f"{clips.root}: has no folds of its own, so there is no fold '{fold}'. "
            "Leave the fold out to hold back a fifth of the recordings, or give the table a column 'fold'."
        )
    _check_folds([str(fold)], clips.folds)
    if len(clips.folds) < 2:
        raise DataError(f"{clips.root}: has one fold only, '{fold}', so nothing is left to train on. Add another fold.")
    is_test = (clips.table["fold"] == str(fold)).to_numpy()
    return _split(clips, f"fold {fold}", "fold", str(fold), is_test)


def random_split(clips: Clips, fraction: float, seed: int) -> Split:
    """Draw test clips at random, class by class.

    Where clips bear several labels, each label gets about the same fraction of its clips tested.

    TRAP: clips of one recording come to stand on both sides, and the score is then no score for new recordings; the
    leaks say how many do.

    Args:
        clips: at least two.
        fraction: part of the clips to test on, above 0 and below 1; round(fraction · n) clips, from 1 to n - 1.
        seed: the same seed draws the same clips.

    Raises:
        DataError: when the fraction is out of range, or there are fewer than two clips.
    """
    _check_fraction(fraction)
    n = len(clips)
    if n < 2:
        raise DataError(f"{clips.root}: has {counted(n, 'clip')}, a split needs two or more. Add clips.")
    generator = np.random.default_rng(seed)
    name = f"random {100 * fraction:.3g} %"
    if clips.several:
        bins = hold_back(recordings_of(np.arange(n), clips.membership()), fraction, generator)
        if not bins.any():
            raise DataError(f"{clips.root}: every clip is the only one of a label, so none can be tested. Add clips.")
        return _split(clips, name, "random", None, bins == 1)
    ids = clips.class_ids()
    n_test = min(max(round(fraction * n), 1), n - 1)
    take = _seats(np.bincount(ids, minlength=len(clips.labels)), n_test, fraction, generator)
    is_test = np.zeros(n, dtype=bool)
    for label, count in enumerate(take.tolist()):
        is_test[generator.permutation(np.flatnonzero(ids == label))[:count]] = True
    return _split(clips, name, "random", None, is_test)


def by_recording(clips: Clips, fraction: float, seed: int) -> Split:
    """Hold back whole recordings, so that every class gets about the same fraction of its clips tested.

    A class with a single recording stays in training and is not tested; the notes name it.

    Args:
        clips: from at least two recordings.
        fraction: part of the clips to test on, above 0 and below 1; met as nearly as whole recordings allow.
        seed: the same seed draws the same recordings.

    Raises:
        DataError: when the fraction is out of range, or no recording can be spared from training.
    """
    _check_fraction(fraction)
    recordings = _recordings(clips)
    if len(recordings) < 2:
        raise DataError(
            f"{clips.root}: has {counted(len(recordings), 'recording')}, a split by recording needs two or more. "
            f"{_NAME_RECORDINGS}"
        )
    bins = hold_back(recordings, fraction, np.random.default_rng(seed))
    if not bins.any():
        raise DataError(
            f"{clips.root}: every recording is the only one of a class in training, so none can be tested. "
            "Add recordings: each class needs two or more."
        )
    is_test = bins[recordings.of_clip] == 1
    return _split(clips, f"recordings {100 * fraction:.3g} %", "recordings", None, is_test)


def everything(clips: Clips) -> Split:
    """Train on all clips and test on none."""
    return _split(clips, "everything", "all", None, np.zeros(len(clips), dtype=bool))


def default_split(clips: Clips, seed: int) -> Split:
    """Hold out the last official fold; without several folds, a fifth of the recordings.

    Raises:
        DataError: when no recording can be spared from training.
    """
    folds = clips.folds
    return by_fold(clips, folds[-1]) if len(folds) > 1 else by_recording(clips, 0.2, seed)


def fold_splits(clips: Clips, folds: Sequence[str] | None, k: int = 5, seed: int = 0) -> list[Split]:
    """Make the splits of a cross-validation: each chosen fold tested once, trained on all other folds.

    Official folds are used where there are any, and `k` and `seed` are then not; else whole recordings are allotted to
    `k` folds named "1" to "k", each class spread over them as evenly as its recordings allow.

    Args:
        clips: the data set.
        folds: the folds to test, in this order; None for all.
        k: number of folds to make where there are none, 2 or more.
        seed: the same seed makes the same folds.

    Raises:
        DataError: an unknown fold, fewer recordings than folds, or a fold that leaves only one class to train on.
    """
    wanted = None if folds is None else [folds] if isinstance(folds, str) else [str(fold) for fold in folds]
    if wanted is not None and not wanted:
        raise DataError("folds must name one fold or more, got none. Leave it out to test every fold.")
    if clips.has_folds:
        return [by_fold(clips, fold) for fold in dict.fromkeys(wanted or clips.folds)]
    if k < 2:
        raise DataError(f"k must be 2 or more, got {k}. Five is usual.")
    names = tuple(str(number + 1) for number in range(k))
    _check_folds(wanted or [], names)
    recordings = _recordings(clips)
    if len(recordings) < k:
        raise DataError(
            f"{clips.root}: has {counted(len(recordings), 'recording')}, too few for k={k} folds. "
            f"Add recordings, or name the folds in a column 'fold'."
        )
    bins = deal(recordings, k, np.random.default_rng(seed))
    of_clip = bins[recordings.of_clip]
    splits = [
        _split(clips, f"recordings {name} of {k}", "recordings", name, of_clip == number)
        for number, name in enumerate(names)
    ]
    check_classes_left(clips, splits)
    return splits if wanted is None else [splits[names.index(fold)] for fold in dict.fromkeys(wanted)]


def _split(
    clips: Clips,
    name: str,
    kind: Kind,
    fold: str | None,
    is_test: NDArray[np.bool_],
) -> Split:
    train, test = (np.flatnonzero(side).astype(np.int64) for side in (~is_test, is_test))
    split = Split(name, kind, fold, train, test, find_leaks(clips, train, test))
    return replace(split, notes=tuple(_notes(clips, split)))


def _notes(clips: Clips, split: Split) -> Iterator[str]:
    if split.kind == "all":
        return
    borne = clips.membership()
    trained, tested = ({clips.labels[k] for k in np.flatnonzero(borne[side].any(axis=0))}
                       for side in (split.train, split.test))  # fmt: skip
    if tested - trained:
        yield f"{split.name}: no clip of {quoted(tested - trained)} is left to train on, so none can be recognised."
    if trained - tested:
        yield f"{split.name}: {quoted(trained - tested)} is not tested."


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise DataError(f"fraction must be above 0 and below 1, got {fraction}. A fifth, 0.2, is usual.")


def _check_folds(wanted: Sequence[str], known: Sequence[str]) -> None:
    for fold in wanted:
        if fold not in known:
            near = did_you_mean(fold, known) if len(fold) > 2 else ""
            hint = near if "Did you mean" in near else ""
            raise DataError(f"fold must be one of {', '.join(known)}, got '{fold}'.{hint or ' Choose one of these.'}")


def _recordings(clips: Clips) -> Recordings:
    codes, _ = pd.factorize(clips.table["group"])
    return recordings_of(codes.astype(np.int64), clips.membership())


def _seats(counts: IntArray, n_test: int, fraction: float, generator: np.random.Generator) -> IntArray:
    """Share the test clips out among classes by the largest remainder, leaving every class one clip to train on."""
    most = np.maximum(counts - 1, 0)
    if most.sum() < n_test:  # more to test than that leaves: some classes go to the test side whole
        most = counts
    take: IntArray = np.minimum(np.floor(fraction * counts).astype(np.int64), most)
    remainder = fraction * counts - take + 1e-9 * generator.random(len(counts))  # ties are drawn
    while take.sum() != n_test:
        step = 1 if take.sum() < n_test else -1
        free = take < most if step > 0 else take > 0
        chosen = int(np.argmax(np.where(free, step * remainder, -np.inf)))
        take[chosen] += step
        remainder[chosen] -= step
    return take


def check_classes_left(clips: Clips, splits: Sequence[Split]) -> None:
    """Raise if a split leaves one class only to train on; jobs ask this of every split before they begin.

    Raises:
        DataError: a split's training side holds a single class (the same labels in each clip, where these may be
            several), although the clips hold more.
    """
    labels = clips.table["label"]
    if labels.nunique() < 2:
        return  # that there is one class only is told by check_trainable
    for split in splits:
        if labels.iloc[split.train].nunique() < 2:
            raise DataError(
                f"{clips.root}: the split '{split.name}' leaves one class only to train on. "
                "Hold out other clips, or add recordings of the other classes."
            )
