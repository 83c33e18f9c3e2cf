"""Learning one split: fit, score the held-out clips, write the model file and everything that belongs to it.

`train` does this once, `cv` once a fold.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from soundfold.atomic import write_text
from soundfold.data.splits import Split
from soundfold.evaluation import (
    Scores,
    SplitSummary,
    TrainResult,
    draw_curves,
    predictions_table,
    save_png,
    score,
    write_predictions,
)
from soundfold.export import export_model
from soundfold.jobs.calibrating import Calibrated
from soundfold.jobs.kept_result import (
    MODEL_NAME,
    PREDICTIONS_NAME,
    WEIGHTS_NAME,
    digests,
    files_of,
    is_whole,
    read_training,
)
from soundfold.jobs.model_file import card_of, probes_of, proof_in_words
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.reporting import Reporter, told
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.jobs.surroundings import hardware_line, versions
from soundfold.jobs.weighting import clip_weights
from soundfold.models import build_classifier
from soundfold.recipe import Recipe
from soundfold.training import (
    CHECKPOINT_NAME,
    FitJob,
    Fitted,
    Hardware,
    clip_probabilities,
    fit,
    forget_trial,
    give_back_freed_memory,
    open_feature_cache,
    save_tensors,
    take_part,
)

__all__ = [
    "help_to_learn",
    "is_trained",
    "job_of",
    "kept_training",
    "learn_split",
    "result_of",
    "score_split",
]


def learn_split(
    prepared: Prepared,
    split: Split,
    recipe: Recipe,
    hardware: Hardware,
    folder: Path,
    reporter: Reporter,
    what: str,
    exporting: AbstractContextManager[object] = nullcontext(),  # noqa: B008
    calibrated: Calibrated | None = None,
) -> TrainResult:
    """Train on one side of a split and score the other; return what was found earlier if the folder is finished.

    Args:
        prepared: the data.
        split: which clips train and which are held out.
        recipe: the settings.
        hardware: where to train.
        folder: gets model.onnx, weights.safetensors, predictions.parquet, metrics.json, curves.png and logs.
        reporter: hears of epochs.
        what: how the reporter calls this training.
        exporting: held while the model file is made: a lock, where several trainings end together, because an export
            takes more memory than the training did.
        calibrated: how the model's answers are calibrated; None for as the network gives them.

    Raises:
        RunError: the folder is that of another training.
    """
    finished = folder / METRICS_NAME
    if finished.exists():
        kept = kept_training(folder, split, recipe)  # which refuses what is not ours to train over
        if is_trained(folder, split):
            forget_trial(folder)  # a kill may have come between the result and this
            return kept
        reporter.note(f"{what}: a file of it is lost or another's, so it is trained again")
        finished.unlink()
    started = time.perf_counter()
    folder.mkdir(exist_ok=True)
    job = job_of(prepared, split, recipe, folder)
    epochs = recipe.training.epochs
    fitted = fit(
        job, hardware,
        lambda record: reporter.epoch(what, record, epochs),
        lambda record: reporter.progress(f"{what}: trial, epoch", record.epoch, epochs),
    )  # fmt: skip
    reporter.note(f"{what}: trained, writing the model file")  # for seconds nothing else is told
    give_back_freed_memory()  # the export needs its own
    classifier = build_classifier(recipe, job.n_labels, recipe.training.seed)
    classifier.load_state_dict(fitted.state)
    classifier.eval()

    scores: Scores | None = None
    if len(split.test):
        cache = open_feature_cache(prepared.features)
        temperature = 1.0 if calibrated is None else calibrated.card.temperature
        probabilities = clip_probabilities(
            lambda features: classifier.classify(features) / temperature, cache, prepared.rows[split.test],
            next(classifier.parameters()).device,
            several=prepared.clips.several,
        )  # fmt: skip
        scores = score_split(prepared, split, probabilities, folder)
    result = result_of(
        prepared, split, recipe, folder, scores,
        seconds=time.perf_counter() - started,
        train_s=sum(record.train_s for record in fitted.history),
        passes=len(fitted.history), calibrated=calibrated,
    )  # fmt: skip
    save_tensors(classifier.state_dict(), folder / WEIGHTS_NAME, {"format": "pt"})
    probes = probes_of(prepared, split, recipe)
    give_back_freed_memory()
    with exporting:
        difference = export_model(
            classifier,
            recipe,
            card_of(prepared, split, recipe, result, calibrated),
            folder / MODEL_NAME,
            probes,
            prepared.features,
        )
    if len(fitted.history) > 1:  # a regression is fitted in one go: one point is no curve
        save_png(folder / "curves.png", draw_curves(_curves(fitted)))
    result = result.model_copy(
        update={
            "seconds": time.perf_counter() - started,
            "files": digests(folder, *files_of(split)),
            "learned_on": None if fitted.trial is None else fitted.trial.pays,
            "notes": (
                *result.notes,
                *(() if fitted.trial is None else (str(fitted.trial),)),
                f"model.onnx {proof_in_words(difference, probes)}",
            ),
        }
    )
    write_text(finished, result.model_dump_json(indent=2) + "\n")
    (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
    forget_trial(folder)
    return result


def is_trained(folder: Path, split: Split) -> bool:
    """Return whether a training is finished and none of its files is lost, damaged or another's."""
    return is_whole(folder, *files_of(split))


def kept_training(folder: Path, split: Split, recipe: Recipe) -> TrainResult:
    """Return the result of a finished training of a split, or of the joint model of several; see `read_training`."""
    return read_training(folder / METRICS_NAME, _summary(split), recipe).model_copy(update={"out": str(folder)})


def help_to_learn(prepared: Prepared, split: Split, recipe: Recipe, hardware: Hardware, folder: Path) -> TrainResult:
    """Train along and write nothing: what all processes but the first do in a run that torchrun started."""
    if not is_trained(folder, split):
        take_part(job_of(prepared, split, recipe, folder), hardware, lambda _: None)
    return TrainResult(labels=prepared.clips.labels, recipe=recipe.as_dict(), split=_summary(split), seconds=0.0)


def _summary(split: Split) -> SplitSummary:
    """Return the split as results tell it."""
    return SplitSummary(
        name=split.name, kind=split.kind, fold=split.fold, n_train=len(split.train), n_test=len(split.test)
    )


def job_of(prepared: Prepared, split: Split, recipe: Recipe, folder: Path) -> FitJob:
    """Return what a training process needs to know to learn a split."""
    targets = prepared.clips.targets()
    return FitJob(
        recipe=recipe,
        n_labels=len(prepared.clips.labels),
        features=prepared.features,
        train=prepared.rows[split.train],
        train_labels=targets[split.train],
        held_out=prepared.rows[split.test],
        held_out_labels=targets[split.test],
        folder=folder,
        train_weights=clip_weights(prepared.clips, split.train, recipe.training.weighting),
        train_recordings=pd.factorize(prepared.clips.table["group"].iloc[split.train], sort=True)[0],
        weights_file=prepared.weights,
        store=prepared.store if recipe.augment.domain == "waveform" else None,
        backgrounds=prepared.backgrounds,
    )


def score_split(prepared: Prepared, split: Split, probabilities: np.ndarray, folder: Path) -> Scores:
    """Score the held-out clips by their probabilities (clips, n_labels), and keep the predictions."""
    clips = prepared.clips.table.iloc[split.test]
    table = predictions_table(clips, prepared.clips.labels, probabilities, several=prepared.clips.several)
    write_predictions(folder / PREDICTIONS_NAME, table)
    return score(table, groups_known=prepared.clips.groups_known)


def _curves(fitted: Fitted) -> pd.DataFrame:
    names = {
        "epoch": "epoch", "train_loss": "training loss", "val_loss": "held-out loss",
        "train_accuracy": "training accuracy", "val_accuracy": "held-out accuracy", "val_map": "held-out mAP",
    }  # fmt: skip
    log = pd.DataFrame([vars(record) for record in fitted.history])[list(names)].rename(columns=names)
    return log.dropna(axis=1, how="all")


def result_of(
    prepared: Prepared, split: Split, recipe: Recipe, folder: Path, scores: Scores | None, *,
    seconds: float, train_s: float, passes: int, calibrated: Calibrated | None = None,
) -> TrainResult:  # fmt: skip
    """Return what is told of a training.

    Args:
        prepared, split, recipe, folder: what was trained, and where it lies.
        scores: of the held-out clips; None where there are none.
        seconds: the whole work.
        train_s: seconds of training.
        passes: how often the training clips were heard in that time.
        calibrated: how the model's answers were calibrated, if they were.
    """
    scored: dict[str, Any] = dict(scores) if scores is not None else {"labels": prepared.clips.labels}
    notes = tuple(scores.notes if scores is not None else ()) + split.notes
    return TrainResult(
        **{**scored, "notes": notes},
        recipe=recipe.as_dict(),
        split=_summary(split),
        leaks=split.leaks.as_dict(),
        seconds=seconds,
        clips_per_second=len(split.train) * passes / train_s,
        store_s=prepared.store_s,
        train_s=train_s,
        left_out=told(prepared.clips.left_out),
        out=str(folder),
        versions=versions(),
        hardware=hardware_line(),
        calibration=None if calibrated is None else calibrated.scores,
    )
