"""Several trainings: which of them run side by side, which in one pass, which one after another."""

from collections.abc import Sequence
from functools import partial

from soundfold.evaluation import TrainResult
from soundfold.jobs.learning import is_trained, job_of, learn_split
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.reporting import Reporter
from soundfold.jobs.side_by_side import Lesson, at_once, learn_side_by_side
from soundfold.recipe import Recipe
from soundfold.training import EpochRecord, Hardware
from soundfold.training.launch import fit_together, networks_at_once

__all__ = ["learn_lessons"]


def learn_lessons(
    prepared: Prepared,
    lessons: Sequence[Lesson],
    recipe: Recipe,
    hardware: Hardware,
    jobs: int | None,
    reporter: Reporter,
) -> list[TrainResult]:
    """Learn every lesson that is not finished yet, side by side where that is quicker; results in the lessons' order.

    Args:
        prepared: the data.
        lessons: splits, folders and seeds.
        recipe: the settings of all, but for a lesson's own seed.
        hardware: where to train.
        jobs: trainings at once; None for as many as the machine can carry.
        reporter: hears of epochs.
    """
    open_ = [lesson for lesson in lessons if not is_trained(lesson.folder, lesson.split)]
    for lesson in open_:
        lesson.folder.parent.mkdir(exist_ok=True)
    together = min(len(open_), jobs or at_once(open_, recipe.training.epochs, hardware))
    if together > 1:
        learn_side_by_side(prepared, open_, recipe, hardware, together, reporter)
    elif jobs is None and len(open_) > 1:
        _train_in_one_pass(prepared, open_, recipe, hardware, reporter)
    # what was learned side by side, or earlier, is only read here; what was trained in one pass is scored
    return [
        learn_split(prepared, lesson.split, lesson.recipe(recipe), hardware, lesson.folder, reporter, lesson.what)
        for lesson in lessons
    ]


def _train_in_one_pass(
    prepared: Prepared, lessons: Sequence[Lesson], recipe: Recipe, hardware: Hardware, reporter: Reporter
) -> None:
    """Train together on a GPU, in as few and even passes as it has room for; leave the rest to `learn_split`."""
    fits = [job_of(prepared, lesson.split, lesson.recipe(recipe), lesson.folder) for lesson in lessons]
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
