"""Model file and sound in, answer out. Works on the base installation, without torch."""

from soundfold.runtime.answer import UNKNOWN, Prediction, Span
from soundfold.runtime.calibration import Calibration, Rejection
from soundfold.runtime.card import (
    CARD_KEY,
    FORMAT_VERSION,
    ModelCard,
    least_format,
    read_card,
    recordings_digest,
    share_of_known_recordings,
)
from soundfold.runtime.events import Event, EventJoiner, Joining
from soundfold.runtime.model import Model, load
from soundfold.runtime.stream import Gap, Stream

__all__ = [
    "CARD_KEY",
    "FORMAT_VERSION",
    "UNKNOWN",
    "Calibration",
    "Event",
    "EventJoiner",
    "Gap",
    "Joining",
    "Model",
    "ModelCard",
    "Prediction",
    "Rejection",
    "Span",
    "Stream",
    "least_format",
    "load",
    "read_card",
    "recordings_digest",
    "share_of_known_recordings",
]
