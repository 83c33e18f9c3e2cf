"""A model file opened with onnxruntime: windows in, probabilities out, by the faster of two ways.

Where the file describes its front end, features are computed here and the graph gets them without its own front end.
Anything else (an older file, an encoder that takes the waveform itself) runs as it is.
"""

from pathlib import Path

import numpy as np
import onnxruntime

from soundfold.errors import ModelFileError
from soundfold.runtime.card import CARD_KEY, ModelCard, read_card
from soundfold.runtime.front_end import FrontEnd
from soundfold.runtime.front_end_card import FRONT_END_KEY, FrontEndCard, read_front_end_card
from soundfold.runtime.graph_cut import metadata, without_front_end

__all__ = ["Session"]


class Session:
    """A model file in use.

    Args:
        path: the model file.
        portable: let the file's own front end serve, as any other program that runs the file does.

    Attributes:
        card: what the file says of itself.
        front_end: what computes features in the graph's place; None where the graph does.

    Raises:
        ModelFileError: the file is not a model of soundfold, or damaged.
    """

    def __init__(self, path: Path, *, portable: bool = False) -> None:
        description, cut = (None, None) if portable else _cut(path)
        self._session = _open(path, cut)
        self.card: ModelCard = read_card(_metadata(self._session, path).get(CARD_KEY), str(path))
        classes = self._session.get_outputs()[0].shape[-1]
        if isinstance(classes, int) and classes != len(self.card.labels):
            raise ModelFileError(
                f"{path}: must have a label for each output ({classes}), got {len(self.card.labels)}. Export it again"
            )
        self.front_end = None if description is None else FrontEnd(description, self.card.window, str(path))
        taken = self._session.get_inputs()[0]
        self._input = taken.name
        inner = [self.card.window] if self.front_end is None else list(self.front_end.shape)
        if taken.shape[1:] != [self.card.channels, *inner]:
            expected = ", ".join(map(str, [self.card.channels, *inner]))
            raise ModelFileError(
                f"{path}: its input must be (batch, {expected}) as its card says, got {taken.shape[1:]}. "
                f"Export it again"
            )

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        """Return class probabilities (batch, labels) of whole windows (batch, channels, window) float32."""
        values = np.ascontiguousarray(batch, dtype=np.float32)
        if self.front_end is not None:
            values = self.front_end(values)
        answer: np.ndarray = self._session.run(None, {self._input: values})[0]
        return answer


def _metadata(session: onnxruntime.InferenceSession, path: Path) -> dict[str, str]:
    try:
        told: dict[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError:
        raise ModelFileError(f"{path}: its card is damaged: it is no text. Export it again") from None
    return told


def _cut(path: Path) -> tuple[FrontEndCard, bytes] | tuple[None, None]:
    """Return the card of a file's front end and the file's content without it; nothing where there is no such card."""
    try:
        content = path.read_bytes()
        card = read_front_end_card(metadata(content).get(FRONT_END_KEY), str(path))
        return (None, None) if card is None else (card, without_front_end(content))
    except (OSError, ValueError):
        return None, None  # onnxruntime tells what is wrong with it


def _open(path: Path, content: bytes | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # several sounds at once fill the cores better than several threads in one
    try:
        return onnxruntime.InferenceSession(
            str(path) if content is None else content, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises a class of its own for each kind of damage
        reason = str(error).splitlines()[0].removeprefix("[ONNXRuntimeError] : ")[:200]
        raise ModelFileError(f"{path}: is not a model file that can be opened ({reason}). Export it again") from error
