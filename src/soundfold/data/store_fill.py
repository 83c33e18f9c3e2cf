"""Filling in what the waveform store lacks: threads decode and append, and a journal keeps what is safely on disk.

A thread takes a clip, asks for its file's content, and decodes it unless that content is held already: the same bytes
give the same samples, wherever the file lies and whatever its times say. Then it appends the samples, one thread at a
time. So there is never more in memory than one clip a thread, and a slow clip holds up no other. The calling thread
forces to the disk what was appended, while the others go on.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pandas as pd

from soundfold.data.store_clip import Decoded, decode
from soundfold.data.store_index import HELD, JOURNAL, writing
from soundfold.data.store_source import Source
from soundfold.recipe import SoundRecipe

__all__ = ["Job", "Progress", "fill"]

_JOURNAL_EVERY_S = 0.25  # so that little is left to wait for at the end
_TELL_EVERY_S = 0.1
_TRY_AGAIN = -2  # a size that no file has and no missing file stands for: the entry counts for this opening only

Progress = Callable[[int, int], None]


class Job(NamedTuple):
    """One clip to fill in: its file, its path in the index, and its limits in seconds, −1 for the file's own."""

    source: Source
    path: str
    start: float
    end: float


def fill(
    folder: Path,
    samples_path: Path,
    jobs: list[Job],
    known: pd.DataFrame,
    sound: SoundRecipe,
    workers: int,
    on_progress: Progress | None,
) -> list[list[Any]]:
    """Append what is not held yet to the samples file.

    Args:
        folder: the store's.
        samples_path: the file to append to; what stands in it behind the last known clip is cut off.
        jobs: what to fill in.
        known: the index so far.
        sound: rate, channels, and the longest clip.
        workers: decoding threads.
        on_progress: called some times a second, with clips done and clips to do.

    Returns:
        An entry of the index for each job, in any order.

    Raises:
        PathError: the disk is full, or a file may not be written.
    """
    ends = known["offset"] + known["samples"] * known["channels"]
    position = int(ends.max()) if len(ends) else 0
    with (
        writing(samples_path),  # also what closing cannot write
        samples_path.open("ab") as samples,
        (folder / JOURNAL).open("ab") as journal,
    ):
        samples.truncate(position * 2)
        # a torn last line must not swallow the first new one
        journal.write(b"\n")
        filling = _Filling(jobs, samples, position, _held(known), sound)
        with ThreadPoolExecutor(workers) as pool:
            try:
                threads = [pool.submit(filling.work) for _ in range(min(workers, len(jobs)))]
                _watch(filling, set(threads), journal, len(jobs), on_progress)
            except BaseException:
                filling.stop()
                raise
        filling.save(journal)
    return filling.entries


def _watch(
    filling: "_Filling", running: set[Future[None]], journal: BinaryIO, to_do: int, on_progress: Progress | None
) -> None:
    """Save and tell how far it is until all threads have ended; raise what one of them raised."""
    saved_at = time.monotonic()
    while running:
        ended, running = wait(running, _TELL_EVERY_S, FIRST_EXCEPTION)
        for thread in ended:
            thread.result()
        if on_progress is not None:
            on_progress(len(filling.entries), to_do)
        if time.monotonic() - saved_at > _JOURNAL_EVERY_S:
            filling.save(journal)
            saved_at = time.monotonic()


class _Filling:
    """What the threads share: jobs to take, the file to append to, and what is held already.

    Attributes:
        entries: of the index, one for each clip that is done.
    """

    def __init__(
        self,
        jobs: list[Job],
        samples: BinaryIO,
        position: int,
        held: dict[tuple[str, float, float], tuple[Any, ...]],
        sound: SoundRecipe,
    ) -> None:
        self.entries: list[list[Any]] = []
        self._jobs = iter(jobs)
        self._samples = samples
        self._position = position
        self._held = held
        self._sound = sound
        self._saved = 0
        self._stopped = self._torn = False
        self._appending = threading.Lock()

    def work(self) -> None:
        """Take jobs until there are no more."""
        for job in self._jobs:  # each thread takes another: stepping on in a list is one step for the interpreter
            if self._stopped:
                return
            decoded, lasting = None, True
            content_hash, content = job.source.content()
            key = (content_hash, job.start, job.end)
            if key not in self._held:
                decoded = decode(job.source.path, job.start, job.end, self._sound, content)
                # a file that changed meanwhile may have given one content and the other sound
                lasting = decoded.lasting and job.source.is_as_stamped()
            self._append(job, key, decoded, lasting)

    def stop(self) -> None:
        """Let the threads end after the clips they have taken."""
        self._stopped = True

    def save(self, journal: BinaryIO) -> None:
        """Make samples durable first, then name them in the journal."""
        with self._appending:
            self._samples.flush()
            unsaved = self.entries[self._saved :]
        os.fsync(self._samples.fileno())
        with writing(Path(journal.name)):
            journal.write("".join(json.dumps(entry) + "\n" for entry in unsaved).encode())
            journal.flush()
            os.fsync(journal.fileno())
        self._saved += len(unsaved)

    def _append(self, job: Job, key: tuple[str, float, float], decoded: Decoded | None, lasting: bool) -> None:
        size, *times = job.source.stamp
        named = [*job[1:], size, *times, key[0]] if lasting else [*job[1:], _TRY_AGAIN, *times, ""]
        with self._appending:
            if self._torn:
                return
            # of two threads with the same content the first has appended it
            held = self._held[key] if decoded is None or key in self._held else self._write(decoded)
            if lasting and key[0]:
                self._held[key] = held
            self.entries.append([*named, *held])

    def _write(self, decoded: Decoded) -> tuple[Any, ...]:
        channels, length = decoded.samples.shape
        held = (self._position, length, channels, decoded.exponent, decoded.sound_hash, decoded.problem)
        self._torn = True  # for good if the disk is full: what follows half a clip would stand at a wrong place
        self._samples.write(decoded.samples.data)
        self._torn = False
        self._position += length * channels
        return held


def _held(known: pd.DataFrame) -> dict[tuple[str, float, float], tuple[Any, ...]]:
    """Return what each content that is known was decoded to."""
    known = known[(known["content"] != "") & (known["size"] != _TRY_AGAIN)]
    keys = zip(*(known[name].tolist() for name in ("content", "start", "end")), strict=True)
    return dict(zip(keys, zip(*(known[name].tolist() for name in HELD), strict=True), strict=True))
