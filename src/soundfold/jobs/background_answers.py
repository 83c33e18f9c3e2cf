"""What the networks of a cross-validation answer to synthesised background, which none of them was trained on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundfold.data.synth.background import BACKGROUNDS, draw_background
from soundfold.errors import RunError
from soundfold.jobs.kept_result import MODEL_NAME
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.recipe import Recipe
from soundfold.runtime import load
from soundfold.wording import counted

__all__ = ["BackgroundAnswers", "background_answers"]

_SEED = 30_770  # any fixed number; the same run is then always calibrated alike
_EACH = 48  # windows of each kind
_AT_ONCE = 8


class BackgroundAnswers(NamedTuple):
    """Probabilities (windows, labels), and the kind of background (windows,) that they were given to."""

    probabilities: np.ndarray
    kinds: np.ndarray


def background_answers(run: Path, recipe: Recipe, folds: int) -> BackgroundAnswers:
    """Return answers to windows of every kind of background, dealt out to the networks of all folds.

    Args:
        run: the cross-validation's folder.
        recipe: its recipe.
        folds: how many it has.

    Raises:
        RunError: a fold has no model file.
    """
    folders = sorted(path.parent for path in run.glob(f"*/{METRICS_NAME}") if (path.parent / MODEL_NAME).exists())
    if len(folders) != folds:
        raise RunError(
            f"{run}: must hold a model of each of its {counted(folds, 'fold')}, which answer to background, got "
            f"{len(folders)}. Cross-validate again"
        )
    window, rate = recipe.sound.window, recipe.sound.sample_rate
    kinds = np.repeat(list(BACKGROUNDS), _EACH)
    turn = np.arange(len(kinds)) % len(folders)
    answers: list[np.ndarray] = [np.empty(0)] * len(kinds)
    for number, folder in enumerate(folders):
        model = load(folder)
        mine = np.flatnonzero(turn == number)
        for begin in range(0, len(mine), _AT_ONCE):
            part = mine[begin : begin + _AT_ONCE]
            waves = [draw_background(str(kinds[k]), window, rate, np.random.default_rng([_SEED, int(k)])) for k in part]
            shape = (len(part), model.card.channels, window)
            batch = np.ascontiguousarray(np.broadcast_to(np.stack(waves)[:, None], shape))
            for k, row in zip(part, model.probabilities(batch), strict=True):
                answers[int(k)] = row
    return BackgroundAnswers(np.stack(answers), kinds)
