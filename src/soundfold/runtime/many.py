"""Answers for many sounds, several at once: the one engine behind `Model.predict_many`, `predict` and `bulk`."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from soundfold.errors import AudioError, SoundfoldError
from soundfold.runtime.answer import Prediction
from soundfold.runtime.workers import Answer, Workers

if TYPE_CHECKING:
    from soundfold.runtime.model import Model, Part, Source

__all__ = ["answer_many"]

_FEW = 64  # sounds a core, at most, that threads of this process hear before others would have started
_QUEUED = 16  # sounds a core that are known to be next, so that a long one does not make the rest wait


def answer_many(
    model: "Model",
    sounds: "Iterable[Source | Part]",
    size: int,
    options: dict[str, Any],
    on_heard: Callable[[float], object] | None,
) -> Iterator[Answer]:
    """Yield the answer for each sound in order; see `Model.predict_many`."""
    failure: list[BaseException] = []
    sounds = _up_to_failure(sounds, failure)
    first = list(islice(sounds, _FEW * size + 1))
    apart = size > 1 and len(first) > _FEW * size and not model.is_portable
    waiting: deque[Future[Answer]] = deque()
    with _asking(model, size, apart, options, on_heard) as ask:
        for sound in chain(first, sounds):
            waiting.append(_refused(sound) or ask(*(sound if isinstance(sound, tuple) else (sound, None, None))))
            if len(waiting) > _QUEUED * size:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    if failure:
        raise failure[0]


def _up_to_failure(sounds: "Iterable[Source | Part]", failure: list[BaseException]) -> "Iterator[Source | Part]":
    """Yield what there is before whoever names the sounds fails: that is answered first, and the failure told then."""
    try:
        yield from sounds
    except Exception as error:
        failure.append(error)


def _refused(sound: "Source | Part") -> "Future[Answer] | None":
    """Return what takes the place of the answer where a tuple is not the part of a sound; None for anything else."""
    if not isinstance(sound, tuple) or len(sound) == 3:
        return None
    told: Future[Answer] = Future()
    told.set_result(
        AudioError(
            f"a sound among many must be one, or (sound, start_s, end_s), got a tuple of {len(sound)}. A waveform with "
            f"its rate is heard by model.predict(waveform, sample_rate)"
        )
    )
    return told


@contextmanager
def _asking(
    model: "Model",
    size: int,
    apart: bool,
    options: dict[str, Any],
    on_heard: Callable[[float], object] | None,
) -> "Iterator[Callable[[Source, float | None, float | None], Future[Answer]]]":
    """Yield what takes a sound and returns the future of its answer: from threads, or from processes of their own."""

    def answer(sound: "Source", start_s: float | None, end_s: float | None) -> Prediction | SoundfoldError:
        try:
            return model.predict(sound, start_s=start_s, end_s=end_s, on_heard=on_heard, **options)
        except SoundfoldError as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        try:
            if not apart:
                yield lambda *asked: pool.submit(answer, *asked)
                return
            with Workers([model.path], size, options, digests=[model.digest], on_heard=on_heard) as workers:

                def ask(sound: "Source", start_s: float | None, end_s: float | None) -> "Future[Answer]":
                    if isinstance(sound, bytes):
                        return workers.submit(sound, start_s=start_s, end_s=end_s)
                    if isinstance(sound, str | os.PathLike):
                        return workers.submit(os.fspath(sound), start_s=start_s, end_s=end_s)
                    return pool.submit(answer, sound, start_s, end_s)  # an open file is of this process alone

                yield ask
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
