"""One trial: a recipe trained on each inner fold's other folds, looked at on the fold, and given up early if it lags.

No model file is made. What a trial leaves while it runs is a checkpoint for each inner fold, from which it goes on
after a kill; when it has ended, its folder goes.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import TrialState

from soundfold.data.clips import Clips
from soundfold.data.splits import Split
from soundfold.errors import DataError, RecipeError, RunError
from soundfold.jobs.learning import job_of
from soundfold.jobs.prepare import Prepared, prepare
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.jobs.tuning_folder import trial_folder
from soundfold.jobs.tuning_study import Study
from soundfold.recipe import Recipe
from soundfold.training import EpochRecord, Hardware, fit
from soundfold.wording import format_percent

__all__ = ["Material", "run_trial"]

_TENTHS = 10


@dataclass
class Material:
    """The data, prepared for each kind of sound and features that a recipe asks for, once.

    Attributes:
        data, where, cache: as `soundfold.tune` takes them.
        hardware: where features are computed and networks trained.
        reporter: hears how the computing of features goes.
        check: called with the clips before any long work; raises if they cannot be searched on.
        digest: of the clips that the search was planned on; "" while it is not.
    """

    data: str | Path
    where: Mapping[str, str] | None
    cache: str | Path | None
    hardware: Hardware
    reporter: Reporter
    check: Callable[[Clips], object] = field(default=lambda _: None)
    digest: str = ""
    _kept: dict[str, Prepared] = field(default_factory=dict)

    def of(self, recipe: Recipe) -> Prepared:
        """Return the data as a recipe hears them.

        Raises:
            RunError: with these settings of sound, other clips can be used than the search was planned on.
        """
        heard = (recipe.sound.model_dump_json(), recipe.features.model_dump_json(), recipe.augment.background_folder)
        key = str(heard)
        if key not in self._kept:
            reporter = _OnlyProgress(self.reporter) if self.digest else self.reporter
            prepared = prepare(
                self.data,
                recipe,
                reporter,
                where=self.where,
                cache=self.cache,
                check=self.check,
                hardware=self.hardware,
            )
            if self.digest and prepared.digest(()) != self.digest:
                raise RunError(
                    f"{self.data}: the clips that can be used must stay the same in a search, got others now. "
                    f"Take settings of sound out of the space, or choose another --out if the data have changed"
                )
            self._kept[key] = prepared
        return self._kept[key]


class _OnlyProgress(Silent):
    """A reporter that passes progress on, and no notes: they were told when the data were first read."""

    def __init__(self, reporter: Reporter) -> None:
        self.progress = reporter.progress  # type: ignore[method-assign]


def run_trial(
    study: Study, trial: optuna.Trial, material: Material, folder: Path, reporter: Reporter, of: int | None
) -> None:
    """Train and score one trial, and tell the study what came of it.

    Args:
        study: the search.
        trial: claimed, with no values drawn yet, or with those it had before a kill.
        material: the data.
        folder: the run's folder.
        reporter: hears of the trial's end.
        of: how many trials there are to be; None where time decides.
    """
    name = str(trial.user_attrs.get("folder", f"trial{trial.number}"))
    place = trial_folder(folder, study.search.folder, name)
    as_it_was = bool(trial.user_attrs.get("as_it_was"))
    drawn = study.draw(trial)
    try:
        recipe = study.recipe_from(drawn)
    except RecipeError as error:
        study.tell(trial, None, refused=str(error))
        return
    digest = hashlib.blake2b(recipe.model_dump_json().encode(), digest_size=8).hexdigest()
    trial.set_user_attr("digest", digest)
    twin = study.twin_of(digest)
    if twin is not None:
        value = twin.value if twin.state == TrialState.COMPLETE else None
        study.tell(trial, value, same_as=twin.number, clip_passes=0, seconds=0.0)
        return
    prepared = material.of(recipe)
    attempt = _Attempt(trial, prunable=not as_it_was)
    try:
        value = attempt.score(prepared, study.search.inner, recipe, material.hardware, place)
    except optuna.TrialPruned:
        study.tell(trial, None, **attempt.cost)
    except DataError as error:  # the data were fine before: the loss is no longer a number
        if as_it_was:
            raise
        study.tell(trial, None, diverged=str(error), **attempt.cost)
    else:
        study.tell(trial, value, **attempt.cost)
    shutil.rmtree(place, ignore_errors=True)
    _report(study, trial.number, drawn, attempt, reporter, of, several=prepared.clips.several)


class _Attempt:
    """A trial under way: what it has scored so far, and what it has cost."""

    def __init__(self, trial: optuna.Trial, *, prunable: bool) -> None:
        self._trial, self._prunable = trial, prunable
        self._scores: list[float] = []
        # what it had reached before a kill is what others are held against, though it is not trained anew
        looks = {int(step): float(look) for step, look in trial.user_attrs.get("looks", {}).items()}
        for step, look in looks.items():
            trial.report(look, step)
        self._told = set(looks)
        self._passes: dict[int, int] = {}
        self._started = time.perf_counter()

    @property
    def cost(self) -> dict[str, float]:
        """Clips heard in training, epochs before a kill included, and the seconds of this attempt."""
        return {"clip_passes": sum(self._passes.values()), "seconds": time.perf_counter() - self._started}

    @property
    def looked(self) -> int:
        """Inner folds that were begun."""
        return len(self._passes)

    def score(
        self, prepared: Prepared, inner: tuple[Split, ...], recipe: Recipe, hardware: Hardware, folder: Path
    ) -> float:
        """Return the mean over the inner folds of the accuracy, or of several labels of the mean average precision.

        Raises:
            TrialPruned: it lags behind what earlier trials had reached at the same point.
        """
        epochs = recipe.training.epochs
        # the inner folds are trial enough: they ask for the network that learned, and not for what it began as
        often = recipe.training.model_copy(update={"validate_every": max(1, epochs // _TENTHS), "trial": False})
        looking = recipe.model_copy(update={"training": often})
        for number, split in enumerate(inner):
            place = folder / f"inner{number + 1}"
            place.mkdir(parents=True, exist_ok=True)

            def hear(record: EpochRecord, number: int = number, clips: int = len(split.train)) -> None:
                self._passes[number] = clips * record.epoch
                if record.val_score is not None:
                    self._look(number * _TENTHS + record.epoch * _TENTHS // epochs, record.val_score)

            fitted = fit(job_of(prepared, split, looking, place), hardware, hear)
            last = fitted.history[-1]
            assert last.val_score is not None  # the last epoch always looks
            self._passes[number] = len(split.train) * last.epoch
            self._scores.append(last.val_score)
        return sum(self._scores) / len(self._scores)

    def _look(self, step: int, score: float) -> None:
        """Report the mean so far, the fold under way with what it has reached, and give up if that is too little."""
        if step in self._told:
            return
        self._told.add(step)
        self._trial.report((sum(self._scores) + score) / (len(self._scores) + 1), step)
        if self._prunable and self._trial.should_prune():
            raise optuna.TrialPruned


def _report(
    study: Study, number: int, drawn: Mapping[str, object], attempt: _Attempt, reporter: Reporter, of: int | None,
    *, several: bool,
) -> None:  # fmt: skip
    name = study.search.name
    told = next(trial for trial in study.trials() if trial.number == number)
    if told.state == TrialState.COMPLETE:
        came = f"{'mAP ' if several else ''}{format_percent(told.value or 0.0)}"
    elif "diverged" in told.user_attrs:
        came = "diverged"
    else:
        came = f"given up in inner fold {attempt.looked}"
    values = ", ".join(f"{key}={_short(value)}" for key, value in drawn.items()) or "the recipe as it is"
    reporter.note(f"{name}, trial {number + 1}: {came} ({values})")
    reporter.progress(f"searching, {name}", study.finished, of)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
