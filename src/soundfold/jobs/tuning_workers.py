"""Searching, in this process or in several that share the journal; each claims trials until none is left."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from soundfold.jobs.child_processes import Chore, do_side_by_side
from soundfold.jobs.reporting import Reporter
from soundfold.jobs.tuning_plan import Search
from soundfold.jobs.tuning_study import Budget, Journal, Study, open_journal
from soundfold.jobs.tuning_trial import Material, run_trial
from soundfold.recipe import Recipe
from soundfold.recipe.space import Space
from soundfold.training import Hardware

__all__ = ["Task", "search", "search_all", "search_side_by_side", "studies_of"]

_POLL_S = 0.5


@dataclass(frozen=True, eq=False)
class Task:
    """All that a worker needs to know; plain values, so that it can be sent to other processes.

    Attributes:
        folder: the run's folder.
        data, where, cache: as `soundfold.tune` takes them.
        digest: of the clips that the searches were planned on.
        hardware: where to train.
        recipe, space: what is changed, and how far.
        searches: in the order in which they are worked through.
        budgets: one a search.
    """

    folder: Path
    data: str | Path
    where: Mapping[str, str] | None
    cache: str | Path | None
    digest: str
    hardware: Hardware
    recipe: Recipe
    space: Space
    searches: Sequence[Search]
    budgets: Sequence[Budget]


def studies_of(task: Task, journal: Journal) -> list[Study]:
    """Return the searches as they stand in the journal."""
    return [
        Study(journal, search, task.recipe, task.space, budget)
        for search, budget in zip(task.searches, task.budgets, strict=True)
    ]


def search_all(task: Task, journal: Journal, material: Material, reporter: Reporter, *, to_the_end: bool) -> None:
    """Claim and run trials of one search after another until none is left.

    Args:
        task: what is searched.
        journal: the open journal.
        material: the data.
        reporter: hears of trials.
        to_the_end: wait for trials of other processes too, and take over those of processes that die.
    """
    open_ = list(zip(studies_of(task, journal), task.budgets, strict=True))
    told = False
    while open_:
        for study, budget in open_:
            while (trial := study.claim()) is not None:
                run_trial(study, trial, material, task.folder, reporter, budget.trials)
        open_ = [(study, budget) for study, budget in open_ if to_the_end and study.others_work()]
        if open_:
            if not told:
                reporter.note("waiting for trials of other processes")
            told = True
            time.sleep(_POLL_S)


def search_side_by_side(task: Task, jobs: int, reporter: Reporter) -> None:
    """Search in `jobs` processes at once.

    Raises:
        SoundfoldError: as a trial raises it; the other processes are stopped and the search can be resumed.
        RunError: a process was killed.
    """
    do_side_by_side([Chore("searching", search, (task,)) for _ in range(jobs)], jobs, reporter)


def search(task: Task, reporter: Reporter) -> None:
    """Open journal and data, and search until no trial is left to claim; what one of several processes does."""
    material = Material(task.data, task.where, task.cache, task.hardware, reporter, digest=task.digest)
    with open_journal(task.folder) as journal:
        search_all(task, journal, material, reporter, to_the_end=False)
