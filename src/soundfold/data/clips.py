"""The clips table: the one form in which every room sees a data set, whatever it looked like on disk.

Here are the table's columns and what can be asked of it; `rows.py` checks what is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from soundfold.audio import is_hidden
from soundfold.errors import DataError
from soundfold.wording import SEPARATOR, natural_order, quoted

__all__ = ["CLIP_COLUMNS", "Clips", "LeftOut", "check_trainable", "mend_of_one_class"]

CLIP_COLUMNS = ("path", "label", "fold", "group", "start", "end")
_MOST_LEVELS = 3


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
            Where clips bear several labels, `label` joins them with `;` in order, and is empty for none.
        labels: the classes, in the order of the data set's own class numbers, else sorted.
        kind: "UrbanSound8K", "ESC-50", "Speech Commands v2", "folders" or "table".
        root: the folder that was read, or the folder of the table that was.
        groups_known: False when every file stands as its own recording because nothing says otherwise.
        left_out: what was kept out while reading.
        notes: sentences for the user: what was found, what was assumed.
        several: clips may bear any number of labels, none too; else each bears one.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    kind: str
    root: Path
    groups_known: bool
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    several: bool = False

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

    def as_bytes(self) -> bytes:
        """Return the clips, their labels, folds and recordings as one text: what a hash of them is made of."""
        columns = self.table[["path", "label", "fold", "group", "start", "end"]]
        return columns.to_csv(index=False).encode("utf-8", "surrogateescape")

    def class_ids(self) -> NDArray[np.int64]:
        """Return each clip's position in `labels`, shape (clips,), int64; for clips that bear one label each."""
        if self.several:
            raise ValueError("class_ids needs clips that bear one label each. Use membership")
        return pd.Index(self.labels).get_indexer(pd.Index(self.table["label"])).astype(np.int64)

    def label_sets(self) -> list[tuple[str, ...]]:
        """Return the labels of each clip; one of them, or any number where clips bear several."""
        if not self.several:
            return [(label,) for label in self.table["label"]]
        return [tuple(filter(None, text.split(SEPARATOR))) for text in self.table["label"]]

    def membership(self) -> NDArray[np.bool_]:
        """Return which labels each clip bears, (clips, labels)."""
        borne = np.zeros((len(self), len(self.labels)), dtype=bool)
        if not self.several:
            borne[np.arange(len(self)), self.class_ids()] = True
            return borne
        place = {label: number for number, label in enumerate(self.labels)}
        for row, labels in enumerate(self.label_sets()):
            borne[row, [place[label] for label in labels]] = True
        return borne

    def targets(self) -> NDArray[np.int64] | NDArray[np.float32]:
        """Return what a network should answer: class numbers (clips,), or 0 and 1, (clips, labels) float32."""
        return self.membership().astype(np.float32) if self.several else self.class_ids()

    def present(self) -> tuple[str, ...]:
        """Return those of `labels` that any clip bears, in their order."""
        found = self._found()
        return tuple(label for label in self.labels if label in found)

    def _found(self) -> set[str]:
        texts = set(self.table["label"])
        return {label for text in texts for label in text.split(SEPARATOR)} - {""} if self.several else texts

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
        result = replace(self, table=table, labels=kept)
        strangers = result._found() - set(kept)
        if strangers:
            raise DataError(
                f"labels must hold every selected clip's label, got none for {quoted(strangers)}. "
                "Add it, or leave its clips out."
            )
        return result


def mend_of_one_class(kind: str, root: Path, label: str) -> str:
    """Return what to do about clips that all bear one label: among folders it may be the one that holds the classes.

    Args:
        kind: as in `Clips`.
        root: as in `Clips`.
        label: the only one.
    """
    inner = root / label
    if not label or kind != "folders" or not inner.is_dir():
        return "Add clips of another class."
    folders = _folders_in(inner)
    for _ in range(_MOST_LEVELS):
        if len(folders) == 1:
            inner = inner / folders[0]
            folders = _folders_in(inner)
    if len(folders) < 2:
        return "Add a folder of another class."
    return f"Add a folder of another class, or point at {inner} if its folders ({quoted(folders)}) are the classes."


def _folders_in(folder: Path) -> tuple[str, ...]:
    return natural_order(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def check_trainable(clips: Clips) -> None:
    """Raise unless there is something to tell apart; training and cross-validation ask this first.

    Raises:
        DataError: when all clips carry the same label, or where they may bear several, the same labels.
    """
    present = clips.table["label"].unique()
    if len(present) >= 2:
        return
    only = present[0] if len(present) else ""
    mend = mend_of_one_class(clips.kind, clips.root, only)
    told = "the only clip has" if len(clips) == 1 else f"all {len(clips):,} clips have"
    if clips.several:
        what = f"the labels '{only}'" if only else "no label"
        raise DataError(f"{clips.root}: {told} {what}, training needs some without. Add clips that bear others.")
    raise DataError(f"{clips.root}: {told} the label '{only}', training needs two or more. {mend}")
