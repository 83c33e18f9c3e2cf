"""The table of predictions as a Parquet file: written whole or not at all, and checked when it is read."""

import os
from pathlib import Path

import pandas as pd

from soundfold.atomic import replacing
from soundfold.errors import DataError, PathError
from soundfold.evaluation.predictions import check_predictions

__all__ = ["read_predictions", "write_predictions"]


def write_predictions(path: str | os.PathLike[str], table: pd.DataFrame) -> None:
    """Check a table of predictions and write it as Parquet, whole or not at all.

    Raises:
        DataError: when the table is not one of predictions.
        PathError: when the file cannot be written.
    """
    check_predictions(table)
    with replacing(path) as part, part.open("wb") as file:
        table.to_parquet(file, engine="pyarrow", index=False)


def read_predictions(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table that `write_predictions` wrote, and check it.

    Raises:
        PathError: when there is no such file, or it may not be read.
        DataError: when it is not Parquet, or not a table of predictions.
    """
    from pyarrow import ArrowException

    source = Path(path)
    try:
        # From an open file: given a path, pyarrow would make a column of every folder called name=value on the way.
        with source.open("rb") as file:
            try:
                table = pd.read_parquet(file, engine="pyarrow")
            except (ArrowException, OSError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise DataError(f"{source}: is not a whole Parquet file ({reason}). Predict again.") from error
    except OSError as error:
        raise PathError(
            f"{source}: cannot be read: {error.strerror or error}. Name a run's predictions.parquet."
        ) from error
    if "fold" in table.columns and table["fold"].isna().all():
        table["fold"] = pd.Series([None] * len(table), dtype=object)
    try:
        check_predictions(table)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return table
