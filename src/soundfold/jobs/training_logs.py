"""The logs of a run's trainings as curves for its report; what of them cannot be read is told. No torch."""

import csv
from collections.abc import Sequence
from pathlib import Path

from soundfold.evaluation.report import CURVE_LINES, Curve
from soundfold.wording import natural_order

__all__ = ["read_curves"]

_NAME = "log.csv"


def read_curves(trainings: Sequence[tuple[str | None, Path]], root: Path) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """Return one curve a network that was trained, and a sentence on each log that tells less than it should.

    Args:
        trainings: fold (None without folds) and folder of each. Where several networks that differ in their seed answer
            together, each has its log in a folder of its own inside.
        root: the run's folder, which the sentences tell paths from.
    """
    logs = [(fold, seed, path) for fold, folder in trainings for seed, path in _logs(folder)]
    if not any(path.exists() for _, _, path in logs):  # the run was kept without them
        return (), ()
    curves, notes = [], []
    for fold, seed, path in logs:
        epochs, lines, wrong = _read(path)
        if epochs:
            curves.append(Curve(fold, epochs, lines, seed))
        if wrong is not None:
            drawn = f"its curve ends with epoch {epochs[-1]}" if epochs else "its curve is not drawn"
            notes.append(f"{path.relative_to(root).as_posix()} {wrong}: {drawn}. The scores do not rest on it.")
    return tuple(curves), tuple(notes)


def _logs(folder: Path) -> list[tuple[str | None, Path]]:
    """Return where the logs of a training should be, each with its seed where there are several."""
    found = {inner.name.removeprefix("seed"): inner for inner in folder.glob("seed[0-9]*")}
    return [(seed, found[seed] / _NAME) for seed in natural_order(found)] or [(None, folder / _NAME)]


def _read(path: Path) -> tuple[tuple[int, ...], dict[str, tuple[float | None, ...]], str | None]:
    """Return a log's epochs and lines up to the first row that is not whole, and what is wrong with it from there."""
    epochs: list[int] = []
    rows: list[list[float | None]] = []
    wrong = None
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        return (), dict.fromkeys(CURVE_LINES, ()), "is no file"
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                if None in row or None in row.values():
                    raise ValueError("a row must have as many cells as the heading")
                values = [float(row[name]) if row.get(name) else None for name in CURVE_LINES]
                epochs.append(int(row["epoch"]))
                rows.append(values)
    except FileNotFoundError:
        wrong = "is missing"
    except KeyError as error:
        wrong = f"has no column {error}"
    except (OSError, csv.Error, ValueError) as error:
        wrong = f"cannot be read to its end ({error})"
    if wrong is None and not epochs:
        wrong = "holds no epoch"
    lines = {name: tuple(row[column] for row in rows) for column, name in enumerate(CURVE_LINES)}
    return tuple(epochs), lines, wrong
