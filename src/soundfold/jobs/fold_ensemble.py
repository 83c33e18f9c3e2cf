"""The networks of a cross-validation as one model: the file that answers with the mean over folds.

No clip of the data is one that all of them have not met, so their mean has no score of its own. Its card tells what the
folds were told right by the networks that never met them, all clips together, and says so.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from soundfold.data.leaks import Leaks
from soundfold.data.splits import everything
from soundfold.errors import SoundfoldError
from soundfold.evaluation import CvResult
from soundfold.export.ensemble import export_ensemble
from soundfold.jobs.ensemble import trained_network
from soundfold.jobs.kept_result import MODEL_NAME
from soundfold.jobs.model_file import card_of, probes_of, proof_in_words
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.side_by_side import Lesson
from soundfold.recipe import Recipe
from soundfold.runtime import load
from soundfold.wording import counted

__all__ = ["is_joined", "join_folds"]


def is_joined(result: CvResult, folder: Path) -> bool:
    """Return whether a cross-validation has a model of its own, named in its result and whole in its folder."""
    if result.model is None:
        return False
    try:
        load(folder / MODEL_NAME)
    except SoundfoldError:
        return False
    return True


def join_folds(
    prepared: Prepared, recipe: Recipe, lessons: Sequence[Lesson], result: CvResult, leaks: Leaks, folder: Path
) -> CvResult:
    """Write the model file of a cross-validation's folder; return its result with the file named.

    Args:
        prepared: the data.
        recipe: the settings, with the first seed.
        lessons: the trainings of all folds and seeds, which are finished.
        result: what the cross-validation found.
        leaks: what its folds share.
        folder: its own, which gets the file.

    Raises:
        RunError: a network's file is missing or damaged.
        ModelFileError: the file would not answer as torch does, or the graphs cannot be joined.
    """
    path = folder / MODEL_NAME
    met = np.unique(np.concatenate([lesson.split.train for lesson in lessons]))
    whole = replace(everything(prepared.clips), train=met, leaks=leaks)
    name = f"{result.split.name}, each by the networks that never met it; the mean of all was not scored"
    update = {
        "split": result.split.model_copy(update={"name": name}),
        # what the interval is of
        "accuracy": result.accuracy_pooled,
        "mean_average_precision": result.mean_average_precision_pooled,
    }
    alone = result.model_copy(update=update)
    probes = probes_of(prepared, whole, recipe)
    networks = counted(len(lessons), "network")
    made_of = f"; the mean of {networks} over {counted(len(result.folds), 'fold')}"
    difference = export_ensemble(
        [trained_network(recipe, len(prepared.clips.labels), lesson) for lesson in lessons],
        [lesson.folder / MODEL_NAME for lesson in lessons],
        card_of(prepared, whole, recipe, alone, made_of=made_of),
        path,
        probes,
    )
    note = f"{MODEL_NAME} answers with the mean of {networks}, and {proof_in_words(difference, probes)}"
    return result.model_copy(update={"model": str(path), "notes": (*result.notes, note)})
