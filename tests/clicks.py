"""Clicks in a stream, and a model that hears where they are: whether times stay exact."""

import itertools

import numpy as np

from model_files import LABELS
from soundfold.runtime import ModelCard, Stream


class Clock:
    """A model that hears where a click is: the probability is the click's place in the window."""

    def __init__(self, sample_rate: int, window: int) -> None:
        self.card = ModelCard(
            format_version=1, soundfold_version="0", labels=LABELS, sample_rate=sample_rate, channels=1,
            downmix="mean", window=window,
        )  # fmt: skip

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        place = np.abs(batch[:, 0]).argmax(axis=1) / batch.shape[2]
        return np.stack([place, 1 - place], axis=1)


def clicks_of(rate: int, new_rate: int, seconds: int, every_s: int) -> float:
    """Return by how many seconds the farthest click was heard away from its place, in a stream of that length."""
    stream = Stream(Clock(new_rate, new_rate), rate)
    block = np.zeros(rate * every_s, np.float32)
    block[rate // 2] = 1.0
    worst, heard = 0.0, 0
    for told in stream.hear(itertools.repeat(block, seconds // every_s)):
        at_s = told.start_s + told.probabilities[LABELS[0]]
        if told.start_s % every_s == 0:
            worst = max(worst, abs(at_s - told.start_s - (rate // 2) / rate))
            heard += 1
    assert heard == seconds // every_s
    assert told.end_s == seconds
    return worst
