"""A real server for tests, in a thread on a free port of the loopback, and sounds to send it."""

import io
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import av
import numpy as np
import soundfile

from soundfold.serve import Bounds, address, build_app, build_server, listen

RATE = 8_000


def sine(seconds: float = 2.5, amplitude: float = 0.5, rate: int = RATE) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)


def encoded(kind: str = "WAV", samples: np.ndarray | None = None, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sine() if samples is None else samples, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def webm(samples: np.ndarray, rate: int = 48_000) -> bytes:
    """Return WebM/Opus, as a browser records it."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        track = container.add_stream("libopus", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis].astype(np.float32), "fltp", "mono")
        frame.sample_rate = rate
        for resampled in av.AudioResampler(format="flt", layout="mono", rate=rate).resample(frame):
            container.mux(track.encode(resampled))
        container.mux(track.encode(None))
    return file.getvalue()


@contextmanager
def served(
    models, bounds: Bounds | None = None, token: str | None = None, host_names: Collection[str] | None = None
) -> Iterator[str]:
    """Give the address of a server that answers for models."""
    server = build_server(build_app(models, bounds, token=token, host_names=host_names), bounds)
    with listen("127.0.0.1", 0) as listening:
        where = address(listening)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield where
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()
