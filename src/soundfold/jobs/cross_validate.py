"""`soundfold.cross_validate`: every fold once as the test fold, and scores for recordings that were never met."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
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
    calibrate,
    score_folds,
    write_predictions,
)
from soundfold.jobs.ensemble import (
    check_seeds,
    forget_joined,
    is_joined_of_seeds,
    join_networks,
    lessons_of,
    score_seeds,
    seeds_of,
)
from soundfold.jobs.fold_ensemble import is_joined, join_folds
from soundfold.jobs.kept_result import (
    MODEL_NAME,
    PREDICTIONS_NAME,
    digests,
    is_whole,
    predictions_of,
    read_result,
)
from soundfold.jobs.learning import is_trained, kept_training
from soundfold.jobs.lessons import learn_lessons
from soundfold.jobs.prepare import Prepared, prepare
from soundfold.jobs.reporting import Reporter, Silent, told
from soundfold.jobs.run_folder import METRICS_NAME, check_out, run_folder
from soundfold.jobs.score_figure import save_score_figure
from soundfold.jobs.side_by_side import Lesson
from soundfold.jobs.surroundings import hardware_line, versions
from soundfold.jobs.train import choose_out, resolve_recipe
from soundfold.jobs.training_clock import TrainingClock
from soundfold.recipe import Recipe
from soundfold.training import Hardware
from soundfold.wording import counted

__all__ = ["cross_validate", "summarise_folds"]


def cross_validate(
    data: str | Path,
    *,
    recipe: str | Path | Recipe | None = None,
    changes: Iterable[str] = (),
    folds: Sequence[str | int] | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    seeds: int = 1,
    ensemble: bool = False,
    weights: str | Path | None = None,
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
        seeds: networks a fold, which differ in their seed; their mean answer is scored, and one alone beside it.
        ensemble: also join the folds' networks into one model file in the run's folder, whose answer is their mean; of
            a run that is finished too, with `resume`.
        jobs: trainings at once, each a process with its share of the cores; None for as many as the cores can carry.
        data, recipe, changes, epochs, seed, weights, device, devices, out, resume, where, cache, reporter: as
            `soundfold.train`.

    Returns:
        mean and deviation over folds, pooled scores with intervals over recordings, leaks, times, and the folder.

    Raises:
        SoundfoldError: anything the user can mend.
    """
    started = time.perf_counter()
    reporter = reporter or Silent()
    settings = resolve_recipe(recipe, changes, epochs, seed, weights, cache, reporter, out if resume else None)
    if "RANK" in os.environ:
        raise RunError("cv must be started once, not by torchrun. Use --devices, or torchrun with soundfold train")
    hardware = Hardware(device, devices)
    if jobs is not None and (jobs < 1 or (jobs > 1 and devices > 1)):
        raise RunError(f"jobs must be at least 1, and 1 with several devices, got {jobs}. Leave one of them out")
    check_seeds(seeds, settings)
    folder = choose_out(out, data, settings, resume)
    asked = None if folds is None else [str(fold) for fold in folds]
    check_out(folder, resume=resume, reporter=reporter)

    def divide(clips: Clips) -> list[Split]:
        divided = fold_splits(clips, asked, seed=settings.training.seed)
        check_classes_left(clips, divided)
        return divided

    prepared = prepare(data, settings, reporter, where=where, cache=cache, check=divide, hardware=hardware)
    splits = [prepared.with_sound_leaks(part) for part in divide(prepared.clips)]
    if ensemble and len(splits) * seeds == 1:
        raise RunError("--ensemble must have several networks to join, got one fold. Leave it out, or name more folds")
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
        "sounds": prepared.sounds,
        **({"seeds": seeds} if seeds > 1 else {}),
    }
    with run_folder(folder, settings, identity, resume=resume):
        lessons = [
            lesson
            for split, inner in zip(splits, _fold_folders(folder, splits), strict=True)
            for lesson in lessons_of(split, inner, f"fold {split.fold}", settings, seeds)
        ]
        finished, joined = folder / METRICS_NAME, folder / MODEL_NAME
        if finished.exists() and not _has_all(folder, lessons, settings):
            reporter.note(f"{folder}: a file of it is lost or another's, so what it was made from is looked at again")
            ensemble = ensemble or read_result(finished, CvResult).model is not None
            finished.unlink()
        if finished.exists():
            reporter.note(f"{folder}: is finished already")
            result = read_result(finished, CvResult).model_copy(update={"out": str(folder)})  # it may have been moved
            started = time.perf_counter() - result.seconds
        else:
            clock = TrainingClock(reporter, {lesson.what: len(lesson.split.train) for lesson in lessons})
            forget_joined(lessons)
            trained = learn_lessons(prepared, lessons, settings, hardware, jobs, clock)
            times = {"clips_per_second": clock.clips_per_second(trained), "train_s": clock.seconds(trained)}
            result = _scored(prepared, splits, lessons, trained, settings, folder, leaks).model_copy(update=times)
            joined.unlink(missing_ok=True)  # of networks that were trained before these
        if result.model is not None:
            result, ensemble = result.model_copy(update={"model": str(joined)}), True
        joining = ensemble and not is_joined(result, folder)
        if joining:
            reporter.note("joining the folds' networks")
            result = join_folds(prepared, settings, lessons, result, leaks, folder)
        if joining or not finished.exists():
            result = result.model_copy(update={"seconds": time.perf_counter() - started})
            write_text(finished, result.model_dump_json(indent=2) + "\n")
    return result


def _has_all(folder: Path, lessons: Sequence[Lesson], recipe: Recipe) -> bool:
    """Return whether none of the files of a finished cross-validation is lost, damaged or another's.

    Raises:
        RunError: a fold's folder holds a training of something else; it is the user's to say how it came there.
    """
    trained = [lesson for lesson in lessons if is_trained(lesson.folder, lesson.split)]
    for lesson in trained:
        kept_training(lesson.folder, lesson.split, lesson.recipe(recipe))
    joint = {lesson.folder.parent: lesson.split for lesson in lessons if lesson.seed is not None}
    return (
        is_whole(folder, PREDICTIONS_NAME)
        and len(trained) == len(lessons)
        and all(is_joined_of_seeds(inner, split) for inner, split in joint.items())
    )


def _scored(
    prepared: Prepared,
    splits: list[Split],
    lessons: Sequence[Lesson],
    trained: Sequence[TrainResult],
    recipe: Recipe,
    folder: Path,
    leaks: Leaks,
) -> CvResult:
    """Return the scores of all folds; of several networks a fold, those of their mean, and what one alone is worth."""
    seeds = len(lessons) // len(splits)
    told = _trials_in_words(trained, seeds)
    if seeds == 1:
        return _pool(prepared, splits, trained, recipe, folder, leaks, told)
    parts = [slice(first, first + seeds) for first in range(0, len(lessons), seeds)]
    results = [join_networks(prepared, recipe, lessons[part], trained[part]) for part in parts]
    alone = score_seeds(seeds_of(recipe, seeds), [trained[part] for part in parts])
    return _pool(prepared, splits, results, recipe, folder, leaks, told).model_copy(update={"seeds": alone})


def _trials_in_words(trained: Sequence[TrainResult], seeds: int) -> tuple[str, ...]:
    """Return what is to be told of the trials that decided whether the networks learn on, if there were any."""
    verdicts = [result.learned_on for result in trained if result.learned_on is not None]
    if not verdicts:
        return ()
    stayed, of = verdicts.count(False), counted(len(verdicts), "network")
    if not stayed:
        return (f"{of} learned on, as that paid in their trials",)
    how_many = of if stayed == len(verdicts) else f"{stayed} of {of}"
    one = f"{how_many} {'stays as it' if stayed == 1 else 'stay as they'} began: no trial said that learning on pays"
    folds = [verdicts[first : first + seeds] for first in range(0, len(verdicts), seeds)]
    alike = seeds > 1 and any(not any(fold) for fold in folds)
    return (f"{one}; where all of a fold do, they are equal, and its seeds say nothing" if alike else one,)


def _fold_folders(folder: Path, splits: Sequence[Split]) -> list[Path]:
    """Return a folder a fold, named after it; numbers tell apart names that a file system could take for one."""
    names = [plain_name(str(split.fold)) for split in splits]
    clash = len({name.casefold() for name in names}) < len(names)
    return [folder / (f"fold{name}-{number}" if clash else f"fold{name}") for number, name in enumerate(names, 1)]


def _pool(
    prepared: Prepared,
    splits: list[Split],
    results: Sequence[TrainResult],
    recipe: Recipe,
    folder: Path,
    leaks: Leaks,
    told_of_trials: tuple[str, ...],
) -> CvResult:
    """Join the folds' predictions and score them together."""
    tables = []
    for split, inner, result in zip(splits, _fold_folders(folder, splits), results, strict=True):
        table = predictions_of(inner, result)
        tables.append(table.assign(fold=str(split.fold)))
    table = pd.concat(tables, ignore_index=True)
    write_predictions(folder / PREDICTIONS_NAME, table)
    train_s = {str(split.fold): float(result.train_s or 0) for split, result in zip(splits, results, strict=True)}
    scores = score_folds(table, train_s=train_s, groups_known=prepared.clips.groups_known)
    save_score_figure(folder, scores)
    notes = (*scores.notes, *(note for split in splits for note in split.notes), *told_of_trials)
    return CvResult(
        **(dict(scores) | {"notes": notes}),
        recipe=recipe.as_dict(),
        split=summarise_folds(splits, len(table)),
        leaks=leaks.as_dict(),
        seconds=0.0,
        store_s=prepared.store_s,
        left_out=told(prepared.clips.left_out),
        out=str(folder),
        files=digests(folder, PREDICTIONS_NAME),
        versions=versions(),
        hardware=hardware_line(),
        calibration=calibrate(table) if scores.n_recordings > 1 else None,
    )


def summarise_folds(splits: Sequence[Split], n_test: int) -> SplitSummary:
    """Return the splits of a cross-validation as results tell them.

    Args:
        splits: one a tested fold, all of one kind.
        n_test: clips that were tested, over all folds.
    """
    kind, parts = splits[0].kind, ", ".join(str(split.fold) for split in splits)
    name = f"official folds {parts}" if kind == "fold" else f"parts {parts}, which share no recording"
    return SplitSummary(name=name, kind=kind, n_test=n_test)


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
