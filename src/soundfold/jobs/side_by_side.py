"""Several trainings at once, each in a process of its own.

A small network keeps one core busy and hardly a second one: its steps are too short to be worth dividing. So the folds
of a cross-validation run side by side.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from soundfold.cores import usable_cores
from soundfold.data.splits import Split
from soundfold.jobs.child_processes import Chore, do_side_by_side
from soundfold.jobs.learning import learn_split
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.reporting import Reporter
from soundfold.recipe import Recipe, load_recipe
from soundfold.training import Hardware

__all__ = ["Lesson", "at_once", "learn_side_by_side"]

_LOCK_NAME = ".exporting"
_WORTH_IT = 20_000
"""Passes over a clip, all folds together, below which starting processes costs more than they save."""


@dataclass(frozen=True)
class Lesson:
    """One training of several: the split, its folder, how the reporter calls it, and its seed if not the recipe's."""

    split: Split
    folder: Path
    what: str
    seed: int | None = None

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return a recipe with the lesson's own seed."""
        return recipe if self.seed is None else load_recipe(recipe, [f"training.seed={self.seed}"])


def at_once(lessons: Sequence[Lesson], epochs: int, hardware: Hardware) -> int:
    """Return how many trainings should run side by side, in processes; on a GPU none, where one process takes several.

    With more trainings than cores, the ones that would be left over join the first round: three on two cores share them
    for one and a half rounds, where one of two rounds would leave a core idle.
    """
    passes = epochs * sum(len(lesson.split.train) for lesson in lessons)
    if hardware.torch_device.type != "cpu" or hardware.devices > 1 or passes < _WORTH_IT:
        return 1
    cores = usable_cores()
    return min(len(lessons), cores + len(lessons) % cores) if cores > 1 else 1


def learn_side_by_side(
    prepared: Prepared, lessons: Sequence[Lesson], recipe: Recipe, hardware: Hardware, jobs: int, reporter: Reporter
) -> None:
    """Train and score every lesson, `jobs` of them at a time; the results lie in their folders.

    Raises:
        SoundfoldError: as `learn_split` raises it; the other trainings are stopped and can be resumed.
        RunError: a process was killed.
    """
    lock = Path(os.path.commonpath([lesson.folder.parent for lesson in lessons])) / _LOCK_NAME
    chores = [
        Chore(lesson.what, _learn, (prepared, lesson, lesson.recipe(recipe), hardware, lock)) for lesson in lessons
    ]
    try:
        do_side_by_side(chores, jobs, reporter)
    finally:
        with suppress(OSError):  # Windows removes no file that is open, which the next run opens again
            lock.unlink()


def _learn(
    prepared: Prepared, lesson: Lesson, recipe: Recipe, hardware: Hardware, lock: Path, reporter: Reporter
) -> None:
    learn_split(prepared, lesson.split, recipe, hardware, lesson.folder, reporter, lesson.what, FileLock(lock))
