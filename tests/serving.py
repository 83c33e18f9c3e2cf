"""A real server for tests, in a thread on a free port of the loopback, what answers for it, and sounds to send it."""

import io
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile
from fastapi import FastAPI

from soundfold.errors import SoundfoldError
from soundfold.runtime import Model
from soundfold.runtime.passes import hear_alone
from soundfold.runtime.workers import Workers
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


@cache
def kept_workers(*files: Path) -> Workers:
    """Return worker processes that tests share, so that not each has to wait for its own; they end with the tests."""
    return Workers(files, 2).__enter__()


class Here:
    """In place of worker processes: answers in this process, of models that are in no file, and when it is let go.

    Attributes:
        begun: released for each sound that is asked for.
    """

    is_ready = True

    def __init__(self, *models: Model, at_once: bool = True) -> None:
        self.begun = threading.Semaphore(0)
        self._models = models
        self._free = threading.Event()
        self._pool = ThreadPoolExecutor(8)
        if at_once:
            self.let_go()

    def let_go(self) -> None:
        self._free.set()

    def submit(self, content: bytes, *, model: int, **options: object) -> Future:
        del options["until"]

        def answer():
            self.begun.release()
            assert self._free.wait(20)
            try:
                return hear_alone(one.hear(content, **options), one.probabilities)
            except SoundfoldError as error:
                return error

        one = self._models[model]
        return self._pool.submit(answer)


@contextmanager
def served(
    models,
    bounds: Bounds | None = None,
    token: str | None = None,
    host_names: Collection[str] | None = None,
    workers: Workers | Here | str | None = None,
) -> Iterator[str]:
    """Give the address of a server that answers for models, by the workers of all tests, those given, or its "own"."""
    of = models.values() if isinstance(models, dict) else [models]
    workers = None if workers == "own" else workers or kept_workers(*(model.path for model in of))
    with served_app(build_app(models, bounds, workers=workers, token=token, host_names=host_names), bounds) as where:
        yield where


@contextmanager
def served_app(app: FastAPI, bounds: Bounds | None = None) -> Iterator[str]:
    """Give the address of a server with an application of any kind."""
    server = build_server(app, bounds)
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
