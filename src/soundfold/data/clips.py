"""The clips table: the one form in which every room sees a data set, whatever it looked like on disk.

Here are the table's columns and what can be asked of it; `rows.py` checks what is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from soundfold.errors import DataError
from soundfold.wording import natural_order, quoted

__all__ = ["CLIP_COLUMNS", "Clips", "LeftOut", "check_trainable"]

CLIP_COLUMNS = ("path", "label", "fold", "group", "start", "end")


@dataclass(frozen=True)
class LeftOut:
    """A row or file that was kept out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Clips:
    """Labelled pieces of sound files: the one form in which all rooms see a data set.

    Attributes:
        table: index 0..n-1; columns `path` (absolute), `label`, `fold` (text, or None in every row), `group` (the
            source recording), `start` and `end` (seconds inside the file, or NaN), then the data set's own columns.
        labels: the classes, in the order of the data set's own class numbers, else sorted.
        kind: "UrbanSound8K", "ESC-50", "Speech Commands v2", "folders" or "table".
        root: the folder that was read, or the folder of the table that was.
        groups_known: False when every file stands as its own recording because nothing says otherwise.
        left_out: what was kept out while reading.
        notes: sentences for the user: what was found, what was assumed.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    kind: str
    root: Path
    groups_known: bool
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def has_folds(self) -> bool:
        """Whether the data set comes with folds of its own."""
        return len(self.table) > 0 and self.table["fold"].iloc[0] is not None

    @property
    def folds(self) -> tuple[str, ...]:
        """The data set's own folds in natural order (2 before 10, training before testing); empty without any."""
        return natural_order(self.table["fold"].unique()) if self.has_folds else ()

    def class_ids(self) -> NDArray[np.int64]:
        """Return each clip's position in `labels`, shape (clips,), int64."""
        return pd.Index(self.labels).get_indexer(pd.Index(self.table["label"])).astype(np.int64)

    def subset(self, select: ArrayLike, *, labels: Sequence[str] | None = None) -> "Clips":
        """Return some of the clips, in the order asked for.

        Args:
            select: positions (int), or one bool a clip.
            labels: the classes of the result; None keeps all, so that class numbers stay what they are.

        Returns:
            New clips, index 0..m-1.

        Raises:
            DataError: when a selected clip's label is not among `labels`.
        """
        chosen = np.asarray(select)
        if chosen.dtype != np.bool_:
            chosen = chosen.astype(np.int64)
        table = self.table.iloc[chosen].reset_index(drop=True)
        kept = self.labels if labels is None else tuple(labels)
        strangers = set(table["label"]) - set(kept)
        if strangers:
            raise DataError(
                f"labels must hold every selected clip's label, got none for {quoted(strangers)}. "
                "Add it, or leave its clips out."
            )
        return replace(self, table=table, labels=kept)


def check_trainable(clips: Clips) -> None:
    """Raise unless there are at least two classes to tell apart; training and cross-validation ask this first.

    Raises:
        DataError: when all clips carry the same label.
    """
    present = clips.table["label"].unique()
    if len(present) >= 2:
        return
    only = present[0] if len(present) else ""
    mend = "Add clips of another class."
    if clips.kind == "folders" and (clips.root / only).is_dir():
        mend = f"Add a folder of another class, or point at {clips.root / only} if the folders in it are the classes."
    told = "the only clip has" if len(clips) == 1 else f"all {len(clips):,} clips have"
    raise DataError(f"{clips.root}: {told} the label '{only}', training needs two or more. {mend}")
