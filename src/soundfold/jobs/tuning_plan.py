"""What is searched on which clips: a search for each outer test fold on the other folds, and one on all clips.

The inner folds of a search are made from the clips that it may see, and from nothing else: the split that a trial gets
names no clip of the outer test fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from soundfold.atomic import plain_name
from soundfold.data.clips import Clips
from soundfold.data.leaks import find_leaks
from soundfold.data.splits import Split, fold_splits

__all__ = ["KEEP", "Search", "plan_searches"]

KEEP = "all folds"
"""The name of the search whose best recipe is kept."""


@dataclass(frozen=True, eq=False)
class Search:
    """One search.

    Attributes:
        name: "fold 3" for the one that never sees fold 3, or `KEEP`.
        outer: the split that scores what is found; None for the search whose recipe is kept.
        inner: the splits that score a trial, in positions of the whole table.
    """

    name: str
    outer: Split | None
    inner: tuple[Split, ...]

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return plain_name(self.name)


def plan_searches(clips: Clips, outer: Sequence[Split], parts: int, seed: int) -> list[Search]:
    """Return a search for each outer fold, and the one whose recipe is kept.

    Args:
        clips: the data set.
        outer: the splits that are scored in the end.
        parts: inner folds of each search, 2 or more. Official folds are kept whole and joined into so many parts where
            there are that many or more; else recordings are dealt out to them.
        seed: the same seed makes the same inner folds.

    Raises:
        DataError: too few recordings are left for so many parts, or a part leaves one class only to train on.
    """
    searches = [Search(f"fold {split.fold}", split, _inner(clips, split.train, parts, seed)) for split in outer]
    return [*searches, Search(KEEP, None, _inner(clips, np.arange(len(clips)), parts, seed))]


def _inner(clips: Clips, seen: np.ndarray, parts: int, seed: int) -> tuple[Split, ...]:
    mine = clips.subset(seen)
    folds = mine.folds
    if len(folds) >= max(parts, 3):
        # joined folds stand under one name; which stand together decides nothing but the parts' sizes
        names = {fold: f"{number % parts + 1}" for number, fold in enumerate(folds)}
        mine = replace(mine, table=mine.table.assign(fold=mine.table["fold"].map(names)))
    else:
        mine = replace(mine, table=mine.table.assign(fold=None))
    divided = fold_splits(mine, None, k=parts, seed=seed)
    return tuple(_on_the_whole(clips, seen, split) for split in divided)


def _on_the_whole(clips: Clips, seen: np.ndarray, split: Split) -> Split:
    """Return a split of some clips as one of the whole table, so that rows and classes keep their numbers."""
    train, test = seen[split.train].astype(np.int64), seen[split.test].astype(np.int64)
    return replace(split, train=train, test=test, leaks=find_leaks(clips, train, test))
