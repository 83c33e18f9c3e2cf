"""The lowest rung: a cross-validation by a model that hears nothing and knows how often each label was trained on.

Its probabilities are the labels' shares of the training side, whatever the sound, so its answer is the most frequent
label. What is no better than this has learned nothing. There is no network, so there is no model file.

Where clips bear several labels, it tells those that more than half of the training side bears. All clips of a fold
stand at one place in its ranking, so its average precision of a label is the share of the fold's clips that bear it.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from soundfold.atomic import write_text
from soundfold.data.leaks import Leaks
from soundfold.data.splits import fold_splits
from soundfold.evaluation import CvResult, predictions_table, score_folds, write_predictions
from soundfold.jobs.cross_validate import summarise_folds
from soundfold.jobs.kept_result import PREDICTIONS_NAME, digests
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.reporting import told
from soundfold.jobs.run_folder import METRICS_NAME, begin
from soundfold.jobs.surroundings import hardware_line, versions

__all__ = ["MAJORITY", "majority_cross_validate"]

MAJORITY = "majority"


def majority_cross_validate(
    prepared: Prepared, folds: Sequence[str] | None, seed: int, where: Mapping[str, str], folder: Path
) -> CvResult:
    """Score the training side's shares of labels under the same folds as any recipe, and leave a run's folder.

    Args:
        prepared: the clips that recipes are trained on.
        folds: the folds to test on; None for all.
        seed: of the folds, where the data set has none of its own.
        where: which part of the data set this is, for the run's account of itself.
        folder: gets predictions.parquet, metrics.json and run.json; what an earlier run left is written anew.

    Raises:
        RunError: the folder was begun with other data or folds.
    """
    started = time.perf_counter()
    clips, borne = prepared.clips, prepared.clips.membership()
    splits = fold_splits(clips, folds, seed=seed)
    tables = []
    for split in splits:
        share = borne[split.train].mean(axis=0)
        answers = np.broadcast_to(share, (len(split.test), len(share)))
        table = predictions_table(clips.table.iloc[split.test], clips.labels, answers, several=clips.several)
        tables.append(table.assign(fold=str(split.fold)))
    table = pd.concat(tables, ignore_index=True)
    scores = score_folds(table, groups_known=clips.groups_known)
    identity = {
        "verb": "cv",
        "data": str(clips.root.resolve()),
        "where": dict(where),
        "split": ", ".join(split.name for split in splits),
        "recipe": {"name": MAJORITY},
    }
    begin(folder, identity)
    write_predictions(folder / PREDICTIONS_NAME, table)
    result = CvResult(
        **dict(scores),
        recipe={"name": MAJORITY},
        split=summarise_folds(splits, len(table)),
        # what never listens gains nothing from a recording that stands on both sides
        leaks=Leaks(len(table), 0, (), groups_known=clips.groups_known).as_dict(),
        seconds=time.perf_counter() - started,
        train_s=0.0,
        left_out=told(clips.left_out),
        out=str(folder),
        files=digests(folder, PREDICTIONS_NAME),
        versions=versions(),
        hardware=hardware_line(),
    )
    write_text(folder / METRICS_NAME, result.model_dump_json(indent=2) + "\n")
    return result
