"""Windows in which there is nothing to hear. No class is told of them: networks are often surest where nothing is.

What the network answers for the window stays as it is, the same in every program that runs the file; its label is
"unknown", no event begins in it, and in a sound with other windows it does not count. Noise is another matter: see
`Calibration.rejection`.
"""

import numpy as np

from soundfold.audio import SILENT_PEAK
from soundfold.runtime.card import ModelCard

__all__ = ["is_silent"]


def is_silent(card: ModelCard, part: np.ndarray) -> bool:
    """Tell whether a window (channels, samples) holds nothing, for a model that has no class for that.

    Files of earlier versions do not say, and answer as they did.
    """
    if not card.silence_is_unknown:
        return False
    head = part[:, :64]  # nearly always this is enough to know
    return bool(np.abs(head).max() <= SILENT_PEAK and np.abs(part).max() <= SILENT_PEAK)
