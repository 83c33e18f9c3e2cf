"""UrbanSound8K: `metadata/UrbanSound8K.csv` and `audio/fold1` to `audio/fold10`, ten classes, official folds.

TRAP: the table's `start` and `end` are positions in the Freesound recording that a clip was cut from, not in the clip's
own file. They are kept as `source_start` and `source_end`; a clip is its whole file.
"""

from pathlib import Path

import pandas as pd

from soundfold.data.adapters.table import class_order, load_table, published_table, require_columns, whole_numbers
from soundfold.data.rows import Rows
from soundfold.errors import DataError

__all__ = ["SYNTHETIC", "TABLE", "matches", "read"]

_COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
TABLE = "UrbanSound8K.csv"
SYNTHETIC = "SYNTHETIC.txt"
"""Stands beside the table of a set that `data.synth` made, so that no model says it had learned from the real one."""


def matches(folder: Path) -> bool:
    """Tell whether a folder holds UrbanSound8K's table."""
    return _table(folder) is not None


def read(folder: Path) -> Rows:
    """Read UrbanSound8K.

    Args:
        folder: the folder that holds `metadata` and `audio` (or, as Kaggle packs it, the table and the folds).

    Returns:
        Its rows; `group` is the Freesound recording (`fsID`), labels are in classID order.

    Raises:
        DataError: when the table is not the published one, or the sounds are not beside it.
    """
    source, audio = _table(folder), _audio(folder)
    if source is None or audio is None:
        raise DataError(f"{folder}: has {TABLE} but no audio/fold1, audio/fold2, … Unpack the sounds beside it.")
    table, _ = load_table(source)
    require_columns(table.columns, _COLUMNS, source)
    table = table.rename(columns={"start": "source_start", "end": "source_end"})
    labels = class_order(table, "class", "classID", source)
    for name in ("source_start", "source_end"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    for name in ("salience", "classID"):
        table[name] = whole_numbers(table, name, source)
    table["path"] = [
        str(audio / f"fold{fold.strip()}" / name.strip())
        for fold, name in zip(table["fold"], table["slice_file_name"], strict=True)
    ]
    table["label"] = table["class"]
    table["group"] = table["fsID"]
    kind = "synthetic UrbanSound8K" if (source.parent / SYNTHETIC).exists() else "UrbanSound8K"
    return Rows(table, kind, folder, source, groups_known=True, labels=labels)


def _table(folder: Path) -> Path | None:
    return published_table(folder, "metadata", TABLE, _audio(folder))


def _audio(folder: Path) -> Path | None:
    return next((place for place in (folder / "audio", folder) if any(place.glob("fold*/"))), None)
