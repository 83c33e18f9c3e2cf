"""The rows: what is measured, a function a row, by the name that `--only` takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.results import Found
from benchmarks.rows.answers import cold_help, evaluation, prediction
from benchmarks.rows.growth import growth
from benchmarks.rows.plan import Plan
from benchmarks.rows.runtime import runtime
from benchmarks.rows.starting import second_start, store
from benchmarks.rows.training import cross_validation, epoch, training
from benchmarks.rows.tutorial import settings_known, tutorial_settings

__all__ = ["ROWS", "Plan", "Row", "rows_to_run"]


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        title: what a reader calls it.
        measure: does it.
        on_recipe: whether it depends on the recipe.
        beside_tutorial: whether it must know the settings with which the tutorial's pipeline is fastest.
    """

    title: str
    measure: Callable[[Plan], Found]
    on_recipe: bool = False
    beside_tutorial: bool = False


ROWS = {
    "tutorial": Row("The tutorial's pipeline: workers and threads", tutorial_settings),
    "store": Row("Building the store", store),
    "start": Row("The second start", second_start),
    "epoch": Row("One training epoch", epoch, on_recipe=True, beside_tutorial=True),
    "train": Row("Training", training, on_recipe=True, beside_tutorial=True),
    "cv": Row("Cross-validation", cross_validation, on_recipe=True, beside_tutorial=True),
    "evaluate": Row("Evaluation", evaluation, beside_tutorial=True),
    "predict": Row("Prediction of one clip", prediction),
    "runtime": Row("The runtime beside torch", runtime, on_recipe=True),
    "help": Row("`soundfold --help`", cold_help),
    "growth": Row("How cost grows", growth, on_recipe=True),
}


def rows_to_run(plan: Plan, asked: Sequence[str] | None) -> list[str]:
    """Return the rows to measure: those asked for, and before them the tutorial's settings where one needs them."""
    names = list(asked or ROWS)
    if "tutorial" not in names and any(ROWS[name].beside_tutorial for name in names) and not settings_known(plan):
        names.insert(0, "tutorial")
    return names
