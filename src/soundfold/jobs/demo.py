"""`soundfold demo`: the whole way in three minutes, without data and without a network."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soundfold.data.synth import synthesise
from soundfold.errors import PathError
from soundfold.evaluation import CvResult, TrainResult
from soundfold.jobs.cross_validate import cross_validate
from soundfold.jobs.kept_result import PREDICTIONS_NAME
from soundfold.jobs.reporting import Reporter
from soundfold.jobs.run_folder import next_free
from soundfold.jobs.show import show
from soundfold.jobs.train import train
from soundfold.runtime import Prediction, load

__all__ = ["Demo", "demo"]

_CLIPS = 600
_EPOCHS = 20
_FOLDS = ("1", "2", "3")


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        folder: everything lies in it.
        random: scores of a random split, whose test clips share recordings with training.
        honest: scores over folds of recordings that were never met.
        picture: clips as pictures.
        model: the file that predicted, from the first of the folds.
        truth: the label of the clip that was predicted.
        prediction: the answer for it.
    """

    folder: Path
    random: TrainResult
    honest: CvResult
    picture: Path
    model: Path
    truth: str
    prediction: Prediction


def demo(out: str | Path | None, reporter: Reporter) -> Demo:
    """Write a synthetic data set, train on it twice, and predict.

    Args:
        out: the folder; None for `soundfold-demo`, or the first of its successors that is free.
        reporter: hears how the work goes.

    Raises:
        PathError: the folder exists already.
    """
    folder = next_free("soundfold-demo", ".", bare_first=True) if out is None else Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PathError(f"{folder}: exists already. Choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    data, cache = folder / "data", folder / "cache"
    try:
        reporter.note(f"1. A synthetic data set of {_CLIPS} clips in UrbanSound8K's layout")
        synthesise(data, clips=_CLIPS, on_progress=lambda done, total: reporter.progress("synthesising", done, total))
        picture = show(data, folder / "clips.png", recipe="tutorial", clips=10)
        reporter.note("2. The tutorial's way: a random split")
        random = train(
            data,
            recipe="tutorial",
            random_split=0.2,
            epochs=_EPOCHS,
            out=folder / "random",
            cache=cache,
            reporter=reporter,
        )
        reporter.note("3. The honest way: whole recordings held out, fold by fold")
        honest = cross_validate(
            data, recipe="tutorial", folds=_FOLDS, epochs=_EPOCHS, out=folder / "cv", cache=cache, reporter=reporter
        )
        reporter.note("4. A prediction from the model file, without PyTorch")
        model = load(folder / "cv" / f"fold{_FOLDS[0]}")
        clips = pd.read_parquet(model.path.with_name(PREDICTIONS_NAME))
        clip = clips.sort_values("probability").iloc[len(clips) // 2]
        prediction = model.predict(str(clip["path"]))
        return Demo(folder, random, honest, picture, model.path, str(clip["label"]), prediction)
    finally:
        shutil.rmtree(cache, ignore_errors=True)  # finished or broken off: a demo is not continued
