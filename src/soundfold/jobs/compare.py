"""`soundfold.compare`: finished runs against each other, from the predictions in their folders alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soundfold.errors import PathError, RunError
from soundfold.evaluation import CvResult, TrainResult
from soundfold.evaluation.comparison import compare_predictions, correct_for_many
from soundfold.evaluation.comparison_result import ComparedRun, CompareResult, Comparison
from soundfold.jobs.begun import check_is_finished, data_of
from soundfold.jobs.kept_result import predictions_of, read_result
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.runtime.run_mark import MARK_NAME, identity_of

__all__ = ["FinishedRun", "compare", "compare_runs", "compare_two", "read_run"]


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a finished run left.

    Attributes:
        folder: where it lies.
        name: what it is called in sentences.
        result: its scores.
        predictions: its answers to clips that it held out.
        root: folder of its data set, absolute; None where the run does not say.
    """

    folder: Path
    name: str
    result: TrainResult | CvResult
    predictions: pd.DataFrame
    root: str | None

    @property
    def kind(self) -> str:
        """`cv` or `train`."""
        return "cv" if isinstance(self.result, CvResult) else "train"

    @property
    def groups_known(self) -> bool:
        """Whether the data set told which clips come from one recording."""
        return (self.result.leaks or {}).get("groups_known") is not False


def compare(runs: Sequence[str | Path]) -> CompareResult:
    """Compare runs pair by pair of answers: every further run against the first.

    Args:
        runs: folders of two finished trainings or cross-validations or more; a fold's folder is a training.

    Returns:
        differences (later run - first run), each with its interval over recordings, its p-value, and a sentence.

    Raises:
        PathError: a folder is missing, or no run's.
        RunError: fewer than two runs, the same one twice, one that is not finished, or a training among
            cross-validations.
        DataError: two runs have no clip in common, know different labels, disagree on a clip's truth, or on whether
            clips bear several labels.
    """
    folders = [Path(run) for run in runs]
    if len(folders) < 2:
        raise RunError(f"compare takes two runs or more, got {len(folders)}. Name another run's folder")
    seen = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise RunError(f"{folder}: must be named once, got it twice. Name another run's folder")
        seen.add(folder.resolve())
    return compare_runs([read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)])


def compare_runs(runs: Sequence[FinishedRun]) -> CompareResult:
    """Compare runs that were read already; see `compare`."""
    kinds = {run.kind: run for run in reversed(runs)}
    if len(kinds) > 1:
        raise RunError(
            f"runs must be all trainings or all cross-validations, got the training {kinds['train'].folder} and the "
            f"cross-validation {kinds['cv'].folder}. Compare a training with one fold of it: its folder fold…"
        )
    first = runs[0]
    comparisons = correct_for_many([compare_two(first, run, at_once=len(runs) - 1) for run in runs[1:]])
    notes = []
    if len(comparisons) > 1:
        notes.append(f"The {len(comparisons)} p-values are corrected by Holm's method for being several.")
    notes += [
        f"{run.name} was scored with a leak: {run.result.leaks['sentence']}"
        for run in runs
        if run.result.leaks and (run.result.leaks.get("clips") or run.result.leaks.get("identical_clips"))
    ]
    return CompareResult(
        kind=first.kind,
        runs=tuple(
            ComparedRun(
                name=run.name,
                out=str(run.folder),
                recipe=str(run.result.recipe.get("name", "")),
                split=run.result.split.name,
                accuracy=run.result.accuracy,
                mean_average_precision=run.result.mean_average_precision,
                n=run.result.n,
            )
            for run in runs
        ),
        comparisons=comparisons,
        notes=tuple(notes),
        sentence="; ".join(comparison.sentence for comparison in comparisons),
    )


def read_run(folder: Path, name: str | None = None) -> FinishedRun:
    """Read the folder of a finished training, cross-validation, or fold of one.

    Args:
        folder: where the run lies.
        name: what it is called in sentences; None for the folder's name.

    Raises:
        PathError: there is no such folder, or it is no run's.
        RunError: the run is not finished, damaged, or held nothing out.
    """
    _check_is_finished(folder)
    if (folder / MARK_NAME).exists() and not identity_of(folder):
        raise RunError(
            f"{folder / MARK_NAME}: is damaged, so nothing tells of which data the run is. Put it back, or make the "
            f"run again with another --out"
        )
    finished = folder / METRICS_NAME
    try:
        kind: type[CvResult] | type[TrainResult] = (
            CvResult if "accuracy_mean" in json.loads(finished.read_text(encoding="utf-8")) else TrainResult
        )
    except (ValueError, TypeError):
        kind = TrainResult
    result = read_result(finished, kind)
    if not result.n:
        raise RunError(
            f"{folder}: was trained on all clips and held nothing out, so it has no answers to compare. "
            f"Compare cross-validations: soundfold cv"
        )
    return FinishedRun(
        folder=folder,
        name=name or folder.resolve().name,
        result=result,
        predictions=predictions_of(folder, result),
        root=data_of(folder).get("data"),
    )


def compare_two(a: FinishedRun, b: FinishedRun, *, at_once: int = 1) -> Comparison:
    """Compare one run with another; differences are B - A, the p-value is uncorrected.

    Args:
        a, b: the runs.
        at_once: how many comparisons `correct_for_many` will get.

    Raises:
        DataError: as `compare`.
    """
    return compare_predictions(
        a.predictions,
        b.predictions,
        names=(a.name, b.name),
        roots=(a.root, b.root),
        groups_known=a.groups_known and b.groups_known,
        at_once=at_once,
    )


def _check_is_finished(folder: Path) -> None:
    if not folder.exists():
        raise PathError(f"{folder}: there is no such run. Check the path")
    if not folder.is_dir():
        raise PathError(f"{folder}: is a file, not a run's folder. Name the folder that it lies in")
    check_is_finished(folder, "Name one that soundfold train or soundfold cv wrote")


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the folders' own names if these tell them apart, else as much of the path as was given."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]
