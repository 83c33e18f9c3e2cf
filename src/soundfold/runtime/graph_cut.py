"""Taking the front end out of a model file's graph, so that features can be fed in its waveform's place.

Nodes and constants whose names say that they belong to the front end are left out, and the description of `features`
moves from the values in between to the inputs. Everything else is copied as it is.
"""

from soundfold.runtime.wire import BYTES, Field, fields, message

__all__ = ["FEATURES", "FRONT_END", "metadata", "without_front_end"]

FRONT_END = "front_end/"
"""What the names of the front end's nodes and constants begin with."""
FEATURES = "features"
"""The value between the front end and the network."""
_WAVEFORM = "waveform"

# numbers of the fields in ONNX's messages
_GRAPH, _METADATA = 7, 14  # of a model
_NODE, _INITIALIZER, _INPUT, _VALUE_INFO = 1, 5, 11, 13  # of a graph
_NAME_IN = {_NODE: 3, _INITIALIZER: 8, _INPUT: 1, _VALUE_INFO: 1}


def metadata(model: bytes) -> dict[str, str]:
    """Return the metadata of a model.

    Args:
        model: an ONNX file's content.

    Raises:
        ValueError: it is damaged.
    """
    entries = (field.value for field in fields(model) if field.number == _METADATA)
    pairs = ({field.number: field.text for field in fields(entry)} for entry in entries)
    return {pair.get(1, ""): pair.get(2, "") for pair in pairs}


def without_front_end(model: bytes) -> bytes:
    """Return a model that takes `features` in place of `waveform`.

    Args:
        model: an ONNX file's content.

    Raises:
        ValueError: it is damaged, or nothing in it is called `features`.
    """
    parts = [_graph_message(field) if field.number == _GRAPH else field.whole for field in fields(model)]
    return b"".join(parts)


def _graph_message(field: Field) -> bytes:
    kept: list[bytes | memoryview] = []
    found = False
    for part in fields(field.value):
        name = _name(part)
        if part.number in (_NODE, _INITIALIZER) and name.startswith(FRONT_END):
            continue
        if part.number == _INPUT and name == _WAVEFORM:
            continue
        if part.number == _VALUE_INFO and name == FEATURES:
            found = True
            kept.append(message(_INPUT, part.value))
        else:
            kept.append(part.whole)
    if not found:
        raise ValueError(f"nothing is called {FEATURES}")
    return message(_GRAPH, b"".join(kept))


def _name(field: Field) -> str:
    number = _NAME_IN.get(field.number)
    if number is None or field.kind != BYTES:
        return ""
    return next((part.text for part in fields(field.value) if part.number == number), "")
