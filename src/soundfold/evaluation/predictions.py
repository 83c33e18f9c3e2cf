"""The table of predictions: one row a clip that was scored. Making and checking it.

Columns: `path`, `label` (the truth), `predicted`, `probability` (of the predicted label), `fold` (text, or missing in
every row), `group` (the recording the clip comes from); then the data set's own columns as they were (`start`, `end`,
`salience`…); then one column `p:<label>` for each label that the model knows, in the model's order, float32.

A clip may bear a label that the model does not know. Its `label` stays as it is, there is no `p:` column for it, and
it counts as wrong. Every score in a report can be computed again from this table alone.

Where clips bear several labels, `label` and `predicted` join them with `;` (sorted; empty for none), `predicted` holds
those above 0.5, `probability` is the highest, and after the `p:` columns comes one `t:<label>` for each: the truth,
0 or 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.errors import DataError
from soundfold.wording import SEPARATOR, as_unicode, listed

__all__ = [
    "THRESHOLD",
    "check_predictions",
    "is_of_several",
    "labels_in",
    "predictions_table",
    "probabilities_in",
    "truth_in",
    "unknown_labels_in",
]

_OURS = ("path", "label", "predicted", "probability", "fold", "group")
_FROM_CLIPS = ("path", "label", "fold", "group")
_PREFIX, _TRUTH = "p:", "t:"
THRESHOLD = 0.5
"""Of several labels, those of a higher probability are told."""
_SUM_WITHIN = 1e-3
_ROUNDING = 1e-6  # a float32 softmax may give 1.0000001


def predictions_table(
    clips_table: pd.DataFrame, labels: Sequence[str], probabilities: npt.ArrayLike, *, several: bool = False
) -> pd.DataFrame:
    """Join clips and the probabilities a model gave them into one table of predictions.

    The predicted label is the one of the highest probability, the first of them where several are equal. An own column
    of the data called `predicted`, `probability`, `p:…` or `t:…` stays behind: it would be taken for one of these.

    Args:
        clips_table: n rows with the columns path, label, fold and group; any index; other columns are kept.
        labels: the model's labels in the order of its outputs, all different.
        probabilities: (n, classes), real numbers in 0..1, each row summing to 1 within 0.001 unless `several`.
        several: clips bear any number of labels, joined by `;` in the column `label`.

    Returns:
        n rows, index 0..n-1, the columns named at the head of this module.

    Raises:
        DataError: when columns, labels, shape or values are not as said.
    """
    known = _checked_labels(labels)
    columns = [str(name) for name in clips_table.columns]
    if len(set(columns)) < len(columns):
        raise DataError(f"clips must have columns of different names, got {listed(columns)}. Rename the doubled ones.")
    lacking = [name for name in _FROM_CLIPS if name not in columns]
    if lacking:
        raise DataError(
            f"clips must have the columns {', '.join(_FROM_CLIPS)}, got {listed(columns) or 'none'}. "
            f"Add {', '.join(lacking)}."
        )
    clips = clips_table.set_axis(columns, axis="columns").reset_index(drop=True)
    values = _checked_probabilities(probabilities, len(clips), len(known), sums=not several)
    best = values.argmax(axis=1)
    own = [name for name in columns if name not in _OURS and not name.startswith((_PREFIX, _TRUTH))]
    ours = pd.DataFrame(
        {
            "path": _text(clips["path"].tolist()),
            "label": _text(clips["label"].tolist()),
            "predicted": _text(_told(values, known) if several else [known[k] for k in best]),
            "probability": values[np.arange(len(values)), best],
            "fold": _fold(clips["fold"]),
            "group": _text(clips["group"].tolist()),
        }
    )
    each = pd.DataFrame(values, columns=[_PREFIX + label for label in known])
    truth = [pd.DataFrame(_borne(ours["label"], known), columns=[_TRUTH + label for label in known])] if several else []
    table = pd.concat([ours, *(_storable(clips[name]) for name in own), each, *truth], axis="columns")
    check_predictions(table)
    return table


def labels_in(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the labels that the model knows, in the model's order, from the names of the `p:` columns."""
    return tuple(str(name).removeprefix(_PREFIX) for name in table.columns if str(name).startswith(_PREFIX))


def probabilities_in(table: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return the probabilities of all labels: (n, classes) float32, columns in the order of `labels_in(table)`."""
    return table[[_PREFIX + label for label in labels_in(table)]].to_numpy(dtype=np.float32)


def is_of_several(table: pd.DataFrame) -> bool:
    """Return whether the clips of a table bear several labels each."""
    labels = labels_in(table)
    return bool(labels) and all(_TRUTH + label in table.columns for label in labels)


def truth_in(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which labels each clip bears, of those that the model knows: (n, labels), where clips bear several."""
    return table[[_TRUTH + label for label in labels_in(table)]].to_numpy() > 0


def unknown_labels_in(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the labels that clips bear and the model does not know, sorted, where clips bear several."""
    found = {label for text in set(table["label"]) for label in text.split(SEPARATOR)}
    return tuple(sorted(found - {"", *labels_in(table)}))


def check_predictions(table: pd.DataFrame) -> None:
    """Check that a table is one of predictions: its columns, their types, and that the answers fit the probabilities.

    Raises:
        DataError: with what was expected and what came.
    """
    lacking = [name for name in _OURS if name not in table.columns]
    if lacking:
        raise DataError(
            f"predictions must have the columns {', '.join(_OURS)}, got {listed(table.columns) or 'none'}. "
            f"Add {', '.join(lacking)}, or predict again."
        )
    if not len(table):
        raise DataError("predictions must hold at least one clip, got 0 rows. Name data that has labelled clips.")
    for name in ("path", "label", "predicted", "group"):
        _check_text(table[name], name)
    folds = table["fold"]
    if not folds.isna().all():
        _check_text(folds, "fold", or_missing=True)
    known = _checked_labels(labels_in(table))
    several = is_of_several(table)
    numbers = table[[_PREFIX + label for label in known]].to_numpy()
    values = _checked_probabilities(numbers, len(table), len(known), sums=not several)
    if several:
        _check_answers_of_several(table, known, values)
        return
    given = pd.Index(known).get_indexer(pd.Index(table["predicted"].tolist()))
    if (given < 0).any():
        row = int(np.flatnonzero(given < 0)[0])
        raise DataError(
            f"predicted must be a label that has a column 'p:<label>', got {table['predicted'].iloc[row]!r} "
            f"in row {row}. Predict again."
        )
    if table["probability"].dtype.kind not in "fiu":
        raise DataError(f"probability must be numbers, got {table['probability'].dtype}. Predict again.")
    told = table["probability"].to_numpy(dtype=np.float64)
    off = ~(np.abs(values[np.arange(len(values)), given] - told) <= _ROUNDING) | (values.max(axis=1) - told > _ROUNDING)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise DataError(
            f"probability must be that of the predicted label and the highest of its row, got {told[row]:g} for "
            f"{table['predicted'].iloc[row]!r} in row {row}. Predict again."
        )


def _check_answers_of_several(table: pd.DataFrame, known: Sequence[str], values: npt.NDArray[np.float32]) -> None:
    """Check that truth and predictions are told alike as text and as numbers."""
    truth = table[[_TRUTH + label for label in known]].to_numpy()
    for name, wrong in (
        ("t: columns must be 1 for the labels in 'label' and 0 for others", (truth != _borne(table["label"], known))),
        ("predicted must hold the labels above 0.5", (table["predicted"] != _told(values, known)).to_numpy()[:, None]),
        ("probability must be the highest of its row",
         ~(np.abs(values.max(axis=1) - table["probability"].to_numpy(dtype=np.float64)) <= _ROUNDING)[:, None]),
    ):  # fmt: skip
        if wrong.any():
            raise DataError(f"{name}, got something else in row {int(np.argwhere(wrong)[0][0])}. Predict again.")


def _borne(texts: "pd.Series[str]", known: Sequence[str]) -> npt.NDArray[np.int8]:
    """Return which of the labels a model knows stand in texts, (n, labels): 0 and 1."""
    sets = [set(text.split(SEPARATOR)) for text in texts]
    return np.array([[label in labels for label in known] for labels in sets], dtype=np.int8).reshape(-1, len(known))


def _told(values: npt.NDArray[np.float32], known: Sequence[str]) -> list[str]:
    """Return the labels above the threshold of each row, as text."""
    above = values > THRESHOLD
    return [
        SEPARATOR.join(sorted(label for label, is_told in zip(known, row, strict=True) if is_told)) for row in above
    ]


def _text(values: Sequence[object]) -> "pd.Series[Any]":
    """Text as the table keeps it; a path's bytes that are no UTF-8 become backslash escapes, which Parquet can hold."""
    plain = [as_unicode(v) if isinstance(v, str) else v for v in values]
    return pd.Series(plain, dtype="str" if all(isinstance(v, str) for v in plain) else object)


def _fold(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return pd.Series([None] * len(column), dtype=object) if column.isna().all() else _text(column.tolist())


def _storable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """An own column as Parquet can hold it: objects of several kinds in one column become text."""
    if column.dtype != object or not pd.api.types.infer_dtype(column, skipna=True).startswith("mixed"):
        return column
    return column.map(lambda v: None if pd.api.types.is_scalar(v) and pd.isna(v) else str(v))


def _check_text(column: "pd.Series[Any]", name: str, *, or_missing: bool = False) -> None:
    for row, value in enumerate(column.tolist()):
        if not isinstance(value, str):
            rule = "text in every row, or missing in every row" if or_missing else "text in every row"
            raise DataError(f"{name} must be {rule}, got {value!r} in row {row}. Write it as text.")


def _checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    known = tuple(labels)
    if not known or not all(isinstance(label, str) and label for label in known) or len(set(known)) < len(known):
        raise DataError(
            f"labels must be at least one text, all different and none empty, got {listed(known) or 'none'}. "
            "Give the model's labels in the order of its outputs."
        )
    return known


def _checked_probabilities(
    probabilities: npt.ArrayLike, rows: int, classes: int, *, sums: bool
) -> npt.NDArray[np.float32]:
    given = np.asarray(probabilities)
    if given.shape != (rows, classes) or given.dtype.kind not in "fiu":
        raise DataError(
            f"probabilities must be numbers of shape ({rows}, {classes}), a row a clip and a column a label, got "
            f"{given.dtype} of shape {given.shape}. Give the model's probabilities for these clips in their order."
        )
    values = given.astype(np.float32)
    wrong = ~(np.isfinite(values) & (values >= -_ROUNDING) & (values <= 1 + _ROUNDING))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"probabilities must be finite and in 0..1, got {given[row, column]} in row {row}, column {column}. "
            "Apply softmax to the logits."
        )
    totals = values.sum(axis=1, dtype=np.float64)
    off = np.abs(totals - 1) > _SUM_WITHIN
    if sums and off.any():
        row = int(np.flatnonzero(off)[0])
        raise DataError(
            f"probabilities must sum to 1 in every row (within {_SUM_WITHIN:g}), got {totals[row]:.6g} in row {row}. "
            "Apply softmax to the logits."
        )
    return values.clip(0, 1)
