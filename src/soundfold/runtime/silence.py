"""Windows in which there is nothing to hear. No class is told of them: networks are often surest where nothing is.

What the network answers for the window stays as it is, the same in every program that runs the file; its label is
"unknown", no event begins in it, and in a sound with other windows it does not count. Noise is another matter: see
`Calibration.rejection`.
"""

import numpy as np

from soundfold.audio import holds_nothing
from soundfold.runtime.card import ModelCard

__all__ = ["is_silent"]


def is_silent(card: ModelCard, part: np.ndarray) -> bool:
    """Tell whether a window (channels, samples) holds nothing, for a model that has no class for that.

    Files of earlier versions do not say, and answer as they did.
    """
    return card.silence_is_unknown and holds_nothing(part)
