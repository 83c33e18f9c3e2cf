"""What the networks of a cross-validation answer to synthesised background, alone and around clips they never met.

A short clip stands in digital silence in its window, and the same sound in a long recording does not. So a rule for
unknown sounds that keeps nearly all clips may lose many of these sounds in use, and what it keeps is measured apart.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundfold.audio import fit_length, holds_nothing
from soundfold.data.synth.background import BACKGROUNDS, draw_background
from soundfold.errors import RunError
from soundfold.evaluation import TrainResult
from soundfold.jobs.kept_result import MODEL_NAME, read_result
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.recipe import Recipe
from soundfold.runtime import Model, load
from soundfold.runtime.silence import is_silent
from soundfold.wording import counted

__all__ = ["AmidAnswers", "BackgroundAnswers", "Sounds", "amid_answers", "background_answers"]

_SEED = 30_770  # any fixed number; the same run is then always calibrated alike
_EACH = 48  # windows of each kind
_AT_ONCE = 8
_AMID = 240  # clips
_NOTHING = 1e-12
_SHORT = 0.75  # of a window; the others stand in little silence
_QUIETER_DB = (10.0, 40.0)


class Sounds(NamedTuple):
    """The sounds of some predictions.

    Attributes:
        samples: (n,) how many samples each has at the recipe's rate; 0 where it cannot be had.
        waveform: gives that of a row (channels, samples).
    """

    samples: np.ndarray
    waveform: Callable[[int], np.ndarray]


class BackgroundAnswers(NamedTuple):
    """Probabilities (windows, labels), and the kind of background (windows,) that they were given to."""

    probabilities: np.ndarray
    kinds: np.ndarray


class AmidAnswers(NamedTuple):
    """Probabilities (clips, labels), and which rows (clips,) of the predictions they are of."""

    probabilities: np.ndarray
    rows: np.ndarray


def background_answers(run: Path, recipe: Recipe, folds: int) -> BackgroundAnswers:
    """Return answers to windows of every kind of background, dealt out to the networks of all folds.

    Windows of nothing are left out where the network's file calls them unknown by itself: no rule is asked about them.

    Args:
        run: the cross-validation's folder.
        recipe: its recipe.
        folds: how many it has.

    Raises:
        RunError: a fold has no model file, or its result is damaged.
    """
    window, rate = recipe.sound.window, recipe.sound.sample_rate
    kinds = np.repeat(list(BACKGROUNDS), _EACH)
    networks = _networks(run, folds)
    found: dict[int, np.ndarray] = {}
    for number, folder in enumerate(networks.values()):
        card = (model := load(folder)).card
        mine = range(number, len(kinds), len(networks))
        drawn = ((k, draw_background(str(kinds[k]), window, rate, np.random.default_rng([_SEED, k]))) for k in mine)
        found.update(_answers(model, ((k, wave[None]) for k, wave in drawn if not is_silent(card, wave[None]))))
    asked = sorted(found)
    return BackgroundAnswers(np.stack([found[k] for k in asked]), kinds[asked])


def amid_answers(run: Path, recipe: Recipe, folds: int, fold: np.ndarray, sounds: Sounds) -> AmidAnswers | None:
    """Return answers to held-out clips amid background that is 10 to 40 dB softer, where they fill a window by part.

    They are a sample of the clips that are shorter than three quarters of a window; None where there are none.

    Args:
        run, recipe, folds: as `background_answers`.
        fold: (n,) names, of each of the out-of-fold predictions.
        sounds: of these.

    Raises:
        RunError: a fold has no model file.
    """
    short = np.flatnonzero((sounds.samples > 0) & (sounds.samples < _SHORT * recipe.sound.window))
    chosen = np.sort(np.random.default_rng(_SEED).permutation(short)[:_AMID])
    found: dict[int, np.ndarray] = {}
    for name, folder in _networks(run, folds).items():
        heard = ((row, sounds.waveform(row)) for row in chosen[fold[chosen] == name].tolist())
        mixed = ((row, _amid(sound, row, recipe)) for row, sound in heard if not holds_nothing(sound))
        found.update(_answers(load(folder), mixed))
    return AmidAnswers(np.stack(list(found.values())), np.array(list(found))) if found else None


def _amid(sound: np.ndarray, row: int, recipe: Recipe) -> np.ndarray:
    """Return a window (channels, samples) with a sound in its middle and background behind it, drawn by its row."""
    generator = np.random.default_rng([_SEED, row, 1])
    kind = str(generator.choice([kind for kind in BACKGROUNDS if kind != "silence"]))
    behind = draw_background(kind, recipe.sound.window, recipe.sound.sample_rate, generator)
    level = np.sqrt(np.square(sound).mean() / max(np.square(behind).mean(), _NOTHING))  # between two clicks
    softer = level * 10 ** (-generator.uniform(*_QUIETER_DB) / 20)
    mixed = fit_length(sound, recipe.sound.window) + behind * np.float32(softer)
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())))


def _networks(run: Path, folds: int) -> dict[str, Path]:
    """Return the folder of each fold's model, by the fold's name."""
    folders = sorted(path.parent for path in run.glob(f"*/{METRICS_NAME}") if (path.parent / MODEL_NAME).exists())
    if len(folders) != folds:
        raise RunError(
            f"{run}: must hold a model of each of its {counted(folds, 'fold')}, which answer to background, got "
            f"{len(folders)}. Cross-validate again"
        )
    told = (read_result(folder / METRICS_NAME, TrainResult) for folder in folders)
    return {str(result.split.fold): folder for result, folder in zip(told, folders, strict=True)}


def _answers(model: Model, windows: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and the probabilities (labels,) of each window (channels or 1, samples), few held at once."""
    shape, waiting = (model.card.channels, model.card.window), iter(windows)
    while part := list(islice(waiting, _AT_ONCE)):
        answers = model.probabilities(np.stack([np.broadcast_to(window, shape) for _, window in part]))
        yield from zip((number for number, _ in part), answers, strict=True)
