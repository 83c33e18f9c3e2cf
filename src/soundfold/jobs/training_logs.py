"""The logs of a run's trainings as curves for its report. No torch."""

import csv
from collections.abc import Sequence
from pathlib import Path

from soundfold.evaluation.report import CURVE_LINES, Curve
from soundfold.wording import natural_order

__all__ = ["read_curves"]

_NAME = "log.csv"


def read_curves(trainings: Sequence[tuple[str | None, Path]]) -> tuple[Curve, ...]:
    """Return one curve a network that was trained.

    Args:
        trainings: fold (None without folds) and folder of each. Where several networks that differ in their seed answer
            together, each has its log in a folder of its own inside.
    """
    logs = [(fold, seed, path) for fold, folder in trainings for seed, path in _logs(folder)]
    found = [(fold, seed, *_read(path)) for fold, seed, path in logs]
    return tuple(Curve(fold, epochs, lines, seed) for fold, seed, epochs, lines in found if epochs)


def _logs(folder: Path) -> list[tuple[str | None, Path]]:
    """Return where the logs of a training should be, each with its seed where there are several."""
    found = {inner.name.removeprefix("seed"): inner for inner in folder.glob("seed[0-9]*")}
    return [(seed, found[seed] / _NAME) for seed in natural_order(found)] or [(None, folder / _NAME)]


def _read(path: Path) -> tuple[tuple[int, ...], dict[str, tuple[float | None, ...]]]:
    """Return a log's epochs and lines, up to a row that is not whole; nothing where there is none."""
    epochs: list[int] = []
    rows: list[list[float | None]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                values = [float(row[name]) if row.get(name) else None for name in CURVE_LINES]
                epochs.append(int(row["epoch"]))
                rows.append(values)
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        pass
    return tuple(epochs), {name: tuple(row[column] for row in rows) for column, name in enumerate(CURVE_LINES)}
