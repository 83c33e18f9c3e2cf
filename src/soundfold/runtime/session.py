"""A model file opened with onnxruntime: windows in, probabilities out, by the faster of two ways.

Where the file describes its front end, features are computed here and the graph gets them without its own front end.
Anything else (an older file, an encoder that takes the waveform itself) runs as it is.

Whoever wrote it, a file is looked through before anything of it runs: its seal, what its graph holds, and how much
memory and work it takes. The bytes that were looked through are the bytes that are opened.
"""

import hashlib
import math
from pathlib import Path

import numpy as np

from soundfold.errors import ModelFileError, PathError
from soundfold.runtime.card import CARD_KEY, ModelCard, read_card
from soundfold.runtime.front_end import FrontEnd
from soundfold.runtime.front_end_card import FRONT_END_KEY, read_front_end_card
from soundfold.runtime.graph_check import MOST_BYTES, check_graph
from soundfold.runtime.graph_cost import check_cost, open_session, reason, session_options
from soundfold.runtime.graph_cut import metadata, without_front_end
from soundfold.runtime.seal import check_seal
from soundfold.runtime.windowing import MOST_WINDOWS

__all__ = ["Session"]

_KEPT_BYTES = 30 * 2**20  # under the 32 MiB up to which glibc learns
_ALIKE = 1e-3  # what rounding can make of the two ways, with room: the proof at export allows a tenth of it


class Session:
    """A model file in use.

    Args:
        path: the model file.
        portable: let the file's own front end serve, as any other program that runs the file does.

    Attributes:
        card: what the file says of itself.
        digest: of the file's content.
        is_sealed: whether it bears a seal, which was looked at.
        front_end: what computes features in the graph's place; None where the graph does.

    Raises:
        ModelFileError: the file is not a model of soundfold, damaged, or none that may run.
    """

    def __init__(self, path: Path, *, portable: bool = False) -> None:
        _keep_freed_memory()
        where, content = str(path), _read(path)
        self.digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        try:
            told = metadata(content)
            if CARD_KEY not in told:
                check_graph(content, where)  # what is no model at all is told as such
            self.card: ModelCard = read_card(told.get(CARD_KEY), where)
            self.is_sealed = check_seal(content, where)
            check_graph(content, where)
            description = None if portable else read_front_end_card(told.get(FRONT_END_KEY), where)
            graph = content if description is None else without_front_end(content)
            self._path = path
            self.front_end = None if description is None else FrontEnd(description, self.card.window, where)
            self._open(graph)
        except ValueError as error:  # of bytes that are no message of protocol buffers
            raise ModelFileError(f"{path}: is not a model file that can be opened ({error}). Export it again") from None
        if self.front_end is not None and not self.is_sealed:
            self._compare_ways()

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        """Return class probabilities (batch, labels) of whole windows (batch, channels, window) float32."""
        values = np.asarray(batch, dtype=np.float32)
        values = np.ascontiguousarray(values) if self.front_end is None else self.front_end(values)
        try:
            answer: np.ndarray = self._session.run(None, {self._input: values})[0]
        except Exception as error:  # onnxruntime raises a class of its own for each kind of failure
            raise ModelFileError(f"{self._path}: cannot be run ({reason(error)}). Export it again") from error
        return answer

    def _open(self, graph: bytes) -> None:
        """Open the graph that is to run, if it fits the card and takes no more than a graph may."""
        card, path = self.card, self._path
        inner = [card.window] if self.front_end is None else list(self.front_end.shape)
        shape = [card.channels, *inner]
        check_cost(graph, [MOST_WINDOWS, *shape], str(path))
        self._session = open_session(graph, session_options(), str(path))
        taken, given = self._session.get_inputs(), self._session.get_outputs()
        if len(given) != 1 or given[0].type != "tensor(float)" or len(given[0].shape) != 2:
            raise ModelFileError(f"{path}: must give probabilities (batch, labels) and nothing else. Export it again")
        classes = given[0].shape[-1]
        if classes != len(card.labels):
            raise ModelFileError(
                f"{path}: must have a label for each output ({classes}), got {len(card.labels)}. Export it again"
            )
        if taken[0].type != "tensor(float)":
            raise ModelFileError(f"{path}: must take float32 samples, got {taken[0].type}. Export it again")
        self._input = taken[0].name

    def _compare_ways(self) -> None:
        """Raise unless the graph's own front end gives the same answer; of a file without a seal nothing else tells."""
        card = self.card
        noise = np.random.default_rng(0).normal(0, 0.1, (1, card.channels, card.window)).astype(np.float32)
        fade = np.sin(np.linspace(0, math.pi, card.window, dtype=np.float32))
        windows = np.concatenate([noise * fade, np.zeros_like(noise)])
        own = Session(self._path, portable=True).probabilities(windows)
        if not np.abs(own - self.probabilities(windows)).max() <= _ALIKE:
            raise ModelFileError(
                f"{self._path}: the front end that its card describes is not the one in its graph. Export it again"
            )


def _keep_freed_memory() -> None:
    """Let the memory of one sound serve for the next.

    Linux's usual C library gives large pieces back to the system once they are freed, and then gets them anew page by
    page: a thousand pages a sound, a quarter of the time that an answer takes (clips of 4 s, AVX2). It learns from the
    largest piece that was ever freed, so one is freed here; nothing is written to it, so it takes no memory. Other
    systems do not mind.
    """
    np.empty(_KEPT_BYTES, np.uint8)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelFileError(f"{path}: is larger than any model file ({MOST_BYTES >> 20} MiB). Name another file")
        return path.read_bytes()
    except OSError as error:
        raise PathError(f"{path}: cannot be read ({error.strerror or error}). Check that you may read it") from None
