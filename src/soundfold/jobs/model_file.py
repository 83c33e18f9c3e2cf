"""What goes into a model file beside the network: what it says of itself, and the sounds that it is proven on."""

import numpy as np

from soundfold import __version__
from soundfold.audio import fit_length
from soundfold.data.splits import Split
from soundfold.evaluation import CvResult, TrainResult
from soundfold.export import probe_windows
from soundfold.jobs.calibrating import Calibrated
from soundfold.jobs.prepare import Prepared
from soundfold.recipe import Recipe, recipe_to_ship
from soundfold.runtime import ModelCard, least_format, recordings_digest
from soundfold.wording import counted

__all__ = ["card_of", "probes_of", "proof_in_words"]

_PROBES = 4


def card_of(
    prepared: Prepared, split: Split, recipe: Recipe, result: TrainResult | CvResult,
    calibrated: Calibrated | None = None, *,
    made_of: str = "",
) -> ModelCard:  # fmt: skip
    """Return what the model file says of itself; `made_of` follows what it was trained on."""
    several = prepared.clips.several
    headline = "mean_average_precision" if several else "accuracy"
    told = (headline, f"{headline}_ci95", "macro_f1", "n", "n_recordings", "interval_over")
    return ModelCard(
        format_version=least_format(None if calibrated is None else calibrated.card),
        soundfold_version=__version__,
        labels=prepared.clips.labels,
        answer="several" if several else "one",
        sample_rate=recipe.sound.sample_rate,
        channels=recipe.sound.channels,
        downmix=recipe.sound.downmix,
        window=recipe.sound.window,
        recipe=recipe_to_ship(recipe),
        data=f"{prepared.clips.kind}, {counted(len(split.train), 'clip')}{made_of}",
        split={**result.split.model_dump(mode="json"), "leaks": split.leaks.sentence},
        scores={name: value for name, value in result.model_dump(mode="json").items() if name in told},
        training_recordings=recordings_digest(prepared.clips.table["group"].iloc[split.train]),
        silence_is_unknown=not _holds_silent_class(prepared, split),
        calibration=None if calibrated is None else calibrated.card,
    )


def _holds_silent_class(prepared: Prepared, split: Split) -> bool:
    """Tell whether most training clips of some class hold nothing, as the clips of a class for silence do."""
    silent = prepared.store.silent[prepared.rows[split.train]]
    targets = prepared.clips.targets()[split.train]
    borne = np.eye(len(prepared.clips.labels))[targets] if targets.ndim == 1 else targets
    return bool((silent @ borne > borne.sum(axis=0) / 2).any())


def probes_of(prepared: Prepared, split: Split, recipe: Recipe) -> np.ndarray:
    """Return the first window of a few clips, spread over the data set."""
    side = split.test if len(split.test) else split.train
    chosen = prepared.rows[side[np.linspace(0, len(side) - 1, min(_PROBES, len(side))).astype(int)]]
    length = recipe.sound.window
    return probe_windows([fit_length(prepared.store.waveform(row), length) for row in chosen], recipe.sound.channels)


def proof_in_words(difference: float, probes: np.ndarray) -> str:
    """Say how nearly a model file answers as torch does, and on what that was tried beside the awkward windows."""
    return f"equals torch within {difference:.1e} ({counted(len(probes), 'clip')}, silence, noise, a burst)"
