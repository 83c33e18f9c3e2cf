"""Exported graphs that are kept beside the features they belong to, because the exporter takes seconds for each."""

from contextlib import suppress
from pathlib import Path

import onnx

from soundfold.atomic import replacing
from soundfold.errors import PathError

__all__ = ["forget", "keep", "kept_graph"]


def kept_graph(path: Path) -> onnx.ModelProto | None:
    """Return a graph that was kept, or None if there is none or it is damaged."""
    try:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
    except (OSError, ValueError, onnx.checker.ValidationError, RuntimeError):
        return None
    except Exception as error:  # protobuf's own class differs between its implementations
        if "protobuf" not in type(error).__module__:
            raise
        return None
    return graph


def keep(graph: onnx.ModelProto, path: Path) -> None:
    """Write a graph to be found again, if it may be: where the cache may only be read, it is made anew each time."""
    with suppress(PathError), replacing(path) as part:
        part.write_bytes(graph.SerializeToString())


def forget(folder: Path) -> None:
    """Remove the graphs that are kept in a folder."""
    with suppress(OSError):
        for path in folder.glob("*.onnx"):
            path.unlink(missing_ok=True)
