"""What the networks of a cross-validation answer to synthesised background, alone and around clips they never met.

A short clip stands in digital silence in its window, and the same sound in a long recording does not. So a rule for
unknown sounds that keeps nearly all clips may lose many of these sounds in use, and what it keeps is measured apart.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundfold.audio import fit_length, holds_nothing
from soundfold.data.synth.background import BACKGROUNDS, draw_background
from soundfold.errors import RunError
from soundfold.jobs.kept_result import MODEL_NAME
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
        RunError: a fold has no model file.
    """
    window, rate = recipe.sound.window, recipe.sound.sample_rate
    kinds = np.repeat(list(BACKGROUNDS), _EACH)
    asked = np.ones(len(kinds), dtype=bool)
    folders = list(_networks(run, folds).values())
    turn = np.arange(len(kinds)) % len(folders)
    answers: list[np.ndarray] = [np.empty(0)] * len(kinds)
    for number, folder in enumerate(folders):
        model = load(folder)
        mine = np.flatnonzero(turn == number)
        waves = [draw_background(str(kinds[k]), window, rate, np.random.default_rng([_SEED, int(k)])) for k in mine]
        asked[mine] = [not is_silent(model.card, wave[None]) for wave in waves]
        for k, row in zip(mine, _answers(model, [wave[None] for wave in waves]), strict=True):
            answers[int(k)] = row
    return BackgroundAnswers(np.stack(answers)[asked], kinds[asked])


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
    window, rate = recipe.sound.window, recipe.sound.sample_rate
    kinds = [kind for kind in BACKGROUNDS if kind != "silence"]
    short = np.flatnonzero((sounds.samples > 0) & (sounds.samples < _SHORT * window))
    chosen = np.sort(np.random.default_rng(_SEED).permutation(short)[:_AMID])
    rows: list[int] = []
    answers: list[np.ndarray] = []
    for name, folder in _networks(run, folds).items():
        windows: list[np.ndarray] = []
        for row in chosen[fold[chosen] == name].tolist():
            sound = sounds.waveform(row)
            if holds_nothing(sound):
                continue
            generator = np.random.default_rng([_SEED, row, 1])
            behind = draw_background(str(generator.choice(kinds)), window, rate, generator)
            level = np.sqrt(np.square(sound).mean() / max(np.square(behind).mean(), _NOTHING))  # between two clicks
            softer = level * 10 ** (-generator.uniform(*_QUIETER_DB) / 20)
            mixed = fit_length(sound, window) + behind * np.float32(softer)
            windows.append(mixed / max(1.0, float(np.abs(mixed).max())))
            rows.append(row)
        if windows:
            answers.extend(_answers(load(folder), windows))
    return AmidAnswers(np.stack(answers), np.array(rows, dtype=np.int64)) if rows else None


def _networks(run: Path, folds: int) -> dict[str, Path]:
    """Return the folder of each fold's model, by the fold's name."""
    folders = sorted(path.parent for path in run.glob(f"*/{METRICS_NAME}") if (path.parent / MODEL_NAME).exists())
    if len(folders) != folds:
        raise RunError(
            f"{run}: must hold a model of each of its {counted(folds, 'fold')}, which answer to background, got "
            f"{len(folders)}. Cross-validate again"
        )
    told = (json.loads((folder / METRICS_NAME).read_text(encoding="utf-8")) for folder in folders)
    return {str(result["split"]["fold"]): folder for result, folder in zip(told, folders, strict=True)}


def _answers(model: Model, windows: list[np.ndarray]) -> list[np.ndarray]:
    """Return probabilities (labels,) of each of some windows (channels or 1, samples)."""
    found: list[np.ndarray] = []
    for begin in range(0, len(windows), _AT_ONCE):
        part = windows[begin : begin + _AT_ONCE]
        shape = (model.card.channels, model.card.window)
        found.extend(model.probabilities(np.stack([np.broadcast_to(window, shape) for window in part])))
    return found
