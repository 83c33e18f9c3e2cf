"""What served models are called, and how an answer repeats a name that somebody sent."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["names_of", "shortened"]

_MOST_SHOWN = 80


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each model: that of its run's folder, or of its file; numbered where two are alike.

    No name holds more of the path: it is told to whoever asks.
    """
    names: list[str] = []
    for path in paths:
        whole = path.absolute()
        own = whole.name if whole.suffix.lower() != ".onnx" else whole.stem
        name = whole.parent.name if own == "model" and whole.parent.name else own
        count = 1
        unique = name or "model"
        while unique in names:
            count += 1
            unique = f"{name}-{count}"
        names.append(unique)
    return names


def shortened(text: str) -> str:
    """Return what somebody sent as an answer may repeat it: an answer is not to be as long as what was asked.

    >>> shortened("x" * 1_000) == "x" * 80 + "…"
    True
    """
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
