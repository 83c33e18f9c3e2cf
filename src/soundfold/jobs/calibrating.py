"""Calibrating a model by a cross-validation of the same recipe: what `train --calibrate` reads, checks and fits."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from soundfold.errors import DataError, RunError
from soundfold.evaluation import (
    CalibrationScores,
    CvResult,
    UnknownScores,
    calibrate,
    is_of_several,
    labels_in,
    tempered,
)
from soundfold.evaluation.calibration import cross_fitting_parts
from soundfold.evaluation.predictions import probabilities_in
from soundfold.evaluation.rejection import fit_rule, unknown_scores
from soundfold.evaluation.thresholds import NEVER, check_precision, threshold_scores
from soundfold.jobs.background_answers import Sounds, amid_answers, background_answers
from soundfold.jobs.begun import check_is_finished
from soundfold.jobs.kept_result import predictions_of, read_result
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.recipe import Recipe, with_defaults
from soundfold.runtime import Calibration
from soundfold.runtime.calibration import Rejection, rejection_features
from soundfold.wording import counted

__all__ = ["Calibrated", "Wish", "calibrate_by", "cross_validation_of"]

_FEW = 20


@dataclass(frozen=True)
class Wish:
    """How a model is to be calibrated.

    Attributes:
        run: the folder of a cross-validation by the same recipe.
        precision: how often a told label is to be right, 0 to 1; None to tell the likeliest whatever its probability.
        false_alarms: so many windows of background in an hour may be told to be a class; None for as few as may be
            where some 3 % of the clips are called unknown.

    Raises:
        DataError: a number is out of range.
    """

    run: Path
    precision: float | None = None
    false_alarms: float | None = None

    def __post_init__(self) -> None:
        if self.precision is not None:
            check_precision(self.precision)
        if self.false_alarms is not None and not 0 < self.false_alarms < math.inf:
            raise DataError(
                f"false alarms must be a number above 0 an hour, got {self.false_alarms:g}. Say 45, for instance"
            )


@dataclass(frozen=True)
class Calibrated:
    """What goes into the model file, and what is told of it."""

    card: Calibration
    scores: CalibrationScores

    @property
    def digest(self) -> str:
        """A short text that changes with anything that was fitted or wished."""
        return hashlib.blake2b(self.card.model_dump_json().encode(), digest_size=8).hexdigest()


def calibrate_by(wish: Wish, recipe: Recipe, prepared: Prepared, seeds: int, held_out: Sequence[str]) -> Calibrated:
    """Return the calibration that a cross-validation gives.

    Clips of recordings that the training holds out are passed over: what is fitted on them could not be judged by them.

    Args:
        wish: the run, and what is wanted.
        recipe: of the training; the run's must be the same but for its name and seed.
        prepared: the training's clips and their sounds.
        seeds: networks of the training.
        held_out: recordings that the training holds out.

    Raises:
        RunError: the run is not a finished cross-validation, or another than the training's.
        DataError: it holds too little.
    """
    labels, several = prepared.clips.labels, prepared.clips.several
    result = cross_validation_of(wish.run)
    _check_same(wish.run, result, recipe, labels, seeds)
    if several and wish.false_alarms is not None:
        raise RunError(
            "--false-alarms is for models of one label a sound; of several, none may be told. Say --precision instead"
        )
    if several and seeds > 1:
        raise RunError(
            f"seeds must be 1 to calibrate a model of several labels a sound, got {seeds}. "
            f"Leave --seeds or --calibrate out"
        )
    whole = predictions_of(wish.run, result)
    if tuple(labels_in(whole)) != tuple(labels) or is_of_several(whole) != several:
        raise RunError(f"{wish.run}: its predictions.parquet is of other labels. Cross-validate again")
    table = whole[~whole["group"].isin(set(held_out))].reset_index(drop=True)
    if len(table) < _FEW:
        raise DataError(
            f"{wish.run}: must hold at least {_FEW} clips of recordings that are not held out, got {len(table)}. "
            f"Train with --all, or cross-validate more folds"
        )
    scores = calibrate(table)
    update: dict[str, object] = {}
    if wish.precision is not None:
        update = {
            "precision": wish.precision,
            "thresholds": threshold_scores(table, wish.precision, temper=scores.helps),
        }
    rule = None
    if not several:
        rule, update["unknown"] = _rejection(table, wish, recipe, prepared, len(result.folds), scores.taken)
    scores = scores.model_copy(update=update)
    card = Calibration(
        temperature=scores.taken,
        fitted_on=f"{counted(len(table), 'out-of-fold answer')} of {counted(table['group'].nunique(), 'recording')}",
        ece_before=scores.before.ece,
        ece_after=(scores.after if scores.helps else scores.before).ece,
        precision=wish.precision,
        thresholds={one.label: NEVER if one.threshold is None else one.threshold for one in scores.thresholds or ()},
        rejection=rule,
    )
    return Calibrated(card, scores)


def _rejection(
    table: pd.DataFrame, wish: Wish, recipe: Recipe, prepared: Prepared, folds: int, temperature: float
) -> tuple[Rejection, UnknownScores]:
    """Return a rule for unknown sounds, on answers as the calibrated model gives them, and how well it does."""
    answers = background_answers(wish.run, recipe, folds)
    amid = amid_answers(wish.run, recipe, folds, table["fold"].astype(str).to_numpy(), _sounds(table, prepared))

    def looked_at(probabilities: np.ndarray) -> np.ndarray:
        return rejection_features(tempered(probabilities, temperature))

    known, background = looked_at(probabilities_in(table)), looked_at(answers.probabilities)
    heard = None if amid is None else (looked_at(amid.probabilities), amid.rows)
    window_s = recipe.sound.window / recipe.sound.sample_rate
    parts = cross_fitting_parts(table)[0]
    fitted = fit_rule(known, parts, background, answers.kinds, wish.false_alarms, window_s)
    judged = unknown_scores(table, known, background, answers.kinds, wish.false_alarms, window_s, heard)
    rule = Rejection(
        centre=tuple(fitted.centre.tolist()),
        spread=tuple(fitted.spread.tolist()),
        linear=tuple(fitted.linear.tolist()),
        square=tuple(fitted.square.tolist()),
        product=tuple(fitted.product.tolist()),
        threshold=fitted.threshold,
        false_alarms_per_hour=judged.false_alarms_per_hour,
        by_window=True,
    )
    return rule, judged


def _sounds(table: pd.DataFrame, prepared: Prepared) -> Sounds:
    """Return the sounds of predictions, known by their clips' paths and parts; a data set may have been moved since."""
    store, named = prepared.store, ["path", "start", "end"]
    kept = dict(zip(_keys(prepared.clips.table[named]), prepared.rows.tolist(), strict=True))
    rows = np.array([kept.get(key, -1) for key in _keys(table[named])])
    samples = np.where(rows < 0, 0, store.index["samples"].to_numpy()[rows])
    return Sounds(samples, lambda place: store.waveform(int(rows[place])))


def _keys(parts: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(parts.astype({"start": float, "end": float}).fillna(-1.0).itertuples(index=False, name=None))


def cross_validation_of(run: Path) -> CvResult:
    """Return what a run's folder tells of a cross-validation.

    Raises:
        RunError: there is no such folder, its run is not finished, or it is none of a cross-validation.
        PathError: it is no run's folder.
    """
    mend = "Name the folder of a cross-validation (soundfold cv … --out RUN)"
    if not run.exists():
        raise RunError(f"{run}: there is no such run. {mend}")
    metrics = run / METRICS_NAME
    check_is_finished(run, mend)
    try:
        told = json.loads(metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = None
    if not isinstance(told, dict) or "labels" not in told:
        return read_result(metrics, CvResult)  # which tells that it is damaged
    if "accuracy_mean" not in told:
        raise RunError(
            f"{run}: is no cross-validation, and only that has answers for recordings that its networks never met. "
            f"Make one with: soundfold cv DATA --recipe RECIPE --out RUN"
        )
    return read_result(metrics, CvResult)


def _check_same(run: Path, result: CvResult, recipe: Recipe, labels: Sequence[str], seeds: int) -> None:
    """Raise unless a run speaks of the networks that are to be trained."""
    theirs, ours = (_flat(each) for each in (with_defaults(result.recipe), recipe.as_dict()))
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key) and key not in ("name", "training.seed"):
            raise RunError(
                f"{run}: was trained with {key} = {theirs.get(key)}, got {ours.get(key)}. "
                f"Train by the same recipe: --recipe {run / 'recipe.yaml'}"
            )
    if tuple(result.labels) != tuple(labels):
        odd = sorted(set(result.labels) ^ set(labels)) or ["their order"]
        raise RunError(f"{run}: its labels must be those of the training, got others: {', '.join(odd[:5])}")
    networks = len(result.seeds.seeds) if result.seeds else 1
    if networks != seeds:
        raise RunError(f"{run}: answered with {counted(networks, 'network')}, got {seeds}. Say --seeds {networks}")


def _flat(values: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(values, dict):
        return {prefix: values}
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
