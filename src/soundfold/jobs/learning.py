"""Learning one split: fit, score the held-out clips, write the model file and everything that belongs to it.

`train` does this once, `cv` once a fold.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from soundfold import __version__
from soundfold.atomic import write_text
from soundfold.audio import fit_length
from soundfold.data.splits import Split
from soundfold.evaluation import (
    Scores,
    SplitSummary,
    TrainResult,
    draw_confusion,
    draw_curves,
    predictions_table,
    save_png,
    score,
    score_title,
    write_predictions,
)
from soundfold.export import export_model, probe_windows
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.reporting import Reporter, told
from soundfold.jobs.run_folder import METRICS_NAME, read_result
from soundfold.jobs.surroundings import hardware_line, versions
from soundfold.jobs.weighting import clip_weights
from soundfold.models import Classifier, build_classifier
from soundfold.recipe import Recipe
from soundfold.runtime import FORMAT_VERSION, ModelCard, recordings_digest
from soundfold.training import (
    CHECKPOINT_NAME,
    FitJob,
    Fitted,
    Hardware,
    clip_probabilities,
    fit,
    give_back_freed_memory,
    open_feature_cache,
    save_tensors,
    take_part,
)
from soundfold.wording import counted

__all__ = ["help_to_learn", "learn_split"]

_PROBES = 8


def learn_split(
    prepared: Prepared,
    split: Split,
    recipe: Recipe,
    hardware: Hardware,
    folder: Path,
    reporter: Reporter,
    what: str,
) -> TrainResult:
    """Train on one side of a split and score the other; return what was found earlier if the folder is finished.

    Args:
        prepared: the data.
        split: which clips train and which are held out.
        recipe: the settings.
        hardware: where to train.
        folder: gets model.onnx, weights.safetensors, predictions.parquet, metrics.json, figures and logs.
        reporter: hears of epochs.
        what: how the reporter calls this training.
    """
    finished = folder / METRICS_NAME
    if finished.exists():
        return read_result(finished, TrainResult)
    started = time.perf_counter()
    folder.mkdir(exist_ok=True)
    job = job_of(prepared, split, recipe, folder)
    fitted = fit(job, hardware, lambda record: reporter.epoch(what, record, recipe.training.epochs))
    give_back_freed_memory()  # the export needs its own
    classifier = build_classifier(recipe, job.n_labels, recipe.training.seed)
    classifier.load_state_dict(fitted.state)
    classifier.eval()

    scores: Scores | None = None
    if len(split.test):
        scores = _score(prepared, split, classifier, folder)
    result = _result(prepared, split, recipe, fitted, folder, scores, time.perf_counter() - started)
    save_tensors(classifier.state_dict(), folder / "weights.safetensors", {"format": "pt"})
    probes = _probes(prepared, split, recipe)
    give_back_freed_memory()
    # one at a time where folds end together: an export holds more memory than the training did
    with FileLock(prepared.features / "export.lock"):
        difference = export_model(
            classifier,
            recipe,
            _card(prepared, split, recipe, result),
            folder / "model.onnx",
            probes,
            prepared.features,
        )
    figure = draw_curves(_curves(fitted))
    save_png(folder / "curves.png", figure)
    result = result.model_copy(
        update={
            "seconds": time.perf_counter() - started,
            "notes": (
                *result.notes,
                f"model.onnx equals torch within {difference:.1e} "
                f"({counted(len(probes), 'clip')}, silence, noise, a burst)",
            ),
        }
    )
    write_text(finished, result.model_dump_json(indent=2) + "\n")
    (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
    return result


def help_to_learn(prepared: Prepared, split: Split, recipe: Recipe, hardware: Hardware, folder: Path) -> TrainResult:
    """Train along and write nothing: what all processes but the first do in a run that torchrun started."""
    if not (folder / METRICS_NAME).exists():
        take_part(job_of(prepared, split, recipe, folder), hardware, lambda _: None)
    return TrainResult(labels=prepared.clips.labels, recipe=recipe.as_dict(), split=_summary(split), seconds=0.0)


def _summary(split: Split) -> SplitSummary:
    """Return the split as results tell it."""
    return SplitSummary(
        name=split.name, kind=split.kind, fold=split.fold, n_train=len(split.train), n_test=len(split.test)
    )


def job_of(prepared: Prepared, split: Split, recipe: Recipe, folder: Path) -> FitJob:
    class_ids = prepared.clips.class_ids()
    return FitJob(
        recipe=recipe,
        n_labels=len(prepared.clips.labels),
        features=prepared.features,
        train=prepared.rows[split.train],
        train_labels=class_ids[split.train],
        held_out=prepared.rows[split.test],
        held_out_labels=class_ids[split.test],
        folder=folder,
        train_weights=clip_weights(prepared.clips, split.train, recipe.training.weighting),
        weights_file=prepared.weights,
    )


def _score(prepared: Prepared, split: Split, classifier: Classifier, folder: Path) -> Scores:
    """Score the held-out clips, and keep predictions and confusion matrix."""
    cache = open_feature_cache(prepared.features)
    device = next(classifier.parameters()).device
    probabilities = clip_probabilities(classifier.classify, cache, prepared.rows[split.test], device)
    clips = prepared.clips.table.iloc[split.test]
    table = predictions_table(clips, prepared.clips.labels, probabilities)
    write_predictions(folder / "predictions.parquet", table)
    scores = score(table, groups_known=prepared.clips.groups_known)
    recordings = scores.n_recordings if prepared.clips.groups_known else None
    title = score_title(scores.accuracy, scores.accuracy_ci95, scores.n, recordings)
    save_png(folder / "confusion.png", draw_confusion(scores.confusion, scores.labels, title=title))
    return scores


def _curves(fitted: Fitted) -> pd.DataFrame:
    names = {
        "epoch": "epoch", "train_loss": "training loss", "val_loss": "held-out loss",
        "train_accuracy": "training accuracy", "val_accuracy": "held-out accuracy",
    }  # fmt: skip
    return pd.DataFrame([vars(record) for record in fitted.history])[list(names)].rename(columns=names)


def _result(
    prepared: Prepared,
    split: Split,
    recipe: Recipe,
    fitted: Fitted,
    folder: Path,
    scores: Scores | None,
    seconds: float,
) -> TrainResult:
    train_s = sum(record.train_s for record in fitted.history)
    scored: dict[str, Any] = dict(scores) if scores is not None else {"labels": prepared.clips.labels}
    notes = tuple(scores.notes if scores is not None else ()) + split.notes
    return TrainResult(
        **{**scored, "notes": notes},
        recipe=recipe.as_dict(),
        split=_summary(split),
        leaks=split.leaks.as_dict(),
        seconds=seconds,
        clips_per_second=len(split.train) * len(fitted.history) / train_s,
        store_s=prepared.store_s,
        train_s=train_s,
        left_out=told(prepared.clips.left_out),
        out=str(folder),
        versions=versions(),
        hardware=hardware_line(),
    )


def _card(prepared: Prepared, split: Split, recipe: Recipe, result: TrainResult) -> ModelCard:
    told = ("accuracy", "accuracy_ci95", "macro_f1", "n", "n_recordings")
    return ModelCard(
        format_version=FORMAT_VERSION,
        soundfold_version=__version__,
        labels=prepared.clips.labels,
        sample_rate=recipe.sound.sample_rate,
        channels=recipe.sound.channels,
        downmix=recipe.sound.downmix,
        window=recipe.sound.window,
        recipe=recipe.as_dict(),
        data=f"{prepared.clips.kind}, {counted(len(split.train), 'clip')}",
        split={**result.split.model_dump(mode="json"), "leaks": split.leaks.sentence},
        scores={name: value for name, value in result.model_dump(mode="json").items() if name in told},
        training_recordings=recordings_digest(prepared.clips.table["group"].iloc[split.train]),
    )


def _probes(prepared: Prepared, split: Split, recipe: Recipe) -> np.ndarray:
    """Return the first window of a few clips, spread over the data set."""
    side = split.test if len(split.test) else split.train
    chosen = prepared.rows[side[np.linspace(0, len(side) - 1, min(_PROBES, len(side))).astype(int)]]
    length = recipe.sound.window
    return probe_windows([fit_length(prepared.store.waveform(row), length) for row in chosen], recipe.sound.channels)
