"""`soundfold export`: a model file with smaller numbers, and what that costs: measured, and refused above a bound."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from soundfold.atomic import refuse_existing, replacing
from soundfold.audio import fit_length, load
from soundfold.data.clips import Clips
from soundfold.data.reading import read_clips
from soundfold.errors import DataError, ModelFileError, RunError, SoundfoldError
from soundfold.evaluation.intervals import bootstrap_interval
from soundfold.export.precision import with_precision
from soundfold.jobs.begun import data_of
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.runtime import Model
from soundfold.runtime import load as open_model
from soundfold.runtime.card import are_known_recordings
from soundfold.runtime.model_path import find_model
from soundfold.wording import counted

__all__ = ["CALIBRATION_CLIPS", "MAX_LOSS", "ExportResult", "Precision", "export"]

Precision = Literal["float32", "float16", "int8"]
MAX_LOSS = 0.02
CALIBRATION_CLIPS = 128
_MOST_MEASURED = 1_000
_ROUNDS = 30
_AT_ONCE = 16
_WAYS_BOUND = {"float32": 1e-4, "float16": 1e-4, "int8": 0.25}
"""How far the file's own front end may lie from ours: rounding may push a value to the next of 256 steps."""


class ExportResult(BaseModel):
    """A file of another precision, beside the one that it was made of.

    Attributes:
        model, out: the file that was given, and the one that was written.
        precision: of the new one.
        bytes_before, bytes_after: sizes of both.
        measured_on: which clips both were asked about.
        n: how many.
        accuracy_before, accuracy_after: share of them told right (of several labels: of their labels).
        loss, loss_ci95: how much less the new one tells right, clip by clip, and its interval over recordings.
        agreement: share of clips with the same answer.
        largest_difference: between two probabilities of the same clip.
        ms_before, ms_after: processor time for a window on one core, medians of turns.
        speed: how many times as fast the new one is, by these medians.
        portable_difference: between the new file's two ways, with its own front end and with ours.
        calibration_clips: clips by which ranges were found; 0 where none were needed.
        notes: sentences for the reader.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    out: str
    precision: Precision
    bytes_before: int
    bytes_after: int
    measured_on: str
    n: int
    accuracy_before: float
    accuracy_after: float
    loss: float
    loss_ci95: tuple[float, float] | None
    agreement: float
    largest_difference: float
    ms_before: float
    ms_after: float
    speed: float
    portable_difference: float
    calibration_clips: int
    notes: tuple[str, ...] = ()


_MET = "recordings that it was trained on, as there are no others"
_MORE_FROM_OTHERS = (
    "; what it was trained on flatters the original, so name others with --data, of whose recordings one half "
    "calibrates and the other measures"
)


def export(
    model: str | Path,
    precision: str,
    out: str | Path,
    *,
    data: str | Path | None = None,
    where: Mapping[str, str] | None = None,
    max_loss: float = MAX_LOSS,
    calibration_clips: int = CALIBRATION_CLIPS,
    reporter: Reporter | None = None,
) -> ExportResult:
    """Write a model file with numbers of another precision, and measure what is lost and gained.

    Args:
        model: a model file in float32, or a run's folder.
        precision: float32 (a checked copy), float16 or int8.
        out: the file to write; nothing is overwritten.
        data: the data set to calibrate and to measure on; None for the one that the run names. Recordings that the
            model was trained on calibrate, the others measure; of data that is all of one kind, a half each.
        where: keep the clips whose own column has this value.
        max_loss: the largest loss of accuracy with which the file is still written, 0 to 1.
        calibration_clips: training clips by which int8 finds its ranges.
        reporter: hears how the work goes.

    Raises:
        SoundfoldError: anything the user can mend, and a loss above the bound; nothing is written then.
    """
    reporter, target = reporter or Silent(), Path(out)
    refuse_existing(target, "--out")
    kind = _kind(precision)
    if not 0 <= max_loss <= 1:
        raise RunError(f"--max-loss must be a part of 1, from 0 to 1, got {max_loss:g}. Say 0.02 for 2 points")
    if calibration_clips < 1:
        raise RunError(f"--calibration-clips must be at least 1, got {calibration_clips}. Leave it out for 128")
    opened = open_model(model)
    if opened.card.precision != "float32":
        raise ModelFileError(
            f"{opened.path}: must be a file in float32, got {opened.card.precision}. Name the one it was made of"
        )
    clips = _read(Path(model), data, where, opened)
    calibrating, measuring, measured_on = _sides(opened, clips, calibration_clips if kind == "int8" else 0)
    reporter.note(f"measured on {counted(len(measuring), 'clip')}: {measured_on}")
    values = None
    if kind == "int8":
        heard = _windows(opened, calibrating, reporter, "calibrating")[0]
        values = opened.features(heard)
    windows, rows = _windows(opened, measuring, reporter, "listening")
    content = opened.path.read_bytes()
    changed = with_precision(content, opened.card.model_copy(update={"precision": kind}), values)
    with replacing(target) as part:
        part.write_bytes(changed)
        result = _compare(opened, open_model(part), windows, measuring.iloc[rows], clips.several, kind)
        portable = _portable_difference(part, windows)
        result = result.model_copy(
            update={
                "model": str(opened.path),
                "out": str(target),
                "measured_on": measured_on,
                "precision": kind,
                "bytes_before": len(content),
                "bytes_after": len(changed),
                "portable_difference": portable,
                "calibration_clips": 0 if values is None else len(values),
            }
        )
        if result.loss > max_loss:
            met = _MORE_FROM_OTHERS if measured_on == _MET else ""
            raise ModelFileError(
                f"{target}: must lose at most {100 * max_loss:g} points of accuracy (--max-loss {max_loss:g}), got "
                f"{100 * result.loss:.1f} ({100 * result.accuracy_before:.1f} to {100 * result.accuracy_after:.1f} % "
                f"of {counted(result.n, 'clip')}: {measured_on}). Nothing is written{met}; raise --max-loss, or take "
                f"float16"
            )
        if not portable <= _WAYS_BOUND[kind]:
            raise ModelFileError(
                f"{target}: must answer alike with its own front end within {_WAYS_BOUND[kind]}, got "
                f"{portable:.2g}. Take float16"
            )
    return result


def _kind(name: str) -> Precision:
    """Return a precision by its name."""
    for kind in get_args(Precision):
        if name == kind:
            return kind  # type: ignore[no-any-return]
    raise RunError(f"precision must be one of {', '.join(get_args(Precision))}, got '{name}'. Say int8, for instance")


def _read(model: Path, data: str | Path | None, where: Mapping[str, str] | None, opened: Model) -> Clips:
    """Read the data that is named, or that the run names."""
    if data is None:
        told = data_of(find_model(model).parent)
        if not told:
            raise DataError(
                f"{model}: does not say what it was trained on, so nothing can be measured. Name labelled sounds "
                f"with --data"
            )
        data, where = told["data"], where or told["where"]
    return read_clips(data, where=where, labels="several" if opened.card.answer == "several" else "auto")


def _sides(model: Model, clips: Clips, calibrating: int) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return clips to calibrate with, clips to measure on, and what the latter are."""
    unknown = [label for label in clips.labels if label not in model.labels]
    if unknown:
        raise DataError(f"{clips.root}: bears the label '{unknown[0]}', which the model does not know. Leave it out")
    table = clips.table.assign(target=list(clips.targets()))
    known = are_known_recordings(model.card, table["group"].tolist())
    met = np.zeros(len(table), dtype=bool) if known is None else np.array(known, dtype=bool)
    if met.all() or not met.any():
        groups = np.random.default_rng(0).permutation(table["group"].unique())
        side = table["group"].isin(set(groups[: len(groups) // 2])).to_numpy()
        told = _MET if met.all() else "recordings it never met"
    else:
        side, told = met, "held-out recordings"
    draw = np.random.default_rng(0)
    train, test = table[side], table[~side]
    return _some(train, calibrating, draw), _some(test, _MOST_MEASURED, draw), told


def _some(table: pd.DataFrame, most: int, draw: np.random.Generator) -> pd.DataFrame:
    return table.iloc[np.sort(draw.permutation(len(table))[:most])]


def _windows(model: Model, table: pd.DataFrame, reporter: Reporter, what: str) -> tuple[np.ndarray, list[int]]:
    """Return the first window of each clip that can be heard, and which clips those are."""
    card, found, rows = model.card, [], []
    parts = zip(table["path"], table["start"], table["end"], strict=True)
    for row, (path, start, end) in enumerate(parts):
        start_s, end_s = (None if np.isnan(value) else float(value) for value in (start, end))
        try:
            wave = load(path, card.sample_rate, card.channels, downmix=card.downmix, start_s=start_s, end_s=end_s)
        except SoundfoldError as error:
            reporter.note(f"left out: {error}")
            continue
        found.append(fit_length(wave, card.window))
        rows.append(row)
        reporter.progress(what, row + 1, len(table))
    if not found:
        raise DataError("data must hold a clip that can be heard and was not trained on, got none. Name other --data")
    return np.stack(found), rows


def _compare(
    before: Model, after: Model, windows: np.ndarray, table: pd.DataFrame, several: bool, precision: Precision
) -> ExportResult:
    """Ask both models about the same windows, and time them in turn."""
    old, new = (_asked(model, windows) for model in (before, after))
    if several:
        truth = np.stack(table["target"].tolist()) > 0.5
        places = [before.labels.index(label) for label in before.labels]
        right = [((each[:, places] > 0.5) == truth).mean(axis=1) for each in (old, new)]
        same = ((old > 0.5) == (new > 0.5)).all(axis=1)
    else:
        truth = np.array([before.labels.index(label) for label in table["label"]])
        right = [(each.argmax(axis=1) == truth).astype(np.float64) for each in (old, new)]
        same = old.argmax(axis=1) == new.argmax(axis=1)
    lost = right[0] - right[1]
    counts = pd.DataFrame({"group": table["group"].to_numpy(), "lost": lost, "n": 1}).groupby("group").sum()
    scale = 1_000_000
    whole = np.round(counts.to_numpy(np.float64) * [scale, 1]).astype(np.int64)
    found = bootstrap_interval(whole, lambda sums: sums[:, :1] / sums[:, 1:] / scale)
    turns = np.array([[_cpu_s(model, windows[:1]) for model in (before, after)] for _ in range(_ROUNDS)])[3:]
    ms_before, ms_after = (1e3 * float(ms) for ms in np.median(turns, axis=0))
    speed = ms_before / ms_after
    notes = []
    if precision != "float32" and speed < 0.97:
        notes.append(
            f"{precision} is slower than float32 on this processor ({speed:.2f} times as fast); it is worth its size "
            f"alone here"
        )
    return ExportResult(
        model="", out="", precision=precision, bytes_before=0, bytes_after=0, measured_on="", n=len(windows),
        accuracy_before=float(right[0].mean()), accuracy_after=float(right[1].mean()), loss=float(lost.mean()),
        loss_ci95=None if found is None else found[0], agreement=float(same.mean()),
        largest_difference=float(np.abs(old - new).max()), ms_before=ms_before, ms_after=ms_after,
        speed=speed, portable_difference=0.0, calibration_clips=0,
        notes=tuple(notes),
    )  # fmt: skip


def _asked(model: Model, windows: np.ndarray) -> np.ndarray:
    parts = [model.probabilities(windows[at : at + _AT_ONCE]) for at in range(0, len(windows), _AT_ONCE)]
    return np.concatenate(parts)


def _portable_difference(path: Path, windows: np.ndarray) -> float:
    some = windows[:_AT_ONCE]
    ways = [open_model(path, portable=portable).probabilities(some) for portable in (False, True)]
    return float(np.abs(ways[0] - ways[1]).max())


def _cpu_s(model: Model, window: np.ndarray) -> float:
    began = time.process_time()
    model.probabilities(window)
    return time.process_time() - began
