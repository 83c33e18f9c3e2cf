"""Where sounds are answered: places, time-outs, and the worker processes behind them."""

import asyncio
import time
from collections.abc import Callable, Mapping

from fastapi import HTTPException

from soundfold.errors import AudioError, FaultError, TooLateError, TooLongError, did_you_mean
from soundfold.runtime import Model, Prediction
from soundfold.runtime.workers import Workers
from soundfold.serve.bounds import Bounds
from soundfold.serve.metrics import Metrics
from soundfold.serve.naming import shortened
from soundfold.serve.upload import take_sound
from soundfold.wording import counted

__all__ = ["Desk"]


class Desk:
    """Answers for sounds by the models of a server.

    Args:
        models: by name, the first of them answers where none is named.
        workers: what answers for sounds, by the files of `models` in their order.
        bounds: what a request may cost.
        metrics: where it is counted.
    """

    def __init__(self, models: Mapping[str, Model], workers: Workers, bounds: Bounds, metrics: Metrics) -> None:
        self.models = dict(models)
        self._places = {name: place for place, name in enumerate(models)}
        self.workers, self._bounds, self._metrics = workers, bounds, metrics
        self._taken = 0

    def name(self, name: str | None) -> str:
        """Return the name of the model that is to answer; 404 where there is none of that name."""
        if name is None:
            return next(iter(self.models))
        if name not in self.models:
            shown = shortened(name)
            raise HTTPException(
                404, f"model must be one that is served, got {shown!r}.{did_you_mean(shown, self.models)}"
            )
        return name

    @property
    def is_open(self) -> bool:
        """Whether a worker could answer now."""
        return self.workers.is_ready

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

    async def answer(self, place: "Place", name: str, body: bytes, kind: str, hop_s: float | None) -> Prediction:
        """Return the answer for a body, `path` being the name that it came with; the place is kept until then.

        Raises:
            HTTPException: 400, 413 or 422, the sound is too long or none; 503, it took too long.
        """
        max_s, max_work_s = self._bounds.max_s, self._bounds.max_work_s
        content, called = await asyncio.to_thread(take_sound, body, kind)  # a form of 50 MB takes half a second
        answer = self.workers.submit(
            content,
            model=self._places[name],
            name=called,
            until=time.monotonic() + max_work_s,
            hop_s=hop_s,
            max_s=max_s,
        )
        place.keep()
        work = asyncio.wrap_future(answer)
        work.add_done_callback(lambda _: place.leave())  # what was begun with goes on for a while after it is given up
        try:
            async with asyncio.timeout(max_work_s):
                found = await asyncio.shield(work)
        except TimeoutError:
            answer.cancel()
            work.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks
            found = TooLateError()
        if isinstance(found, TooLateError):
            told = f"the answer took longer than {max_work_s:g} s. Send a part of the sound, or ask later"
            raise HTTPException(503, told, {"Retry-After": "10"})
        if isinstance(found, TooLongError):
            most = f"{called or 'the sound'}: lasts longer than {max_s:g} s, the most that is taken here"
            mend = "Send a part, start the server with more --max-seconds, or ask soundfold predict, which has no limit"
            raise HTTPException(413, f"{most}. {mend}")
        if isinstance(found, FaultError) or not isinstance(found, Prediction | AudioError):
            raise found  # a fault of ours: the log says which, and the answer does not
        if isinstance(found, AudioError):
            raise HTTPException(422, str(found))
        self._metrics.sound.inc(found.duration_s)
        return found

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
