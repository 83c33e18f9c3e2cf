"""The end of a tuning: what each search found, trained on all its clips and scored once beside the recipe as it was."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from soundfold.atomic import write_text
from soundfold.data.splits import Split
from soundfold.errors import SoundfoldError
from soundfold.evaluation import (
    CvResult,
    FoldScore,
    is_of_several,
    score_folds,
    write_predictions,
)
from soundfold.evaluation.comparison import compare_predictions
from soundfold.jobs.cross_validate import cross_validate
from soundfold.jobs.kept_result import PREDICTIONS_NAME, predictions_of
from soundfold.jobs.learning import learn_split
from soundfold.jobs.reporting import Reporter
from soundfold.jobs.run_folder import METRICS_NAME, RECIPE_NAME
from soundfold.jobs.score_figure import save_score_figure
from soundfold.jobs.surroundings import hardware_line, versions
from soundfold.jobs.tuning_result import Kept, SearchCost, TunedFold, TuneResult
from soundfold.jobs.tuning_study import Study
from soundfold.jobs.tuning_trial import Material
from soundfold.jobs.tuning_workers import Task
from soundfold.recipe import Recipe, load_recipe, save_recipe
from soundfold.runtime.run_mark import UNTUNED_NAME
from soundfold.wording import counted

__all__ = ["score_searches"]


def score_searches(
    task: Task, studies: Sequence[Study], material: Material, outer: Sequence[Split], jobs: int | None,
    reporter: Reporter,
) -> TuneResult:  # fmt: skip
    """Train what the searches found, score it, and write `recipe.yaml`, `predictions.parquet` and `metrics.json`.

    Trainings that were done before are read and not done again.

    Args:
        task: what was searched.
        studies: one an outer split, and then the one whose recipe is kept.
        material: the data.
        outer: the outer splits.
        jobs: trainings of the recipe as it was at once.
        reporter: hears how the work goes.
    """
    folder = task.folder
    untuned = cross_validate(
        task.data, recipe=task.recipe, folds=[str(split.fold) for split in outer], device=task.hardware.device,
        jobs=jobs, out=folder / UNTUNED_NAME, resume=True, where=task.where, cache=task.cache,
        reporter=_Quiet(reporter),
    )  # fmt: skip
    before = predictions_of(folder / UNTUNED_NAME, untuned)
    tables, train_s = [], {}
    for study, split in zip(studies, outer, strict=False):
        table, seconds = _learn(task, study, split, material, before, untuned, reporter)
        tables.append(table.assign(fold=str(split.fold)))
        train_s[str(split.fold)] = seconds
    after = pd.concat(tables, ignore_index=True)
    write_predictions(folder / PREDICTIONS_NAME, after)
    groups_known = material.of(task.recipe).clips.groups_known
    scores = score_folds(after, train_s=train_s, groups_known=groups_known)
    save_score_figure(folder, scores)
    gain = compare_predictions(before, after, names=("untuned", "tuned"), groups_known=groups_known)
    gain = gain.model_copy(update={"clips_only_a_right": (), "clips_only_b_right": ()})  # both tables are there
    cost, several = _cost(studies), is_of_several(after)
    keep = _keep(task, studies[-1], several=several)
    result = TuneResult(
        accuracy=scores.accuracy_mean,
        accuracy_mean=scores.accuracy_mean,
        accuracy_std=scores.accuracy_std,
        accuracy_pooled=scores.accuracy_pooled,
        accuracy_ci95=scores.accuracy_ci95,
        mean_average_precision=scores.mean_average_precision,
        mean_average_precision_std=scores.mean_average_precision_std,
        mean_average_precision_pooled=scores.mean_average_precision_pooled,
        mean_average_precision_ci95=scores.mean_average_precision_ci95,
        folds=tuple(
            _fold(study, tuned, plain, several=several)
            for study, tuned, plain in zip(studies, scores.folds, untuned.folds, strict=False)
        ),
        tuned=scores,
        untuned=untuned,
        gain=gain,
        search=cost,
        keep=keep,
        sentence=f"{gain.sentence.removesuffix('.')}. {_cost_in_words(cost)}",
        space=task.space.as_dict(),
        recipe=task.recipe.as_dict(),
        notes=scores.notes,
        seconds=0.0,
        out=str(folder),
        versions=versions(),
        hardware=hardware_line(),
    )
    write_text(folder / METRICS_NAME, result.model_dump_json(indent=2) + "\n")
    return result


def _learn(
    task: Task, study: Study, split: Split, material: Material, before: pd.DataFrame, untuned: CvResult,
    reporter: Reporter,
) -> tuple[pd.DataFrame, float]:  # fmt: skip
    """Return the answers on an outer fold of what was found without it, and the seconds that training took."""
    best = study.best()
    if not best.params:  # nothing was better inside than the recipe as it was, which has answered already
        mine = before["fold"] == str(split.fold)
        seconds = next(fold.train_s for fold in untuned.folds if str(fold.fold) == str(split.fold))
        return before[mine].reset_index(drop=True), seconds or 0.0
    recipe = _named(task.recipe, study.recipe_from(best.params))
    place = task.folder / "tuned" / study.search.folder
    if not _is_of(place, recipe):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        save_recipe(recipe, place / RECIPE_NAME)
    prepared = material.of(recipe)
    what = f"{study.search.name}, tuned"
    found = learn_split(prepared, prepared.with_sound_leaks(split), recipe, task.hardware, place, reporter, what)
    return predictions_of(place, found), found.train_s or 0.0


def _is_of(place: Path, recipe: Recipe) -> bool:
    """Return whether a training in a folder, finished or not, is of this recipe: a longer search may find another."""
    try:
        return load_recipe(place / RECIPE_NAME) == recipe
    except SoundfoldError:
        return False


def _named(recipe: Recipe, found: Recipe) -> Recipe:
    return found.model_copy(update={"name": f"{recipe.name[:74]}-tuned"})


def _fold(study: Study, tuned: FoldScore, untuned: FoldScore, *, several: bool) -> TunedFold:
    ended = study.trials(TrialState.COMPLETE, TrialState.PRUNED)
    return TunedFold(
        fold=tuned.fold,
        n=tuned.n,
        accuracy=tuned.accuracy,
        accuracy_untuned=untuned.accuracy,
        mean_average_precision=tuned.mean_average_precision,
        mean_average_precision_untuned=untuned.mean_average_precision,
        **_seen_inside(study, several=several),
        changes=dict(study.best().params),
        trials=study.finished,
        pruned=sum(map(_was_pruned, ended)),
    )


def _seen_inside(study: Study, *, several: bool) -> dict[str, float | None]:
    """Return the fields on what a search saw of its best recipe, and of the recipe as it was."""
    best, before = study.best().value or 0.0, study.as_it_was().value or 0.0
    if several:
        seen = {"inner_mean_average_precision": best, "inner_mean_average_precision_untuned": before}
        return {"inner_accuracy": None, "inner_accuracy_untuned": None, **seen}
    return {"inner_accuracy": best, "inner_accuracy_untuned": before}


def _was_pruned(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.PRUNED and "refused" not in trial.user_attrs


def _keep(task: Task, study: Study, *, several: bool) -> Kept:
    """Write the recipe to keep."""
    best = study.best()
    recipe = _named(task.recipe, study.recipe_from(best.params)) if best.params else task.recipe
    save_recipe(recipe, task.folder / RECIPE_NAME)
    return Kept(
        recipe=str(task.folder / RECIPE_NAME),
        **_seen_inside(study, several=several),
        changes=dict(best.params),
    )


def _cost(studies: Sequence[Study]) -> SearchCost:
    ended = [trial for study in studies for trial in study.trials(TrialState.COMPLETE, TrialState.PRUNED)]
    told: list[Mapping[str, Any]] = [trial.user_attrs for trial in ended]
    return SearchCost(
        trials=sum(study.finished for study in studies),
        pruned=sum(map(_was_pruned, ended)),
        refused=sum("refused" in attributes for attributes in told),
        clip_passes=sum(int(attributes.get("clip_passes", 0)) for attributes in told),
        seconds=sum(float(attributes.get("seconds", 0.0)) for attributes in told),
    )


def _cost_in_words(cost: SearchCost) -> str:
    return (
        f"The search took {counted(cost.trials, 'trial')} ({cost.pruned:,} given up early), "
        f"{counted(cost.clip_passes, 'clip pass', 'clip passes')} and {cost.seconds:,.0f} s of training."
    )


class _Quiet:
    """A reporter that keeps notes to itself, which were told before the search, and passes on the rest."""

    def __init__(self, reporter: Reporter) -> None:
        self.progress, self.epoch = reporter.progress, reporter.epoch

    def note(self, sentence: str) -> None:
        """Say nothing."""
