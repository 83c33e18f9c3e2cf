"""Proof of parity: the model file and torch answer alike, on ordinary and on awkward sound."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from soundfold.models import Classifier, to_probabilities
from soundfold.runtime import ModelCard, load

__all__ = ["PARITY_BOUND", "awkward_windows", "distance", "largest_difference", "probabilities"]

PARITY_BOUND = 1e-4


def awkward_windows(channels: int, window: int, sample_rate: int) -> np.ndarray:
    """Return windows that catch a careless export: silence, clipped noise, a 0.05-s burst, a faint tone, an offset.

    Returns:
        (5, channels, window) float32.
    """
    generator = np.random.default_rng(0)
    time_s = np.arange(window) / sample_rate
    batch = np.zeros((5, channels, window), dtype=np.float32)
    batch[1] = np.clip(generator.normal(0, 2, (channels, window)), -1, 1)
    short = min(window, max(1, round(0.05 * sample_rate)))
    first = (window - short) // 2
    batch[2, :, first : first + short] = generator.normal(0, 0.3, (channels, short))
    batch[3] = 1e-4 * np.sin(2 * np.pi * 440 * time_s)
    batch[4] = 0.5
    return batch


def largest_difference(classifier: Classifier, path: Path, batch: np.ndarray) -> float:
    """Return the largest difference between a model file's probabilities and torch's, whichever way the file is run.

    Args:
        classifier: the trained one, with its ordinary (FFT) front end.
        path: the model file.
        batch: (batch, channels, window) float32.
    """

    def expected(card: ModelCard) -> np.ndarray:
        return probabilities(classifier, batch, several=card.answer == "several", temperature=card.temperature)

    return distance(path, batch, expected)


def probabilities(classifier: Classifier, batch: np.ndarray, *, several: bool, temperature: float = 1.0) -> np.ndarray:
    """Return torch's probabilities (batch, labels) of windows (batch, channels, window)."""
    with torch.inference_mode():
        logits = classifier.eval()(torch.from_numpy(batch)) / temperature
        return to_probabilities(logits, several=several).numpy()


def distance(path: Path, batch: np.ndarray, expected: Callable[[ModelCard], np.ndarray]) -> float:
    """Return the largest difference between what a model file should answer and what it does, whichever way it is run.

    Args:
        path: the model file.
        batch: (batch, channels, window) float32.
        expected: gives (batch, labels) for the file's card, while the file's own front end computes beside.
    """
    with ThreadPoolExecutor(1) as beside:
        portable = beside.submit(lambda: load(path, portable=True).probabilities(batch))
        model = load(path)
        answers, aim = model.probabilities(batch), expected(model.card)
        return float(np.abs(np.stack([answers, portable.result()]) - aim).max())
