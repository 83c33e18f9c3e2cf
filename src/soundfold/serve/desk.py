"""Where sounds are answered: places, threads, time-outs, and the models behind them."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from fastapi import HTTPException

from soundfold.cores import usable_cores
from soundfold.errors import AudioError, TooLongError, did_you_mean
from soundfold.runtime import Model, Prediction
from soundfold.serve.bounds import Bounds
from soundfold.serve.joining import Joiner
from soundfold.serve.metrics import Metrics
from soundfold.serve.naming import shortened
from soundfold.serve.upload import Upload, take_sound
from soundfold.wording import counted

__all__ = ["Desk"]


class _TooLateError(Exception):
    """The time for an answer is over; raised in the thread that works on it."""


class Desk:
    """Answers for sounds by the models of a server.

    Decoding goes on in as many threads as there are places; all their windows go through one `Joiner` a model.

    Args:
        models: by name, the first of them answers where none is named.
        bounds: what a request may cost.
        metrics: where it is counted.
    """

    def __init__(self, models: Mapping[str, Model], bounds: Bounds, metrics: Metrics) -> None:
        passes = usable_cores()
        self.models = {
            name: model.answering_by(Joiner(model.probabilities, passes, metrics.passes.observe))
            for name, model in models.items()
        }
        self._bounds, self._metrics = bounds, metrics
        self._taken = 0
        self._pool = ThreadPoolExecutor(bounds.concurrency, thread_name_prefix="sound")

    def model(self, name: str | None) -> Model:
        """Return the model of a name; 404 where there is none."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            shown = shortened(name)
            raise HTTPException(
                404, f"model must be one that is served, got {shown!r}.{did_you_mean(shown, self.models)}"
            )
        return self.models[name]

    @property
    def is_full(self) -> bool:
        """Whether all places are taken."""
        return self._taken >= self._bounds.concurrency

    def place(self) -> "Place":
        """Return a place; 429 where all are taken."""
        if self.is_full:
            working = counted(self._bounds.concurrency, "sound is", "sounds are")
            told = f"{working} being worked on, the most that are at once. Ask again in a second"
            raise HTTPException(429, told, {"Retry-After": "1"})
        return Place(self._count)

    async def answer(self, place: "Place", model: Model, body: bytes, kind: str, hop_s: float | None) -> Prediction:
        """Return the answer for a body, `path` being the name that it came with; the place is kept until then.

        Raises:
            HTTPException: 413 or 422, the sound is too long or none; 503, it took too long.
        """
        late = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(
            self._pool, partial(self._hear, model, body, kind, hop_s, late)
        )
        place.keep()
        work.add_done_callback(lambda _: place.leave())  # a thread cannot be stopped; until it ends, it has its place
        try:
            async with asyncio.timeout(self._bounds.max_work_s):
                return await asyncio.shield(work)
        except TimeoutError:
            late.set()
            work.add_done_callback(lambda done: done.exception())  # nobody else asks what became of it
            told = f"the answer took longer than {self._bounds.max_work_s:g} s. Send a part of the sound, or ask later"
            raise HTTPException(503, told, {"Retry-After": "10"}) from None

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _hear(self, model: Model, body: bytes, kind: str, hop_s: float | None, late: threading.Event) -> Prediction:
        def in_time(_: float) -> None:
            if late.is_set():
                raise _TooLateError

        sound: Upload = take_sound(body, kind)
        max_s = self._bounds.max_s
        try:
            found = model.predict(sound if sound.name else body, hop_s=hop_s, max_s=max_s, on_heard=in_time)
        except TooLongError:
            named = sound.name or "the sound"
            told = f"{named}: lasts longer than {max_s:g} s, the most that is taken here. Send a part"
            raise HTTPException(413, told) from None
        except AudioError as error:
            raise HTTPException(422, str(error)) from None
        self._metrics.sound.inc(found.duration_s)
        return replace(found, path=sound.name)

    def _count(self, change: int) -> None:
        self._taken += change
        self._metrics.working.set(self._taken)


class Place:
    """One of the places. It is left at the end of the `with`, unless somebody keeps it and leaves it later."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self._count = count
        self._kept = False

    def __enter__(self) -> "Place":
        self._count(1)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            self._count(-1)

    def keep(self) -> None:
        """Let the place outlast the `with`."""
        self._kept = True

    def leave(self) -> None:
        """Leave a place that was kept."""
        self._count(-1)
