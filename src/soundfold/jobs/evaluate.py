"""`soundfold.evaluate`: a model file against labelled sounds, through onnxruntime alone. Needs no torch."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from soundfold import __version__
from soundfold.atomic import refuse_existing
from soundfold.data.clips import Clips, LeftOut
from soundfold.data.reading import read_clips
from soundfold.errors import DataError, PathError, SoundfoldError
from soundfold.evaluation import (
    EvaluateResult,
    MetScore,
    SplitSummary,
    predictions_table,
    score,
    write_predictions,
)
from soundfold.evaluation.calibration_result import CalledUnknown
from soundfold.jobs.reporting import Reporter, Silent, told
from soundfold.runtime import Model, load
from soundfold.runtime.card import are_known_recordings
from soundfold.wording import counted, format_percent, natural_order

__all__ = ["evaluate"]

_SPOKEN, _LISTED = 5, 20  # so many recordings are named in a sentence, and in the JSON


def evaluate(
    model: str | Path | Model,
    data: str | Path,
    *,
    fold: str | int | None = None,
    where: Mapping[str, str] | None = None,
    predictions: str | Path | None = None,
    reporter: Reporter | None = None,
) -> EvaluateResult:
    """Score a model on labelled sounds, those of recordings that it was trained on apart from the others.

    Args:
        model: a model file, a run's folder, or an opened model.
        data: a data set's folder or table.
        fold: score this official fold alone.
        where: keep the clips whose own column has this value.
        predictions: where to write the predictions (Parquet); None to keep none.
        reporter: hears how the work goes.

    Raises:
        SoundfoldError: anything the user can mend.
    """
    started = time.perf_counter()
    reporter = reporter or Silent()
    if predictions is not None:
        if Path(predictions).suffix.lower() != ".parquet":
            raise PathError(f"{predictions}: predictions are kept as Parquet. Name a file that ends in .parquet")
        refuse_existing(Path(predictions), "--predictions")
    opened = model if isinstance(model, Model) else load(model)
    several = opened.card.answer == "several"
    read = _read(data, where, opened)
    clips = _chosen(read, fold)
    _check_known(opened, clips)
    for note in read.notes:
        reporter.note(note)
    began = time.perf_counter()
    probabilities, refused, heard, unheard = _listen(opened, clips, reporter)
    spent = time.perf_counter() - began
    table = predictions_table(clips.table.iloc[heard], opened.labels, probabilities, several=several)
    if predictions is not None:
        write_predictions(predictions, table)
    scores = score(table, groups_known=clips.groups_known)
    groups = table["group"].tolist()
    met = _met(opened, clips, groups)
    return EvaluateResult(
        **dict(scores),
        recipe=opened.card.recipe,
        split=SplitSummary(
            name=_named(fold, where),
            kind="all" if fold is None else "fold",
            fold=None if fold is None else str(fold),
            n_test=len(table),
        ),
        leaks=_leaks(groups, met, clips.groups_known),
        met=_alone(table, met, clips.groups_known),
        # those of no known recording may still be of one that it was trained on
        not_met=None if met is None or not clips.groups_known else _alone(table, ~met, clips.groups_known),
        called_unknown=_called_unknown(opened, table, refused),
        seconds=time.perf_counter() - started,
        clips_per_second=len(table) / spent,
        left_out=told(clips.left_out + unheard),
        out=None if predictions is None else str(predictions),
        versions={"soundfold": __version__},
    )


def _named(fold: str | int | None, where: Mapping[str, str] | None) -> str:
    """Return what was scored, in words."""
    of_fold = "" if fold is None else f" of fold {fold}"
    kept = " and ".join(f"{column}={value}" for column, value in (where or {}).items())
    if kept:
        return f"clips{of_fold} where {kept}"
    return f"fold {fold}" if of_fold else "all clips"


def _read(data: str | Path, where: Mapping[str, str] | None, model: Model) -> Clips:
    """Read clips that bear as many labels each as the model answers with.

    Raises:
        DataError: the model answers with one label a sound, and the clips bear several.
    """
    if model.card.answer == "several":
        return read_clips(data, where=where, labels="several")
    clips = read_clips(data, where=where)
    if clips.several:
        raise DataError(
            f"{clips.root}: its clips bear several labels each, and {model.path} answers with one a sound. "
            f"Evaluate a model that was trained on several"
        )
    return clips


def _chosen(clips: Clips, fold: str | int | None) -> Clips:
    if fold is None:
        return clips
    name = str(fold)
    if name not in clips.folds:
        known = ", ".join(clips.folds) or "none"
        raise DataError(f"fold must be one that {clips.root} has ({known}), got '{name}'. Name one, or leave it out")
    return clips.subset((clips.table["fold"] == name).to_numpy())


def _check_known(model: Model, clips: Clips) -> None:
    """Raise where no answer could be right: such a score would tell of the labels' spelling alone.

    Raises:
        DataError: the model knows not one label of the clips.
    """
    if clips.labels and not set(clips.labels) & set(model.labels):
        raise DataError(
            f"{clips.root}: must bear at least one label that the model knows ({_some(model.labels)}), got "
            f"{_some(clips.labels)}. Name the data's labels as the model does, or evaluate another model"
        )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:_SPOKEN]) + (f" and {len(labels) - _SPOKEN} more" if len(labels) > _SPOKEN else "")


def _listen(
    model: Model, clips: Clips, reporter: Reporter
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[LeftOut, ...]]:
    """Return probabilities, which clips are called unknown, their positions, and the clips that could not be heard."""
    table = clips.table
    parts = [
        (path, None if np.isnan(start) else start, None if np.isnan(end) else end)
        for path, start, end in zip(table["path"], table["start"], table["end"], strict=True)
    ]
    rows, refused, heard, unheard = [], [], [], []
    for position, answer in enumerate(model.predict_many(parts)):
        if isinstance(answer, SoundfoldError):
            path = parts[position][0]
            unheard.append(LeftOut(path, str(answer).removeprefix(f"{path}: ")))
        else:
            rows.append(list(answer.probabilities.values()))
            refused.append(answer.nearest is not None)
            heard.append(position)
        reporter.progress("listening", position + 1, len(parts))
    if not rows:
        none = f"not one of {counted(len(parts), 'clip')} can be heard"
        raise DataError(f"{clips.root}: {none}; the first: {unheard[0].path}: {unheard[0].reason}")
    for left_out in unheard[:5]:
        reporter.note(f"left out: {left_out.path}: {left_out.reason}")
    return np.array(rows), np.array(refused), np.array(heard), tuple(unheard)


def _called_unknown(model: Model, table: pd.DataFrame, refused: np.ndarray) -> CalledUnknown | None:
    """Return what came of a rule for unknown sounds and of thresholds; None where the model has neither."""
    calibration = model.card.calibration
    if calibration is None or model.card.answer == "several":
        return None
    if calibration.rejection is None and not calibration.thresholds:
        return None
    right = (table["label"] == table["predicted"]).to_numpy()[~refused]
    return CalledUnknown(n=int(refused.sum()), right_of_others=float(right.mean()) if len(right) else None)


def _met(model: Model, clips: Clips, groups: Sequence[str]) -> np.ndarray | None:
    """Return for each clip whether its recording's name is one that the model was trained on; None where unknown."""
    met = are_known_recordings(model.card, groups)
    # where nothing tells recordings apart, files found again are a leak, but none found proves nothing
    if met is None or (not any(met) and not clips.groups_known):
        return None
    return np.array(met, dtype=bool)


def _alone(table: pd.DataFrame, side: np.ndarray | None, groups_known: bool) -> MetScore | None:
    """Return the scores of some of the clips; None where there are none."""
    if side is None or not side.any():
        return None
    return MetScore.model_validate(score(table[side].reset_index(drop=True), groups_known=groups_known))


def _leaks(groups: Sequence[str], met: np.ndarray | None, groups_known: bool) -> dict[str, Any]:
    """Return how many clips bear the name of a recording that the model was trained on; None where that is unknown."""
    clips, share, names = None, None, natural_order(np.array(groups)[met] if met is not None else ())
    sentence = "recordings are not known, so it cannot be seen whether the model was trained on some of these"
    if met is not None:
        clips, share, sentence = int(met.sum()), float(met.mean()), ""
    unit = "recordings" if groups_known else "files"
    if clips:
        sentence = (
            f"{format_percent(share or 0.0)} of these clips come from {unit} that the model was trained on; expect "
            f"less on new recordings"
        )
        if len(names) <= _SPOKEN:
            sentence += f". {unit.capitalize()} it was trained on: {', '.join(names)}"
    return {
        "clips": clips,
        "share": share,
        "recordings": list(names[:_LISTED]),
        "groups_known": groups_known,
        "sentence": sentence,
    }
