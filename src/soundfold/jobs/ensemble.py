"""Several networks that differ in their seed alone, as one model: their mean answer, its scores, and one file.

What a network alone is worth, and how far that depends on the seed, is told beside it.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from soundfold.atomic import write_text
from soundfold.data.splits import Split
from soundfold.errors import RunError, SoundfoldError
from soundfold.evaluation import (
    Scores,
    SeedScore,
    SeedScores,
    TrainResult,
    probabilities_in,
    tempered,
)
from soundfold.export.ensemble import export_ensemble
from soundfold.jobs.calibrating import Calibrated
from soundfold.jobs.kept_result import MODEL_NAME, WEIGHTS_NAME, digests, files_of, is_whole, predictions_of
from soundfold.jobs.learning import is_trained, kept_training, result_of, score_split
from soundfold.jobs.model_file import card_of, probes_of, proof_in_words
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.jobs.side_by_side import Lesson
from soundfold.models import Classifier, build_classifier
from soundfold.recipe import Recipe
from soundfold.runtime import load

__all__ = [
    "check_seeds",
    "forget_joined",
    "is_joined_of_seeds",
    "join_networks",
    "lessons_of",
    "score_seeds",
    "seeds_of",
    "trained_network",
]


def check_seeds(seeds: int, recipe: Recipe) -> None:
    """Raise unless so many networks can be made that differ in their seed alone.

    Raises:
        RunError: they cannot.
    """
    if seeds < 1:
        raise RunError(f"seeds must be at least 1, got {seeds}. Leave it out for one network")
    if seeds > 1 and recipe.training.optimizer == "lbfgs":
        raise RunError(
            f"seeds must be 1 with training.optimizer = lbfgs, in which nothing is random, got {seeds}. Leave it out"
        )


def seeds_of(recipe: Recipe, seeds: int) -> list[int]:
    """Return the seeds of so many networks: the recipe's and those that follow it."""
    return list(range(recipe.training.seed, recipe.training.seed + seeds))


def lessons_of(split: Split, folder: Path, what: str, recipe: Recipe, seeds: int) -> list[Lesson]:
    """Return the trainings of a split: one in its folder, or one a seed, each in a folder inside it."""
    if seeds == 1:
        return [Lesson(split, folder, what)]
    return [Lesson(split, folder / f"seed{seed}", f"{what}, seed {seed}", seed) for seed in seeds_of(recipe, seeds)]


def join_networks(
    prepared: Prepared, recipe: Recipe, lessons: Sequence[Lesson], results: Sequence[TrainResult],
    calibrated: Calibrated | None = None,
) -> TrainResult:  # fmt: skip
    """Make one model of a split's networks, in the folder above theirs; return what was made earlier if it is whole.

    Args:
        prepared: the data.
        recipe: the settings, with the first seed.
        lessons: the networks' trainings, as `lessons_of` gives them.
        results: what came of them.
        calibrated: how their joint answer is calibrated; None for the mean as it is.
    """
    split, folder = lessons[0].split, lessons[0].folder.parent
    finished = folder / METRICS_NAME
    if is_joined_of_seeds(folder, split):
        return kept_training(folder, split, recipe)
    started = time.perf_counter()
    scores: Scores | None = None
    if len(split.test):
        tables = [predictions_of(lesson.folder, one) for lesson, one in zip(lessons, results, strict=True)]
        mean = np.stack([probabilities_in(table) for table in tables]).mean(axis=0, dtype=np.float64)
        if calibrated is not None:
            mean = tempered(mean, calibrated.card.temperature)
        scores = score_split(prepared, split, mean, folder)
    result = result_of(
        prepared, split, recipe, folder, scores,
        seconds=sum(each.seconds for each in results),
        train_s=sum(each.train_s or 0.0 for each in results),
        passes=recipe.training.epochs * len(lessons), calibrated=calibrated,
    )  # fmt: skip
    seeds = seeds_of(recipe, len(lessons))
    made_of = f"; {len(seeds)} networks, seeds {seeds[0]} to {seeds[-1]}"
    probes = probes_of(prepared, split, recipe)
    difference = export_ensemble(
        [trained_network(recipe, len(prepared.clips.labels), lesson) for lesson in lessons],
        [lesson.folder / MODEL_NAME for lesson in lessons],
        card_of(prepared, split, recipe, result, calibrated, made_of=made_of),
        folder / MODEL_NAME,
        probes,
    )
    notes = (
        *result.notes,
        f"the model is the mean of {len(seeds)} networks, seeds {seeds[0]} to {seeds[-1]}",
        f"model.onnx {proof_in_words(difference, probes)}",
    )
    told = {
        "seconds": result.seconds + time.perf_counter() - started,
        "notes": notes,
        "files": digests(folder, *files_of(split, joint=True)),
        "seeds": score_seeds(seeds, [results]) if len(split.test) else None,
    }
    result = result.model_copy(update=told)
    write_text(finished, result.model_dump_json(indent=2) + "\n")
    return result


def forget_joined(lessons: Sequence[Lesson]) -> None:
    """Remove the results of joint models whose networks are about to be trained again."""
    for lesson in lessons:
        if lesson.seed is not None and not is_trained(lesson.folder, lesson.split):
            (lesson.folder.parent / METRICS_NAME).unlink(missing_ok=True)


def is_joined_of_seeds(folder: Path, split: Split) -> bool:
    """Return whether the joint model of a split's networks is finished and none of its files is lost."""
    return is_whole(folder, *files_of(split, joint=True))


def score_seeds(seeds: Sequence[int], results: Sequence[Sequence[TrainResult]]) -> SeedScores | None:
    """Return what one network alone is worth, by the headline of its results: accuracy, or mean average precision.

    Splits without a score, whose held-out clips bear no label, are left out; None where no split has one.

    Args:
        seeds: of the networks of a split.
        results: (splits, seeds), each of a network alone.
    """
    several = results[0][0].accuracy is None
    found = [[one.mean_average_precision if several else one.accuracy for one in split] for split in results]
    scored = [place for place, split in enumerate(found) if None not in split]
    if not scored:
        return None
    reached = np.array([found[place] for place in scored], dtype=np.float64)
    by_split, by_seed = reached.mean(axis=1), reached.mean(axis=0)
    return SeedScores(
        seeds=tuple(seeds),
        measure="mean_average_precision" if several else "accuracy",
        mean=float(reached.mean()),
        std_folds=float(by_split.std(ddof=1)) if len(by_split) > 1 else None,
        std_seeds=float(by_seed.std(ddof=1)),
        folds=tuple(
            SeedScore(fold=results[place][0].split.fold, mean=float(own.mean()), std=float(own.std(ddof=1)))
            for place, own in zip(scored, reached, strict=True)
        ),
    )


def trained_network(recipe: Recipe, n_labels: int, lesson: Lesson) -> Classifier:
    """Return a finished training's classifier, whose model file can be opened too.

    Raises:
        RunError: one of its files is missing, damaged, or of another network.
    """
    weights, model = lesson.folder / WEIGHTS_NAME, lesson.folder / MODEL_NAME
    classifier = build_classifier(recipe, n_labels, 0)
    reading = weights
    try:
        classifier.load_state_dict(load_file(weights))
        reading = model
        load(model)
    except (OSError, RuntimeError, SafetensorError, SoundfoldError) as error:
        raise RunError(
            f"{reading}: is missing, damaged, or of another network ({str(error).splitlines()[0]}). Remove its folder, "
            f"and metrics.json of the folders above it, and --resume trains it again"
        ) from None
    return classifier.eval()
