"""What a model file holds, told without running it. Works on the base installation, without torch."""

import hashlib
import math
from pathlib import Path
from typing import Any

from soundfold.runtime.graph_cut import FRONT_END
from soundfold.runtime.model_path import find_model
from soundfold.runtime.session import Session
from soundfold.runtime.wire import fields, numbers

__all__ = ["describe_model"]

_GRAPH, _INITIALIZER, _DIMS, _KIND, _NAME = 7, 5, 1, 2, 8
_WHOLE = (6, 7)  # ONNX's numbers of int32 and int64: shapes and axes, which nobody has learnt


def describe_model(path: str | Path) -> dict[str, Any]:
    """Return what a model file says of itself, and what can be counted in it.

    Args:
        path: a model file, or a run's folder.

    Returns:
        the card's fields, and `path`, `window_s`, `parameters` (numbers of the network, its front end apart),
        `is_sealed`, `bytes` and `sha256`.

    Raises:
        SoundfoldError: as for `load`.
    """
    found = find_model(Path(path))
    session = Session(found)
    content = found.read_bytes()
    card = session.card.model_dump(mode="json", exclude={"training_recordings"})
    return {
        "path": str(found),
        **card,
        "window_s": session.card.window_s,
        "parameters": _parameters(content),
        "is_sealed": session.is_sealed,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _parameters(content: bytes) -> int:
    """Return how many numbers the network was trained to, or was given; not those of its front end."""
    count = 0
    for graph in (field.value for field in fields(content) if field.number == _GRAPH):
        for tensor in (field.value for field in fields(graph) if field.number == _INITIALIZER):
            parts = list(fields(tensor))
            name = next((part.text for part in parts if part.number == _NAME), "")
            kind = next((numbers(part)[0] for part in parts if part.number == _KIND), 0)
            if kind not in _WHOLE and not name.startswith(FRONT_END):
                count += math.prod(size for part in parts if part.number == _DIMS for size in numbers(part))
    return count
