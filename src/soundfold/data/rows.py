"""From an adapter's rows to the clips table: what is wrong is refused, what cannot be used is left out and listed.

Files are looked for here and not opened: whether they decode is the audit's and the store's question.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfold.data.cells import normal, text_of
from soundfold.data.clips import CLIP_COLUMNS, Clips, LeftOut
from soundfold.data.files import find_files, is_writable
from soundfold.data.labelling import HowMany, Labelled, note_on_case, read_labels
from soundfold.errors import DataError, did_you_mean
from soundfold.wording import SEPARATOR, counted, natural_order, quoted

__all__ = ["Rows", "checked", "text_of"]


@dataclass(frozen=True, eq=False)
class Rows:
    """What an adapter read, before anything is checked.

    Attributes:
        table: columns `path` (absolute, or relative to `root`) and `label`; `fold`, `group`, `start`, `end` where the
            data set has them; then its own. The index is the row's line in `source`, for messages.
        kind, root, groups_known, notes, left_out: as in `Clips`.
        source: the file or folder that messages name.
        labels: the classes in the data set's own order, or None to sort them.
        row_word: what a row is called in messages: "line" of a text file, "row" of a Parquet file.
        listed: the paths come from a listing of the disk, so they need not be looked for again.
    """

    table: pd.DataFrame
    kind: str
    root: Path
    source: Path
    groups_known: bool
    labels: tuple[str, ...] | None = None
    row_word: str = "line"
    listed: bool = False
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def checked(rows: Rows, where: Mapping[str, str] | None = None, how_many: HowMany = "auto") -> Clips:
    """Check an adapter's rows and make the clips table of them.

    Rows whose file is missing, whose one label is empty, that stand twice, or that contradict one another are left out
    and listed; a table that is wrong as such is refused.

    Args:
        rows: what the adapter read.
        where: keeps the rows whose own column has this value (compared as text, upper and lower case alike).
        how_many: labels a clip; auto: several where a table's cell holds two or more.

    Returns:
        At least one clip.

    Raises:
        DataError: a range that makes no sense, folds for some rows only, a `where` that fits nothing, or more than half
            of the rows left out.
    """
    labelled = read_labels(rows.table["label"], how_many, separated=rows.kind == "table", source=rows.source)
    table = _select(replace(rows, table=rows.table.assign(label=labelled.texts)), where or {})
    if table.empty:
        raise DataError(f"{rows.source}: holds no rows. Add one row a clip.")
    own = [name for name in table.columns if name not in CLIP_COLUMNS]
    clips = pd.DataFrame(index=table.index)
    clips["path"] = pd.Series(_absolute_paths(rows, table["path"]), index=table.index, dtype=object)
    clips["label"] = table["label"]
    clips["fold"] = _folds(rows, _text_column(table, "fold"))
    clips["group"] = _text_column(table, "group")
    clips["start"], clips["end"] = _ranges(rows, table)
    clips = pd.concat([clips, table[own]], axis=1)

    reasons = _reasons_per_row(rows, clips, unlabelled=labelled.several)
    out = np.fromiter((reason != "" for reason in reasons), dtype=bool, count=len(reasons))
    left_out = list(rows.left_out)
    for path, line, reason in zip(
        clips["path"][out], clips.index[out], np.array(reasons, dtype=object)[out], strict=True
    ):
        left_out.append(LeftOut(path or f"{rows.source} {rows.row_word} {line}", reason))
    _refuse_mostly_left_out(rows, len(clips) + len(rows.left_out), left_out)

    clips = clips[~out].reset_index(drop=True)
    ungrouped = clips["group"] == ""
    clips.loc[ungrouped, "group"] = [_relative(path, rows.root) for path in clips["path"][ungrouped]]
    result = Clips(clips, (), rows.kind, rows.root, rows.groups_known, tuple(left_out), several=labelled.several)
    present = {label for labels in result.label_sets() for label in labels}
    result = replace(result, labels=_ordered_labels(rows, present))
    return replace(result, notes=tuple(_notes(result, rows, int(ungrouped.sum()), labelled)))


def _select(rows: Rows, where: Mapping[str, str]) -> pd.DataFrame:
    table = rows.table
    for column, value in where.items():
        if column not in table.columns:
            raise DataError(
                f"{rows.source}: has no column '{column}' to choose by.{did_you_mean(column, table.columns)}"
            )
        texts = [normal(text_of(cell)) for cell in table[column]]
        wanted = normal(str(value)).casefold()
        mask = np.array([text.casefold() == wanted for text in texts], dtype=bool)
        if not mask.any():
            known = set(texts) if len(set(texts)) <= 50 else ()
            raise DataError(f"{rows.source}: no row has {column}={value}.{did_you_mean(str(value), known)}")
        table = table[mask]
    return table


def _text_column(table: pd.DataFrame, name: str) -> "pd.Series[str]":
    """A column as stripped NFC text, the same letters being the same text; empty where there is nothing."""
    if name not in table.columns:
        return pd.Series("", index=table.index, dtype=object)
    texts = [normal(text_of(cell)) for cell in table[name]]
    return pd.Series(texts, index=table.index, dtype=object)


def _absolute_paths(rows: Rows, paths: "pd.Series[str]") -> list[str]:
    root = str(rows.root)
    absolute = []
    for cell in paths:
        # A backslash is a separator whichever system wrote the table; listed paths are as the disk has them.
        text = text_of(cell) if rows.listed else text_of(cell).strip().replace("\\", "/")
        absolute.append(os.path.normpath(os.path.join(root, text)) if text else "")  # noqa: PTH118 - ten times faster
    return absolute


def _folds(rows: Rows, folds: "pd.Series[str]") -> "pd.Series[str]":
    empty = (folds == "").to_numpy()
    if empty.all():
        return pd.Series([None] * len(folds), index=folds.index, dtype=object)
    if empty.any():
        raise DataError(
            f"{_place(rows, folds, empty)}: has no fold, as {int(empty.sum()):,} of {len(folds):,} rows. "
            "Fill the column 'fold' in every row, or remove it."
        )
    return folds


def _ranges(rows: Rows, table: pd.DataFrame) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    start, end = _seconds(rows, table, "start"), _seconds(rows, table, "end")
    for name, values in (("start", start), ("end", end)):
        negative = (values < 0).to_numpy()
        if negative.any():
            raise DataError(
                f"{_place(rows, table, negative)}: {name} must be 0 or more, got {values[negative].iloc[0]:g}. "
                "Correct the row."
            )
    first = start.fillna(0.0)
    empty = (end <= first).to_numpy()
    if empty.any():
        raise DataError(
            f"{_place(rows, table, empty)}: end must be after start, "
            f"got start={first[empty].iloc[0]:g}, end={end[empty].iloc[0]:g}. Correct the row."
        )
    return start, end


def _seconds(rows: Rows, table: pd.DataFrame, name: str) -> "pd.Series[float]":
    if name not in table.columns:
        return pd.Series(np.nan, index=table.index, dtype=np.float64)
    texts = pd.Series([text_of(cell).strip() for cell in table[name]], index=table.index, dtype=object)
    values = pd.to_numeric(texts.where(texts != "", "nan"), errors="coerce").astype(np.float64)
    wrong = (texts != "").to_numpy() & ~np.isfinite(values.to_numpy())
    if wrong.any():
        raise DataError(
            f"{_place(rows, table, wrong)}: {name} must be a number of seconds, got '{texts[wrong].iloc[0]}'. "
            "Write it as 1.5, or leave it empty."
        )
    return values


def _place(rows: Rows, table: "pd.DataFrame | pd.Series[str]", mask: NDArray[np.bool_]) -> str:
    """Name the first row that a mask holds, as messages begin."""
    return f"{rows.source} {rows.row_word} {table.index[mask][0]}"


def _reasons_per_row(rows: Rows, clips: pd.DataFrame, *, unlabelled: bool) -> list[str]:
    """Say for each row why it is left out, or nothing; replaces paths by those on disk.

    `unlabelled`: an empty label is an answer too, none of them.
    """
    reasons = [""] * len(clips)
    if not rows.listed:
        found, missing = find_files(clips["path"].tolist())
        clips["path"] = pd.Series(found, index=clips.index, dtype=object)
        for position, reason in missing.items():
            reasons[position] = reason
    for position, (path, label) in enumerate(zip(clips["path"], clips["label"], strict=True)):
        if not path:
            reasons[position] = "the path is empty"
        elif os.path.basename(path).startswith("._"):  # noqa: PTH119 - ten times faster
            reasons[position] = "macOS wrote this companion file, it is no sound"
        elif not is_writable(path):
            reasons[position] = "its name is not in UTF-8"
        elif not label and not unlabelled:
            reasons[position] = "the label is empty"
    usable = np.flatnonzero([reason == "" for reason in reasons])
    for position, reason in _repeated(clips.iloc[usable]).items():
        reasons[int(usable[position])] = reason
    return reasons


def _repeated(clips: pd.DataFrame) -> dict[int, str]:
    """Find rows of one sound range that stand twice (all but the first) or contradict one another (all)."""
    again = np.flatnonzero(clips.duplicated(["path", "start", "end"], keep=False))
    same = clips.iloc[again]
    ranges: dict[tuple[str, float, float], list[int]] = {}
    for place, key in enumerate(zip(same["path"], same["start"].fillna(-1), same["end"].fillna(-1), strict=True)):
        ranges.setdefault(key, []).append(place)
    columns = {name: same[name].tolist() for name in ("label", "fold")}
    reasons: dict[int, str] = {}
    for places in ranges.values():
        for name, cells in columns.items():
            values = {cells[place] for place in places}
            if len(values) > 1:
                told = f"the same sound has more than one {name}: {quoted(values)}"
                reasons.update(dict.fromkeys(places, told))
                break
        else:
            reasons.update(dict.fromkeys(places[1:], "the row stands twice and is kept once"))
    return {int(again[place]): reason for place, reason in reasons.items()}


def _refuse_mostly_left_out(rows: Rows, n: int, left_out: Sequence[LeftOut]) -> None:
    if 2 * len(left_out) <= n:
        return
    first = left_out[0]
    raise DataError(
        f"{rows.source}: {len(left_out):,} of {counted(n, 'row')} cannot be used, first {first.path}: {first.reason}. "
        + _mend(first.reason, rows)
    )


def _mend(reason: str, rows: Rows) -> str:
    if "missing" in reason:
        return f"Paths are looked for below {rows.root}: move the sounds there, or correct the paths."
    if "more than one label" in reason:
        return f"Give each sound range one row; several labels stand in one cell, parted by '{SEPARATOR}'."
    return "Correct these rows, or remove them."


def _ordered_labels(rows: Rows, present: set[str]) -> tuple[str, ...]:
    if rows.labels is not None:
        return tuple(label for label in map(normal, rows.labels) if label in present)
    if all(re.fullmatch(r"[0-9]+", label) for label in present):
        return natural_order(present)
    return tuple(sorted(present))


def _notes(clips: Clips, rows: Rows, ungrouped: int, labelled: Labelled) -> Iterable[str]:
    told = f"{counted(len(clips), 'clip')} of {counted(len(clips.labels), 'class', 'classes')}"
    if clips.groups_known:
        told += f", {counted(clips.table['group'].nunique(), 'recording')}"
    if clips.has_folds:
        told += f", {'fold' if len(clips.folds) == 1 else 'folds'} {', '.join(clips.folds)}"
    yield f"{clips.kind} in {clips.root}: {told}."
    yield from rows.notes
    if clips.several:
        borne = [len(labels) for labels in clips.label_sets()]
        told = f"clips bear {min(borne)} to {max(borne)} labels each, {sum(borne) / len(borne):.1f} in the mean"
        why = f"; {labelled.why} (training.labels=one takes a cell as one label)" if labelled.why else ""
        yield f"Several labels a clip: {told}, {borne.count(0):,} bear none{why}."
    if clips.left_out:
        counts = Counter(left.reason.split(":")[0] for left in clips.left_out)
        told = "; ".join(f"{n:,}: {reason}" for reason, n in counts.most_common())
        yield f"Left out {len(clips.left_out):,} of {len(clips) + len(clips.left_out):,} rows ({told})."
    if "group" in rows.table.columns and 0 < ungrouped < len(clips):
        yield (
            f"{ungrouped:,} of {len(clips):,} clips {'has' if ungrouped == 1 else 'have'} no group; "
            "such a clip stands as the recording that its file is. "
            "Fill the column 'group' in every row to have leaks between recordings seen."
        )
    yield from note_on_case(clips.labels)


def _relative(path: str, root: Path) -> str:
    """A path below the root without it, with slashes, so that it reads the same on every system; others as they are."""
    start = str(root)
    if path.startswith(start + os.sep):
        path = path[len(start) + 1 :]
    return unicodedata.normalize("NFC", path.replace(os.sep, "/"))
