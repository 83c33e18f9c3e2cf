"""Which clips two tables of predictions have in common: the same part of the same file, wherever the files lie.

A clip is known by its path inside its data set, its start and its end. Two runs may have read the data set from
different places, so the data set's folder is taken off the path where it is known.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd

from soundfold.errors import DataError
from soundfold.evaluation.predictions import is_of_several, labels_in
from soundfold.wording import counted, quoted

__all__ = ["Pairing", "pair_clips"]


@dataclass(frozen=True, eq=False)
class Pairing:
    """The answers of two runs to the same clips.

    Attributes:
        a, b: rows of the two tables, row i of both being the same clip; in the order of the clips' names.
        unmatched_a, unmatched_b: clips that only one of them has.
    """

    a: pd.DataFrame
    b: pd.DataFrame
    unmatched_a: int
    unmatched_b: int


def pair_clips(a: pd.DataFrame, b: pd.DataFrame, names: Sequence[str], roots: Sequence[str | None]) -> Pairing:
    """Return the rows of two tables of predictions that are of the same clips.

    Args:
        a, b: tables of predictions.
        names: what the two are called in messages.
        roots: each one's data set folder, absolute; None where it is not known.

    Raises:
        DataError: the runs have no clip in common, know different labels, disagree on a clip's truth, or on whether
            clips bear several labels.
    """
    known_a, known_b = set(labels_in(a)), set(labels_in(b))
    if known_a != known_b:
        apart = [f"{quoted(only)} only in {name}" for name, only in
                 ((names[0], known_a - known_b), (names[1], known_b - known_a)) if only]  # fmt: skip
        raise DataError(f"runs must know the same labels to be compared, got {' and '.join(apart)}. "
                        f"Compare runs on the same data set")  # fmt: skip
    if is_of_several(a) != is_of_several(b):
        one, other = names if is_of_several(a) else reversed(names)
        raise DataError(
            f"runs must agree on how many labels a clip bears, got several in {one} and one in {other}. "
            f"Compare runs on the same data set"
        )
    keyed_a, keyed_b = (_keyed(table, root) for table, root in zip((a, b), roots, strict=True))
    joined = keyed_a.merge(keyed_b, on=list(_KEYS), suffixes=("_a", "_b")).sort_values(list(_KEYS))
    if joined.empty:
        raise DataError(
            f"runs must have clips in common to be compared, got none: {names[0]} answered "
            f"{counted(len(a), 'clip')} ({keyed_a['file'].iloc[0]}…), {names[1]} {len(b):,} "
            f"({keyed_b['file'].iloc[0]}…). Compare runs that held out the same clips"
        )
    rows_a, rows_b = (table.iloc[joined[f"row_{side}"]].reset_index(drop=True) for side, table in (("a", a), ("b", b)))
    differ = rows_a["label"].to_numpy() != rows_b["label"].to_numpy()
    if differ.any():
        row = int(np.flatnonzero(differ)[0])
        raise DataError(
            f"runs must agree on what each clip is, got {int(differ.sum()):,} that do not: {rows_a['path'].iloc[row]} "
            f"is '{rows_a['label'].iloc[row]}' in {names[0]} and '{rows_b['label'].iloc[row]}' in {names[1]}. "
            f"Train again with the labels that hold"
        )
    return Pairing(rows_a, rows_b, len(a) - len(joined), len(b) - len(joined))


_KEYS = ("file", "start", "end", "copy")


def _keyed(table: pd.DataFrame, root: str | None) -> pd.DataFrame:
    """Return file, start, end, which of several equal ones (`copy`), and the row, for each clip."""
    paths = table["path"].tolist()
    keys = pd.DataFrame({"file": _inside(paths, root)})
    for name in ("start", "end"):
        seconds = pd.to_numeric(table[name], errors="coerce") if name in table.columns else pd.Series(np.nan)
        # to whole microseconds, so that tables that were written by different hands agree; -1 for the file's own edge
        whole = seconds.reindex(table.index).to_numpy(dtype=np.float64) * 1e6
        keys[name] = np.where(np.isnan(whole), -1.0, np.round(whole)).astype(np.int64)
    keys["copy"] = keys.groupby(["file", "start", "end"]).cumcount()
    return keys.assign(row=np.arange(len(table)))


def _inside(paths: Sequence[str], root: str | None) -> list[str]:
    """Return paths as they stand below the data set's folder; whole where they stand elsewhere, or it is not known."""
    if root is None:
        return list(paths)
    files = [PurePath(path) for path in paths]
    places = {folder: _place(folder, PurePath(root)) for folder in {file.parent for file in files}}
    return [(places[file.parent] / file.name).as_posix() for file in files]


def _place(folder: PurePath, root: PurePath) -> PurePath:
    # a path may lead there by a link, where the root's name is that of what the link leads to
    for name in (folder, PurePath(os.path.realpath(folder))):
        if name.is_relative_to(root):
            return name.relative_to(root)
    return folder
