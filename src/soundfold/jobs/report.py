"""`soundfold.report`: runs as one HTML page with scores, curves, leaks, and the sounds that were mistaken. No torch."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from soundfold.atomic import write_text
from soundfold.audio import load
from soundfold.errors import AudioError, DataError, PathError, RunError
from soundfold.evaluation import (
    CvResult,
    EvaluateResult,
    SplitSummary,
    TrainResult,
    read_predictions,
    score,
)
from soundfold.evaluation.report import (
    RATE_HZ,
    ReportClip,
    ReportRun,
    embed_sound,
    is_of_several_labels,
    is_ours,
    measured,
    render_page,
    surest_mistakes,
)
from soundfold.jobs.begun import check_is_finished, data_of
from soundfold.jobs.kept_result import MODEL_NAME, PREDICTIONS_NAME, WEIGHTS_NAME, predictions_of, read_result
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.jobs.training_logs import read_curves
from soundfold.wording import counted, format_size, natural_order

__all__ = ["report"]

_MOST_CLIPS = 100
_MOST_BYTES = 12_000_000


def report(
    runs: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    clips: int = 12,
    data: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Write what runs came to as one HTML page that needs nothing beside it.

    Args:
        runs: a run's folder, or several; a table of predictions (Parquet) stands for an evaluation.
        out: the page; None for `report.html` in the first run's folder. A page that soundfold wrote is replaced, and
            nothing else is.
        clips: how many of the clips a run was surest and wrong about, with their sounds; 0 to 100.
        data: the data set's folder, if it has moved since.
        reporter: hears how the work goes.

    Returns:
        the page's path.

    Raises:
        SoundfoldError: anything the user can mend.
    """
    reporter = reporter or Silent()
    if not 0 <= clips <= _MOST_CLIPS:
        raise DataError(f"clips must be between 0 and {_MOST_CLIPS}, got {clips}. Every sound makes the page larger")
    paths = [Path(runs)] if isinstance(runs, (str, Path)) else [Path(run) for run in runs]
    if not paths:
        raise DataError("runs must be at least one, got none. Name a run's folder")
    moved = _moved(data)
    target = _target(paths[0], out)
    names = _names(paths)
    gathered = [_gathered(path, name, clips) for path, name in zip(paths, names, strict=True)]
    _check_alike(gathered)
    found = list(_with_sounds(gathered, moved, reporter))
    page = render_page(found)
    write_text(target, page)
    every = [clip for run in found for clip in run.clips]
    heard = sum(clip.sound is not None for clip in every)
    sounds = f", {counted(heard, 'sound')} in it" if every else ""
    reporter.note(f"{target}: {format_size(len(page.encode()))}{sounds}")
    if heard < len(every):
        why = next(clip.silent_because for clip in every if clip.sound is None)
        reporter.note(f"{counted(len(every) - heard, 'clip')} without sound: {why}")
    return target


def _target(first: Path, out: str | Path | None) -> Path:
    """Return where the page goes; refuse before the work what may not be written."""
    if not first.exists():
        raise PathError(f"{first}: there is no such run. Check the path")
    beside = first / "report.html" if first.is_dir() else first.with_suffix(".html")
    target = beside if out is None else Path(out)
    if target.is_dir():
        raise PathError(f"{target}: is a folder. Name a file with --out")
    if target.exists() and not is_ours(target):
        raise PathError(f"{target}: exists already and is no report of soundfold's. Choose another --out")
    if not target.absolute().parent.is_dir():
        raise PathError(f"{target.absolute().parent}: there is no such folder. Make it first, or choose another --out")
    return target


def _check_alike(runs: Sequence[ReportRun]) -> None:
    """Raise unless the runs that scored anything did so by the same measure."""
    kinds: dict[bool, ReportRun] = {}
    for run in runs:
        if measured(run.result) is not None:
            kinds.setdefault(is_of_several_labels(run.result), run)
    if len(kinds) > 1:
        raise RunError(
            f"runs must all be of one label a clip, or all of several, got {kinds[True].path} (several) and "
            f"{kinds[False].path} (one). Report them apart"
        )


def _moved(data: str | Path | None) -> Path | None:
    if data is None:
        return None
    folder = Path(data).absolute()
    if not folder.exists():
        raise PathError(f"{data}: no such file or folder. Say with --data where the sounds are now")
    return folder if folder.is_dir() else folder.parent


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what the page calls the runs: the ends of their paths, as long as it takes to tell them apart."""
    whole = [path.absolute().parts[1:] for path in paths]
    if len(set(whole)) < len(whole):
        raise DataError("runs must be different, got one of them twice. Name each once")
    length = next(n for n in range(1, 1000) if len({parts[-n:] for parts in whole}) == len(whole))
    return ["/".join(parts[-length:]) for parts in whole]


def _gathered(path: Path, name: str, clips: int) -> ReportRun:
    """Return all that a run's folder tells."""
    table: pd.DataFrame | None
    result: TrainResult | CvResult | EvaluateResult
    if path.is_file() and path.suffix.lower() == ".parquet":
        data = None
        table = scored = read_predictions(path)
        result = _rescored(scored)
    else:
        data = data_of(path).get("data")
        result = _result(path)
        table = None
        if isinstance(result, EvaluateResult):
            table = read_predictions(path / PREDICTIONS_NAME) if (path / PREDICTIONS_NAME).exists() else None
        elif result.n and (path / PREDICTIONS_NAME).exists():
            table = predictions_of(path, result)
    chosen, wrong = ([], 0) if table is None else surest_mistakes(table, clips)
    inner = _trainings(path, result)
    curves, log_notes = read_curves(inner, path)
    return ReportRun(
        name=name,
        path=str(path),
        result=result,
        predictions=table,
        curves=curves,
        log_notes=log_notes,
        files=_files([each for _, each in inner]),
        clips=tuple(chosen),
        wrong=wrong,
        data=data,
    )


def _result(path: Path) -> TrainResult | CvResult | EvaluateResult:
    metrics = path / METRICS_NAME
    if not path.is_dir():
        raise PathError(f"{path}: is no run's folder, and no table of predictions (.parquet). Check the path")
    check_is_finished(path, "Name the folder that --out named")
    try:
        told = json.loads(metrics.read_text(encoding="utf-8"))
    except ValueError:
        told = None
    if isinstance(told, dict) and "accuracy_mean" in told:
        return read_result(metrics, CvResult)
    scored = isinstance(told, dict) and any(told.get(key) is not None for key in ("accuracy", "mean_average_precision"))
    if isinstance(told, dict) and scored and told.get("train_s") is None:
        return read_result(metrics, EvaluateResult)  # what `evaluate --json` printed, kept under this name
    return read_result(metrics, TrainResult)


def _rescored(table: pd.DataFrame) -> EvaluateResult:
    """Return the scores of predictions that have lost, or never had, a result beside them."""
    return EvaluateResult(
        **dict(score(table)),
        recipe={},
        split=SplitSummary(name="all clips", kind="all", n_test=len(table)),
        seconds=0.0,
    )


def _trainings(path: Path, result: TrainResult | CvResult | EvaluateResult) -> list[tuple[str | None, Path]]:
    """Return the folders with the logs and models of a run: of a cross-validation those of its folds, in order."""
    if isinstance(result, EvaluateResult):
        return []
    if isinstance(result, TrainResult):
        return [(None, path)]
    metrics = path.glob(f"*/{METRICS_NAME}")
    found = {str(read_result(each, TrainResult).split.fold): each.parent for each in metrics}
    return [(fold, found[fold]) for fold in natural_order(found)]


def _files(folders: Sequence[Path]) -> tuple[tuple[str, int], ...]:
    """Return the mean size of what would be shipped, over the folds' files."""
    told = []
    for name in (MODEL_NAME, WEIGHTS_NAME):
        sizes = [file.stat().st_size for folder in folders if (file := folder / name).exists()]
        if sizes:
            told.append((name if len(sizes) == 1 else f"{name}, each fold's", round(sum(sizes) / len(sizes))))
    return tuple(told)


def _with_sounds(runs: Sequence[ReportRun], moved: Path | None, reporter: Reporter) -> Iterator[ReportRun]:
    """Yield runs whose clips have their sounds, as far as they can be heard and the page has room."""
    total = sum(len(run.clips) for run in runs)
    done, room = 0, _MOST_BYTES
    for run in runs:
        clips = []
        for clip in run.clips:
            heard = (
                _heard(clip, moved) if room > 0 else replace(clip, silent_because="the page is large enough already")
            )
            if heard.sound is not None:
                room -= len(heard.sound.uri) + len(heard.sound.picture)
            clips.append(heard)
            done += 1
            reporter.progress("listening", done, total)
        yield replace(run, clips=tuple(clips))


def _heard(clip: ReportClip, moved: Path | None) -> ReportClip:
    path = _place(clip.path, moved)
    if not path.is_file():
        mend = "" if moved is not None else "; if the data has moved, say where with --data"
        return replace(clip, silent_because=f"its file is no longer there{mend}")
    try:
        waveform = load(path, RATE_HZ, 1, downmix="mean", start_s=clip.start, end_s=clip.end)
    except (AudioError, PathError) as error:
        return replace(clip, silent_because=str(error).removeprefix(f"{path}: ").rstrip("."))
    return replace(clip, sound=embed_sound(np.asarray(waveform[0], dtype=np.float32)))


def _place(path: str, moved: Path | None) -> Path:
    """Return where a file is now: the longest end of its path that is found in the folder it has moved to."""
    if moved is None:
        return Path(path)
    parts = PurePath(path).parts[1:]
    ends = [moved.joinpath(*parts[k:]) for k in range(len(parts))]
    return next((end for end in ends if end.is_file()), moved / PurePath(path).name)
