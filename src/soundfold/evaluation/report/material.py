"""What a report is made of: runs with their results, curves and files, and clips with their sounds. Values only."""

from dataclasses import dataclass

import pandas as pd

from soundfold.evaluation.measured import Result

__all__ = ["CURVE_LINES", "Curve", "ReportClip", "ReportRun", "Sound"]

CURVE_LINES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_map")
"""What a curve can tell, by the names of a log's columns."""


@dataclass(frozen=True)
class Curve:
    """How one training went.

    Attributes:
        fold: the fold that was held out; None for the only training of a run.
        epochs: numbers of the epochs.
        lines: one value an epoch (None where it was not looked at) for each of `train_loss`, `val_loss`,
            `train_accuracy` and `val_accuracy` or, of several labels a clip, `val_map` (0 to 1).
        seed: the network's own, where several that differ in it answer together; None for the only one.
    """

    fold: str | None
    epochs: tuple[int, ...]
    lines: dict[str, tuple[float | None, ...]]
    seed: str | None = None

    @property
    def name(self) -> str:
        """Which training of its run it was, in words; "" for the only one."""
        told = (("fold", self.fold), ("seed", self.seed))
        return ", ".join(f"{what} {which}" for what, which in told if which is not None)


@dataclass(frozen=True)
class Sound:
    """A sound as a page can hold it.

    Attributes:
        uri: `data:` address of the file that is played.
        picture: `data:` address of its spectrogram.
        seconds: how long it is.
        cut: whether the clip goes on after it.
    """

    uri: str
    picture: str
    seconds: float
    cut: bool


@dataclass(frozen=True)
class ReportClip:
    """A clip that was answered wrongly.

    Attributes:
        path: where it was when it was scored.
        start, end: the part of the file in seconds; None for its beginning or its end.
        label, predicted: truth and answer. Of several labels a clip: all that it bears, and the one told wrongly, or
            "no" and the one that was missed.
        probability: of the answer, 0 to 1.
        about_truth: what the model gave the truth, in words; "" where the answer tells it.
        fold: the fold it was scored in; None without folds.
        group: the recording it comes from.
        others: how many more clips of this recording were answered wrongly.
        sound: None where there is none to be heard.
        silent_because: why there is none.
    """

    path: str
    start: float | None
    end: float | None
    label: str
    predicted: str
    probability: float
    about_truth: str
    fold: str | None
    group: str
    others: int
    sound: Sound | None = None
    silent_because: str = ""


@dataclass(frozen=True, eq=False)
class ReportRun:
    """One run as the page tells it.

    Attributes:
        name: what the page calls it; different for each run of a page.
        path: its folder or file.
        result: what `train`, `cv` or `evaluate` answered.
        predictions: the table of predictions; None where nothing was scored or none was kept.
        curves: one a network that was trained.
        log_notes: sentences on logs that tell less than they should.
        files: name and size in bytes of what it would be shipped as.
        clips: the clips it was surest and wrong about, the surest first.
        wrong: how many clips were answered wrongly, in all.
        data: the folder that clips' paths are told from; None for whole paths.
    """

    name: str
    path: str
    result: Result
    predictions: pd.DataFrame | None = None
    curves: tuple[Curve, ...] = ()
    log_notes: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    clips: tuple[ReportClip, ...] = ()
    wrong: int = 0
    data: str | None = None
