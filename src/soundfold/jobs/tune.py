"""`soundfold.tune`: search for a better recipe, and tell honestly what the searching was worth.

The search is part of what is validated: for each outer test fold it runs anew on the other folds, and what it finds is
scored once on that fold. The recipe that is kept comes from one more search, over all folds.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from soundfold.cores import usable_cores
from soundfold.data.clips import Clips
from soundfold.data.splits import Split, check_classes_left, fold_splits
from soundfold.errors import RunError, needs_extra
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.jobs.run_folder import begin, check_out
from soundfold.jobs.train import choose_out, resolve_recipe
from soundfold.jobs.tuning_folder import JOURNAL_NAME, WORKERS_NAME, claims_lock, end_lock
from soundfold.jobs.tuning_plan import Search, plan_searches
from soundfold.jobs.tuning_result import TuneResult
from soundfold.recipe import Recipe
from soundfold.recipe.reach import reach
from soundfold.recipe.space import Space, load_space
from soundfold.training import Hardware
from soundfold.wording import counted

__all__ = ["tune"]

_TRIALS = 30
_PARTS = 3
_WORTH_IT = 20_000


def tune(
    data: str | Path,
    *,
    recipe: str | Path | Recipe | None = None,
    changes: Iterable[str] = (),
    space: str | Path | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    folds: Sequence[str | int] | None = None,
    inner: int = _PARTS,
    epochs: int | None = None,
    seed: int | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    where: Mapping[str, str] | None = None,
    cache: str | Path | None = None,
    reporter: Reporter | None = None,
) -> TuneResult:
    """Search a space of settings around a recipe, score what is found on folds the search never saw, and keep the best.

    The score is the accuracy, or the mean average precision where clips bear several labels.

    Args:
        space: a preset's name or a YAML file; None for the one that goes with the recipe.
        trials: trials of each search, the recipe as it is counting as one; None for 30, or for no limit with `minutes`.
        minutes: time for all searches together, shared out evenly; a trial that has begun is completed.
        folds: the outer folds to test on; None for every fold.
        inner: parts that the other folds are divided into to score a trial.
        jobs: trials at once, each a process with its share of the cores; None for as many as the cores can carry.
        resume: continue the search in `out`, or join processes that are at it.
        data, recipe, changes, epochs, seed, weights, device, out, where, cache, reporter: as
            `soundfold.cross_validate`.

    Returns:
        scores of tuned and untuned under the same folds, their paired difference, the cost, and the recipe to keep.

    Raises:
        SoundfoldError: anything the user can mend.
    """
    started = time.perf_counter()
    reporter = reporter or Silent()
    with needs_extra("tune", "soundfold tune"):
        from soundfold.jobs import tuning_end, tuning_study, tuning_trial, tuning_workers
    settings = resolve_recipe(recipe, changes, epochs, seed, weights, cache, reporter, out if resume else None)
    searched = load_space(space, settings)
    _check_numbers(trials, minutes, inner, jobs)
    hardware = Hardware(device)
    folder = choose_out(out, data, settings, resume)
    check_out(folder, resume=resume, reporter=reporter)
    asked = None if folds is None else [str(fold) for fold in folds]

    def divide(clips: Clips) -> tuple[list[Split], list[Search]]:
        outer = fold_splits(clips, asked, seed=settings.training.seed)
        check_classes_left(clips, outer)
        return outer, plan_searches(clips, outer, inner, settings.training.seed)

    material = tuning_trial.Material(data, where, cache, hardware, reporter, divide)
    prepared = material.of(settings)
    outer, searches = divide(prepared.clips)
    material.digest = prepared.digest(())
    identity = {
        "verb": "tune",
        "data": str(prepared.clips.root.resolve()),
        "where": dict(where or {}),
        "folds": ", ".join(str(split.fold) for split in outer),
        "inner": inner,
        "space": searched.as_dict(),
        "recipe": settings.as_dict(),
        "clips": prepared.digest([*outer, *(split for search in searches for split in search.inner)]),
        "sounds": prepared.store.identity,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with claims_lock(folder):  # processes that start together
        begin(folder, identity)
    journal_path = folder / JOURNAL_NAME
    workers = folder / WORKERS_NAME
    if workers.exists() and not any(workers.iterdir()) and not (journal_path.exists() and journal_path.stat().st_size):
        reporter.note(f"{journal_path}: is lost or empty, so all trials are gone; searching anew")
    limit = _TRIALS if trials is None and minutes is None else trials
    task = tuning_workers.Task(
        folder=folder, data=data, where=where, cache=cache, digest=material.digest, hardware=hardware,
        recipe=settings, space=searched, searches=searches,
        budgets=[tuning_study.Budget(limit, until) for until in _deadlines(minutes, len(searches))],
    )  # fmt: skip
    _tell(prepared, searched, searches, settings, reporter)
    together = jobs or _at_once(searches, settings, limit, hardware)
    if together > 1:
        tuning_workers.search_side_by_side(task, together, reporter)
    with tuning_study.open_journal(folder) as journal:
        tuning_workers.search_all(task, journal, material, reporter, to_the_end=True)
        with end_lock(folder):
            studies = tuning_workers.studies_of(task, journal)
            result = tuning_end.score_searches(task, studies, material, outer, jobs, reporter)
    return result.model_copy(update={"seconds": time.perf_counter() - started})


def _check_numbers(trials: int | None, minutes: float | None, inner: int, jobs: int | None) -> None:
    if trials is not None and trials < 2:
        raise RunError(f"trials must be at least 2, the first one being the recipe as it is, got {trials}. Say 30")
    if minutes is not None and not minutes > 0:
        raise RunError(f"minutes must be above 0, got {minutes:g}. Say 30")
    if inner < 2:
        raise RunError(f"inner must be at least 2 parts, got {inner}. Leave it out for {_PARTS}")
    if jobs is not None and jobs < 1:
        raise RunError(f"jobs must be at least 1, got {jobs}. Leave it out")
    if "RANK" in os.environ:
        raise RunError("tune must not be started by torchrun. Start it on each machine, with --resume to join")


def _deadlines(minutes: float | None, searches: int) -> list[float | None]:
    """Return when each search must draw no more, one after another with an even share each; None for never."""
    if minutes is None:
        return [None] * searches
    return [time.time() + 60 * minutes * (number + 1) / searches for number in range(searches)]


def _at_once(searches: Sequence[Search], recipe: Recipe, trials: int | None, hardware: Hardware) -> int:
    """Return how many trials should run side by side: one a core, where that is worth starting processes for."""
    clips = sum(len(split.train) for search in searches for split in search.inner)
    passes = clips * recipe.training.epochs * (trials or _TRIALS)
    if hardware.torch_device.type != "cpu" or recipe.training.optimizer == "lbfgs" or passes < _WORTH_IT:
        return 1
    return min(usable_cores(), trials or usable_cores())


def _tell(prepared: Prepared, space: Space, searches: Sequence[Search], recipe: Recipe, reporter: Reporter) -> None:
    """Say what is searched, where features are kept, and how much of the disk they may come to fill."""
    outer = ", ".join(str(search.outer.fold) for search in searches if search.outer is not None)
    within = reach(space, recipe)
    settings = counted(len(within.settings), "setting")
    reporter.note(
        f"searching {settings} of {recipe.name}: without fold {outer}, each for itself, and on all folds for the "
        f"recipe to keep"
    )
    size = sum(path.stat().st_size for path in prepared.features.iterdir())
    each = f"some {max(1, round(size / 1e6)):,} MB each"
    told = f"up to {within.kinds} kinds of {each}" if within.kinds > 1 else "of one kind"
    reporter.note(f"features are kept in {prepared.features.parent}, {told}")
