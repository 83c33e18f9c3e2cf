"""`soundfold.cross_validate`: every fold once as the test fold, and scores for recordings that were never met."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from soundfold.atomic import plain_name, write_text
from soundfold.data.clips import Clips
from soundfold.data.leaks import Leaks
from soundfold.data.splits import Split, check_classes_left, fold_splits
from soundfold.errors import RunError
from soundfold.evaluation import (
    CvResult,
    SplitSummary,
    TrainResult,
    draw_confusion,
    draw_folds,
    read_predictions,
    save_png,
    score_folds,
    score_title,
    write_predictions,
)
from soundfold.jobs.learning import job_of, learn_split
from soundfold.jobs.prepare import Prepared, prepare
from soundfold.jobs.reporting import Reporter, Silent, told
from soundfold.jobs.run_folder import METRICS_NAME, check_out, read_result, run_folder
from soundfold.jobs.side_by_side import Lesson, at_once, learn_side_by_side
from soundfold.jobs.surroundings import hardware_line, versions
from soundfold.jobs.train import choose_out, resolve_recipe
from soundfold.jobs.training_clock import TrainingClock
from soundfold.recipe import Recipe
from soundfold.training import EpochRecord, Hardware
from soundfold.training.launch import fit_together, networks_at_once

__all__ = ["cross_validate"]


def cross_validate(
    data: str | Path,
    *,
    recipe: str | Path | Recipe = "tutorial",
    changes: Iterable[str] = (),
    folds: Sequence[str | int] | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    devices: int = 1,
    jobs: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    where: Mapping[str, str] | None = None,
    cache: str | Path | None = None,
    reporter: Reporter | None = None,
) -> CvResult:
    """Train once a fold and score each clip by the network that never met its fold.

    Official folds are used as they are; a data set without any is divided into five parts that share no recording.

    Args:
        folds: the folds to test on; each is left out of training on ALL others. None for every fold.
        jobs: trainings at once, each a process with its share of the cores; None for as many as the cores can carry.
        data, recipe, changes, epochs, seed, device, devices, out, resume, where, cache, reporter: as `soundfold.train`.

    Returns:
        mean and deviation over folds, pooled scores with intervals over recordings, leaks, times, and the folder.

    Raises:
        SoundfoldError: anything the user can mend.
    """
    started = time.perf_counter()
    reporter = reporter or Silent()
    settings = resolve_recipe(recipe, changes, epochs, seed)
    if "RANK" in os.environ:
        raise RunError("cv must be started once, not by torchrun. Use --devices, or torchrun with soundfold train")
    hardware = Hardware(device, devices)
    if jobs is not None and (jobs < 1 or (jobs > 1 and devices > 1)):
        raise RunError(f"jobs must be at least 1, and 1 with several devices, got {jobs}. Leave one of them out")
    folder = choose_out(out, data, settings, resume)
    asked = None if folds is None else [str(fold) for fold in folds]
    check_out(folder, resume=resume)

    def divide(clips: Clips) -> list[Split]:
        divided = fold_splits(clips, asked, seed=settings.training.seed)
        check_classes_left(clips, divided)
        return divided

    prepared = prepare(data, settings, reporter, where=where, cache=cache, check=divide, hardware=hardware)
    splits = [prepared.with_sound_leaks(part) for part in divide(prepared.clips)]
    names = ", ".join(str(part.fold) for part in splits)
    reporter.note(f"cross-validation over {'fold' if len(splits) == 1 else 'folds'} {names}")
    leaks = _joined_leaks(splits)
    if leaks.sentence:
        reporter.note(f"{'leak' if leaks.shared_clips or leaks.identical_clips else 'warning'}: {leaks.sentence}")
    identity = {
        "verb": "cv",
        "data": str(prepared.clips.root.resolve()),
        "where": dict(where or {}),
        "split": ", ".join(split.name for split in splits),
        "clips": prepared.digest(splits),
        "sounds": prepared.store.identity,
    }
    with run_folder(folder, settings, identity, resume=resume):
        finished = folder / METRICS_NAME
        if finished.exists():
            reporter.note(f"{folder}: is finished already")
            return read_result(finished, CvResult)
        lessons = [
            Lesson(split, inner, f"fold {split.fold}")
            for split, inner in zip(splits, _fold_folders(folder, splits), strict=True)
        ]
        clock = TrainingClock(reporter, {lesson.what: len(lesson.split.train) for lesson in lessons})
        results = _learn(prepared, lessons, settings, hardware, jobs, clock)
        result = _pool(prepared, splits, results, settings, folder, leaks, clock)
        result = result.model_copy(update={"seconds": time.perf_counter() - started})
        write_text(finished, result.model_dump_json(indent=2) + "\n")
    return result


def _learn(
    prepared: Prepared, lessons: list[Lesson], recipe: Recipe, hardware: Hardware, jobs: int | None, reporter: Reporter
) -> list[TrainResult]:
    """Learn every fold that is not finished yet, side by side where that is quicker."""
    open_ = [lesson for lesson in lessons if not (lesson.folder / METRICS_NAME).exists()]
    together = min(len(open_), jobs or at_once(open_, recipe.training.epochs, hardware))
    if together > 1:
        learn_side_by_side(prepared, open_, recipe, hardware, together, reporter)
    elif jobs is None and len(open_) > 1:
        _train_in_one_pass(prepared, open_, recipe, hardware, reporter)
    # what was learned side by side, or earlier, is only read here; what was trained in one pass is scored
    return [
        learn_split(prepared, lesson.split, recipe, hardware, lesson.folder, reporter, lesson.what)
        for lesson in lessons
    ]


def _train_in_one_pass(
    prepared: Prepared, lessons: Sequence[Lesson], recipe: Recipe, hardware: Hardware, reporter: Reporter
) -> None:
    """Train folds together on a GPU, in as few and even passes as it has room for; leave the rest to `learn_split`."""
    fits = [job_of(prepared, lesson.split, recipe, lesson.folder) for lesson in lessons]
    passes = -(-len(fits) // networks_at_once(fits[0], hardware))
    if passes == len(fits):
        return
    for lesson in lessons:
        lesson.folder.mkdir(exist_ok=True)
    for number in range(passes):
        mine = slice(number, None, passes)
        fit_together(fits[mine], hardware, partial(_tell, reporter, lessons[mine], recipe.training.epochs))


def _tell(reporter: Reporter, lessons: Sequence[Lesson], epochs: int, at: int, record: EpochRecord) -> None:
    reporter.epoch(lessons[at].what, record, epochs)


def _fold_folders(folder: Path, splits: Sequence[Split]) -> list[Path]:
    """Return a folder a fold, named after it; numbers tell apart names that a file system could take for one."""
    names = [plain_name(str(split.fold)) for split in splits]
    clash = len({name.casefold() for name in names}) < len(names)
    return [folder / (f"fold{name}-{number}" if clash else f"fold{name}") for number, name in enumerate(names, 1)]


def _pool(
    prepared: Prepared,
    splits: list[Split],
    results: list[TrainResult],
    recipe: Recipe,
    folder: Path,
    leaks: Leaks,
    clock: TrainingClock,
) -> CvResult:
    """Join the folds' predictions and score them together."""
    tables = []
    for split, inner in zip(splits, _fold_folders(folder, splits), strict=True):
        table = read_predictions(inner / "predictions.parquet")
        tables.append(table.assign(fold=str(split.fold)))
    table = pd.concat(tables, ignore_index=True)
    write_predictions(folder / "predictions.parquet", table)
    train_s = {str(split.fold): float(result.train_s or 0) for split, result in zip(splits, results, strict=True)}
    scores = score_folds(table, train_s=train_s, groups_known=prepared.clips.groups_known)
    recordings = scores.n_recordings if prepared.clips.groups_known else None
    title = score_title(scores.accuracy_pooled, scores.accuracy_ci95, scores.n, recordings)
    save_png(folder / "confusion.png", draw_confusion(scores.confusion, scores.labels, title=title))
    accuracies = [fold.accuracy for fold in scores.folds]
    save_png(folder / "folds.png", draw_folds([fold.fold for fold in scores.folds], accuracies))
    kind = splits[0].kind
    parts = ", ".join(str(split.fold) for split in splits)
    name = f"official folds {parts}" if kind == "fold" else f"parts {parts}, which share no recording"
    notes = (*scores.notes, *(note for split in splits for note in split.notes))
    return CvResult(
        **(dict(scores) | {"notes": notes}),
        recipe=recipe.as_dict(),
        split=SplitSummary(name=name, kind=kind, n_test=len(table)),
        leaks=leaks.as_dict(),
        seconds=0.0,
        clips_per_second=clock.clips_per_second(results),
        store_s=prepared.store_s,
        train_s=clock.seconds(results),
        left_out=told(prepared.clips.left_out),
        out=str(folder),
        versions=versions(),
        hardware=hardware_line(),
    )


def _joined_leaks(splits: list[Split]) -> Leaks:
    """Return the leaks of all folds together."""
    recordings = {name for split in splits for name in split.leaks.shared_recordings}
    return Leaks(
        n_test=sum(split.leaks.n_test for split in splits),
        shared_clips=sum(split.leaks.shared_clips for split in splits),
        shared_recordings=tuple(sorted(recordings)),
        identical_clips=sum(split.leaks.identical_clips for split in splits),
        groups_known=splits[0].leaks.groups_known,
    )
