"""`soundfold.train`: one model from labelled sounds, scored on clips that were held out."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from soundfold.atomic import plain_name
from soundfold.data.clips import Clips
from soundfold.data.splits import Split, by_fold, check_classes_left, default_split, everything, random_split
from soundfold.errors import RecipeError, RunError
from soundfold.evaluation import Scores, TrainResult
from soundfold.jobs.calibrating import Wish, calibrate_by, cross_validation_of
from soundfold.jobs.default_recipe import default_recipe
from soundfold.jobs.ensemble import check_seeds, forget_joined, is_joined_of_seeds, join_networks, lessons_of
from soundfold.jobs.learning import help_to_learn, is_trained, learn_split
from soundfold.jobs.lessons import learn_lessons
from soundfold.jobs.prepare import prepare
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.jobs.run_folder import check_out, next_free, run_folder
from soundfold.jobs.score_figure import has_score_figure, save_score_figure
from soundfold.recipe import Recipe, changed_values, check_named_once, load_recipe, name_weights
from soundfold.training import Hardware, is_main_process
from soundfold.wording import counted

__all__ = ["Holdout", "choose_out", "resolve_recipe", "train"]


@dataclass(frozen=True)
class Holdout:
    """Which clips a training holds out; at most one of these.

    Attributes:
        test_fold: an official fold.
        random: a random part of the clips, 0 to 1, which leaks wherever several clips come from one recording.
        nothing: hold out nothing, and score nothing.
    """

    test_fold: str | None = None
    random: float | None = None
    nothing: bool = False

    def __post_init__(self) -> None:
        if (self.test_fold is not None) + (self.random is not None) + self.nothing > 1:
            raise RecipeError(
                "the held-out clips must be one of --test-fold, --random-split and --all. Name one of them"
            )
        if self.random is not None and not 0 < self.random < 1:
            raise RecipeError(f"--random-split must be above 0 and below 1, got {self.random}. Say 0.2 for a fifth")

    def split(self, clips: Clips, seed: int) -> Split:
        """Return the split; with nothing named, the last official fold, or a fifth of the recordings."""
        if self.test_fold is not None:
            split = by_fold(clips, self.test_fold)
        elif self.random is not None:
            split = random_split(clips, self.random, seed)
        else:
            split = everything(clips) if self.nothing else default_split(clips, seed)
        check_classes_left(clips, [split])
        return split


def train(
    data: str | Path,
    *,
    recipe: str | Path | Recipe | None = None,
    changes: Iterable[str] = (),
    test_fold: str | int | None = None,
    random_split: float | None = None,
    everything: bool = False,
    epochs: int | None = None,
    seed: int | None = None,
    seeds: int = 1,
    weights: str | Path | None = None,
    calibrate: str | Path | None = None,
    precision: float | None = None,
    false_alarms: float | None = None,
    device: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    out: str | Path | None = None,
    resume: bool = False,
    where: Mapping[str, str] | None = None,
    cache: str | Path | None = None,
    reporter: Reporter | None = None,
) -> TrainResult:
    """Train one model, score it on held-out clips, and write its run's folder with one model file in it.

    With no split named it holds out the last official fold, or a fifth of the recordings.

    Args:
        data: a data set's folder or table.
        recipe: a preset's name, a YAML file, or a recipe; None for `finetune` where the pretrained weights are at hand,
            else `scratch`.
        changes: `key=value` texts that change the recipe.
        test_fold: official fold to hold out.
        random_split: part of the clips to hold out at random; the leak is named in the result.
        everything: train on all clips and score nothing.
        epochs, seed: short for changes of `training.epochs` and `training.seed`.
        seeds: networks, which differ in their seed; the model's answer is the mean of theirs.
        weights: file or folder of the published weights, short for a change of `model.weights` or `features.weights`,
            whichever the recipe uses; None for what the recipe names, else SOUNDFOLD_WEIGHTS, the cache or the net.
        calibrate: folder of a cross-validation by the same recipe, on whose answers the model's are calibrated.
        precision: tell a label only where it is right so often, 0 to 1; others are "unknown". Needs `calibrate`.
        false_alarms: windows of background in an hour that may be told to be a class; others are "unknown". Needs
            `calibrate`; None for as few as one can have while some 3 % of the clips are called unknown.
        device, devices, num_nodes: where to train; see `soundfold.training.Hardware`.
        out: the run's folder; None for the next free one under `runs/`.
        resume: continue the run in `out` if there is one.
        where: keep the clips whose own column has this value.
        cache: folder of kept results; None for SOUNDFOLD_CACHE or the user's cache.
        reporter: hears how the work goes.

    Returns:
        scores, leaks, times, and the folder.

    Raises:
        SoundfoldError: anything the user can mend.
    """
    started = time.perf_counter()
    reporter = reporter or Silent()
    holdout = Holdout(None if test_fold is None else str(test_fold), random_split, everything)
    settings = resolve_recipe(recipe, changes, epochs, seed, weights, cache, reporter, out if resume else None)
    hardware = Hardware(device, devices, num_nodes)
    check_seeds(seeds, settings)
    if seeds > 1 and ("RANK" in os.environ or num_nodes > 1):
        raise RunError(f"seeds must be 1 under torchrun or a cluster, got {seeds}. Train each with its own --seed")
    wish = _wish(calibrate, precision, false_alarms)
    folder = choose_out(out, data, settings, resume)
    if is_main_process():
        check_out(folder, resume=resume, reporter=reporter)
    prepared = prepare(
        data, settings, reporter, where=where, cache=cache,
        check=lambda clips: holdout.split(clips, settings.training.seed), hardware=hardware,
    )  # fmt: skip
    split = prepared.with_sound_leaks(holdout.split(prepared.clips, settings.training.seed))
    held_out = (
        f"held out: {split.name}, {counted(len(split.test), 'clip')}" if len(split.test) else "nothing is held out"
    )
    reporter.note(f"{held_out}; training on {counted(len(split.train), 'clip')}")
    if split.leaks.sentence:
        found = split.leaks.shared_clips or split.leaks.identical_clips
        reporter.note(f"{'leak' if found else 'warning'}: {split.leaks.sentence}")
    calibrated = None
    if wish is not None and is_main_process():
        held_out_recordings = prepared.clips.table["group"].iloc[split.test].unique().tolist()
        calibrated = calibrate_by(wish, settings, prepared, seeds, held_out_recordings)
    identity = {
        "verb": "train",
        "data": str(prepared.clips.root.resolve()),
        "where": dict(where or {}),
        "split": split.name,
        "clips": prepared.digest([split]),
        "sounds": prepared.sounds,
        **({"seeds": seeds} if seeds > 1 else {}),
        **({} if calibrated is None else {"calibration": calibrated.digest}),
    }
    if not is_main_process():
        return help_to_learn(prepared, split, settings, hardware, folder)
    with run_folder(folder, settings, identity, resume=resume):
        was_finished = (is_trained if seeds == 1 else is_joined_of_seeds)(folder, split)
        if was_finished:
            reporter.note(f"{folder}: is finished already")
        if seeds == 1:
            result = learn_split(
                prepared, split, settings, hardware, folder, reporter, "training", calibrated=calibrated
            )
        else:
            lessons = lessons_of(split, folder, "training", settings, seeds)
            forget_joined(lessons)
            trained = learn_lessons(prepared, lessons, settings, hardware, None, reporter)
            result = join_networks(prepared, settings, lessons, trained, calibrated)
        if len(split.test) and not (was_finished and has_score_figure(folder)):
            save_score_figure(folder, Scores.model_validate(result))
    return result.model_copy(update={"out": str(folder), "seconds": max(result.seconds, time.perf_counter() - started)})


def _wish(run: str | Path | None, precision: float | None, false_alarms: float | None) -> Wish | None:
    if run is not None:
        cross_validation_of(Path(run))  # refused now, and not once all sounds are decoded
        return Wish(Path(run), precision, false_alarms)
    if precision is not None or false_alarms is not None:
        raise RunError(
            "--precision and --false-alarms must be told which answers to go by. Name a cross-validation by the same "
            "recipe with --calibrate RUN"
        )
    return None


def resolve_recipe(
    recipe: str | Path | Recipe | None,
    changes: Iterable[str],
    epochs: int | None,
    seed: int | None,
    weights: str | Path | None,
    cache: str | Path | None,
    reporter: Reporter,
    continued: str | Path | None,
) -> Recipe:
    """Return the recipe with all changes applied, the short forms last; what they override is checked too.

    Where none is named it is `default_recipe`'s, or that of the run to continue.
    """
    changes = list(changes)
    check_named_once(weights, changed_values(changes))
    if recipe is None:
        recipe = default_recipe(cache, reporter, continued, weights)
    short = {"training.epochs": epochs, "training.seed": seed}
    extra = [f"{key}={value}" for key, value in short.items() if value is not None]
    settings = load_recipe(load_recipe(recipe, changes), extra)
    return settings if weights is None else name_weights(settings, weights)


def choose_out(out: str | Path | None, data: str | Path, recipe: Recipe, resume: bool) -> Path:
    """Return the folder of a run that names none, or the one it names."""
    if out is not None:
        return Path(out)
    if resume:
        raise RunError("--resume must be told which run to continue. Name its folder with --out")
    if "RANK" in os.environ:
        raise RunError("under torchrun all processes must write to one folder. Name it with --out")
    return next_free(plain_name(f"{Path(data).absolute().stem}-{recipe.name}"))
