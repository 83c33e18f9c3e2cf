"""From sounds to rows, in worker processes of this machine."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import pyarrow as pa

from soundfold.bulk.listing import Sound
from soundfold.bulk.table import table_of
from soundfold.errors import AudioError, SoundfoldError
from soundfold.runtime import Prediction
from soundfold.runtime.workers import Answer, Workers

__all__ = ["Heard", "Work", "ask", "hear", "heard"]

_QUEUED = 16  # sounds a process that wait for it, so that it never waits for the listing
_AT_ONCE = 512  # answers that become rows together: a table costs more by the call than by the row
_AT_ONCE_S = 1.0


@dataclass(frozen=True)
class Work:
    """What is to be done with each sound.

    Attributes:
        model: the model file.
        schema: the columns of the rows.
        options: of `Model.predict`.
        patience_s: see `Workers`.
    """

    model: Path
    schema: pa.Schema
    options: dict[str, Any]
    patience_s: float


class Heard(NamedTuple):
    """Sounds that were heard.

    Attributes:
        names: the sounds.
        table: their rows.
        failed: those of them that could not be heard, with what is wrong.
        seconds: length of the others.
    """

    names: list[str]
    table: pa.Table
    failed: list[tuple[str, str]]
    seconds: float


def hear(work: Work, sounds: Iterable[Sound], size: int) -> Iterator[Heard]:
    """Yield the sounds' rows some at a time, in the order in which they come.

    Args:
        work: what is to be done.
        sounds: taken one by one, a few ahead.
        size: processes.
    """
    done: SimpleQueue[tuple[str, Future[Answer]]] = SimpleQueue()
    pack = _Pack(work.schema)
    sounds = iter(sounds)
    under_way, more = 0, True
    with Workers([work.model], size, work.options, patience_s=work.patience_s) as workers:
        while more or under_way:
            while more and under_way < _QUEUED * size:
                sound = next(sounds, None)
                if sound is None:
                    more = False
                    break
                under_way += 1
                ask(workers, sound).add_done_callback(
                    lambda future, name=sound.name: done.put((name, future))  # type: ignore[misc]
                )
            with suppress(Empty):
                name, future = done.get(timeout=_AT_ONCE_S if under_way else 0)
                under_way -= 1
                pack.add(name, future.result())
            if pack.is_due():
                yield pack.emptied()
        yield pack.emptied()


def ask(workers: Workers, sound: Sound) -> "Future[Answer]":
    """Have a sound heard, unless it is known that it cannot be."""
    if sound.problem is None:
        return workers.submit(sound.file, name=sound.name)
    told: Future[Answer] = Future()
    told.set_result(AudioError(sound.problem))
    return told


class _Pack:
    """Answers that will be rows together."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._answers: list[tuple[str, Answer]] = []
        self._begun_at = time.monotonic()

    def add(self, name: str, answer: Answer) -> None:
        self._answers.append((name, answer))

    def is_due(self) -> bool:
        return len(self._answers) >= _AT_ONCE or time.monotonic() - self._begun_at > _AT_ONCE_S

    def emptied(self) -> Heard:
        """Return what was added since the last time; may be nothing, which is a sign of life."""
        answers, self._answers = self._answers, []
        self._begun_at = time.monotonic()
        return heard(answers, self._schema)


def heard(answers: list[tuple[str, Answer]], schema: pa.Schema) -> Heard:
    """Return answers as rows, and their sums."""
    failed = [(name, str(answer)) for name, answer in answers if isinstance(answer, SoundfoldError)]
    seconds = sum(answer.duration_s for _, answer in answers if isinstance(answer, Prediction))
    return Heard([name for name, _ in answers], table_of(answers, schema), failed, seconds)
