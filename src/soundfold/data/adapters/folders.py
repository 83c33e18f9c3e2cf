"""Folders of sounds: the first folder's name is the label, and folders named like folds (`fold1/dog/…`) give folds.

Files deeper than the label's folder were sorted by recording: the sub-folder is the recording.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from soundfold.audio import AUDIO_SUFFIXES
from soundfold.data.clips import LeftOut
from soundfold.data.files import Scan, scan_sounds
from soundfold.data.rows import Rows
from soundfold.errors import DataError
from soundfold.wording import counted, natural_order, quoted

__all__ = ["are_folds", "label_folders", "read"]

_FOLD = re.compile(r"fold[ _-]*([0-9]+)", re.IGNORECASE)
_UNNAMED = ("sound but no folder to name its", "sounds but no folder to name their")
_SETS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation"})


def read(folder: Path, scan: Scan | None = None) -> Rows:
    """Read a folder of label folders, or of fold folders that hold label folders.

    Args:
        folder: the folder above the labels or folds.
        scan: what it holds, where that is known already.

    Returns:
        Its rows; `group` is the sub-folder of files that stand deeper than their label's folder.

    Raises:
        DataError: when there is no sound in it, or no folder that could be a label.
    """
    scan = scan or scan_sounds(folder)
    _refuse_without_sounds(folder, scan)
    fold_of = _folds(scan)
    depth = 1 if fold_of is None else 2
    labelled = [parts for parts in scan.sounds if len(parts) > depth]
    beside = [parts for parts in scan.sounds if len(parts) <= depth]
    if not labelled:
        raise DataError(_unlabelled(folder, scan))
    table = pd.DataFrame(
        {
            "path": [os.path.join(folder, *parts) for parts in labelled],  # noqa: PTH118 - ten times faster
            "label": [parts[depth - 1] for parts in labelled],
            # The fold is no part of a recording's name, so that one that stands in two folds is seen.
            "group": ["/".join(parts[depth - 1 : -1]) if len(parts) > depth + 1 else "" for parts in labelled],
        }
    )
    if fold_of is not None:
        table["fold"] = [fold_of[parts[0]] for parts in labelled]
    left_out = [LeftOut(str(folder.joinpath(*parts)), "no folder names its label") for parts in beside]
    left_out += [LeftOut(str(folder.joinpath(*parts)), "its name is not in UTF-8") for parts in scan.misnamed]
    left_out += [LeftOut(str(folder.joinpath(*parts)), "it is a broken link, or no file") for parts in scan.broken]
    return Rows(
        table,
        "folders",
        folder,
        folder,
        groups_known=all(len(parts) > depth + 1 for parts in labelled),
        listed=True,
        left_out=tuple(left_out),
        notes=tuple(_notes(scan, depth)),
    )


def label_folders(scan: Scan) -> tuple[str, ...]:
    """Return the first-level folders that hold sounds at any depth."""
    return natural_order(parts[0] for parts in scan.sounds if len(parts) > 1)


def are_folds(names: Iterable[str]) -> bool:
    """Tell whether several folders are all named like folds: `fold1`, `fold_2`… or `train`, `test`…"""
    given = {name.strip() for name in names}
    return len(given) > 1 and (
        all(_FOLD.fullmatch(name) for name in given) or all(name.lower() in _SETS for name in given)
    )


def _folds(scan: Scan) -> dict[str, str] | None:
    """Name the fold of each first-level folder when all are named like folds; None when they are labels."""
    names = label_folders(scan)
    if not names:
        return None
    numbered = {name: str(int(match.group(1))) for name in names if (match := _FOLD.fullmatch(name.strip()))}
    if len(numbered) == len(names):
        if len(set(numbered.values())) == len(names):
            return numbered
        return {name: name for name in names}  # fold1 beside fold_1: leave them apart
    if len(names) > 1 and all(name.lower() in _SETS for name in names):
        return {name: name for name in names}
    return None


def _refuse_without_sounds(folder: Path, scan: Scan) -> None:
    if scan.sounds:
        return
    if not scan.passed_over and not scan.folders and not scan.broken:
        raise DataError(f"{folder}: is an empty folder. Put a folder of sounds into it for each class.")
    files = sum(scan.passed_over.values())
    seen = f" ({counted(files, 'other file')}: {_suffixes(scan)})" if files else ""
    known = ", ".join(sorted(AUDIO_SUFFIXES))
    raise DataError(f"{folder}: holds no sounds{seen}. Sounds are files that end in {known}.")


def _unlabelled(folder: Path, scan: Scan) -> str:
    if all(len(parts) > 1 for parts in scan.sounds):
        return (
            f"{folder}: its folders look like folds ({quoted(label_folders(scan))}) but hold no label folders. "
            "Sort them as fold1/dog/…, or give a table with the columns path,label,fold."
        )
    return (
        f"{folder}: holds {counted(len(scan.sounds), *_UNNAMED)} label. "
        f"Point at the folder above if '{folder.name}' is a label; else sort them as {folder.name}/dog/…, or give a "
        "table with columns path,label."
    )


def _notes(scan: Scan, depth: int) -> Iterable[str]:
    if depth == 2:
        yield f"The folders {quoted(label_folders(scan))} were read as folds, the folders in them as labels."
    holding = {parts[:depth] for parts in scan.sounds}
    empty = ["/".join(parts) for parts in scan.folders if len(parts) == depth and parts not in holding]
    if empty:
        yield f"No sounds stand in {quoted(empty)}."
    if scan.passed_over:
        yield f"Passed over files that are no sounds: {_suffixes(scan)}."
    if scan.linked_again:
        linked = ["/".join(parts) for parts in scan.linked_again]
        yield f"The links {quoted(linked)} lead to folders that were read already, and were passed over."


def _suffixes(scan: Scan) -> str:
    return ", ".join(f"{n:,} {suffix or 'without a suffix'}" for suffix, n in scan.passed_over.most_common(5))
