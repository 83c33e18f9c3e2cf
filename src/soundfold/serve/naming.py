"""What served models are called."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["names_of"]


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
