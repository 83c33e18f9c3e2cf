"""Worker processes, one a core, that answer for many sounds; what one sound does to its process harms no other sound.

Why processes. Threads of one process wait for each other, as only one of them may run Python at a time, and between
numpy's operations they must. A process of its own has no one to wait for. It also may crash: a decoder of C that a
broken file brings down takes one worker with it, which is started again.
"""

import json
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from subprocess import Popen
from typing import Any, Self

from soundfold.children import start_child
from soundfold.errors import AudioError, RunError, SoundfoldError
from soundfold.runtime.answer import Prediction
from soundfold.runtime.answer_lines import read_answer, read_message

__all__ = ["PATIENCE_S", "Answer", "Workers"]

Answer = Prediction | SoundfoldError

PATIENCE_S = 120.0
"""How long a worker may give no sign of life; it gives one at least every few windows."""

_START_S = 60.0  # what a process may take longer at first: a busy machine reads libraries slowly
_AHEAD = 2  # sounds that a worker has at hand, so that it need not wait for the next
_TRIES = 2  # a process may have been ended for what another sound did to the machine's memory


@dataclass
class _Task:
    """A sound that waits for its answer."""

    file: str
    request: bytes
    future: "Future[Answer]" = field(default_factory=Future)
    tries: int = 0


class Workers:
    """Processes that answer for sounds by one model; use it as a context.

    Args:
        model: the model file.
        size: processes.
        options: of `Model.predict`, the same for all sounds.
        patience_s: a sound whose worker gives no sign of life for so long is given up.
        on_heard: called now and then with the seconds of sound that were heard since the last call, by any thread.
    """

    def __init__(
        self,
        model: Path,
        size: int,
        options: dict[str, Any] | None = None,
        *,
        patience_s: float = PATIENCE_S,
        on_heard: Callable[[float], object] | None = None,
    ) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        told = json.dumps([str(model.absolute()), options or {}], default=asdict)
        code = f"import json; from soundfold.runtime.worker import work; work(*json.loads({told!r}))"
        self._workers = [_Worker(self._tasks, code, patience_s, on_heard) for _ in range(size)]
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._watch_them, args=(min(1.0, patience_s / 4),), daemon=True)

    def __enter__(self) -> Self:
        for worker in self._workers:
            worker.thread.start()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes; sounds that have no answer yet get none."""
        self._over.set()
        for worker in self._workers:
            worker.stop()
            self._tasks.put(None)
        self._watch.join()
        for worker in self._workers:
            worker.thread.join()

    def submit(
        self, file: str, *, name: str | None = None, start_s: float | None = None, end_s: float | None = None
    ) -> "Future[Answer]":
        """Ask for the answer for a file, or a part of it.

        Args:
            file: where it is.
            name: what the answer calls it; as `file` if not given.
            start_s, end_s: the part to listen to.

        Returns:
            A future of the answer, or of what is wrong with the sound. It raises only where the workers cannot work.
        """
        asked = {"file": file, "name": file if name is None else name, "start_s": start_s, "end_s": end_s}
        task = _Task(file, json.dumps(asked).encode() + b"\n")
        self._tasks.put(task)
        return task.future

    def _watch_them(self, every_s: float) -> None:
        while not self._over.wait(every_s):
            for worker in self._workers:
                worker.end_if_stuck()


class _Worker:
    """One process after the other, and the thread that feeds it."""

    def __init__(
        self,
        tasks: "SimpleQueue[_Task | None]",
        code: str,
        patience_s: float,
        on_heard: Callable[[float], object] | None,
    ) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._tasks, self._code = tasks, code
        self._patience_s, self._on_heard = patience_s, on_heard
        self._pending: deque[_Task] = deque()
        self._sent = 0  # how many of the pending sounds the process knows
        self._process: Popen[bytes] | None = None
        self._seen_at = 0.0
        self._stuck = self._stopped = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End the process, and start no more."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def end_if_stuck(self) -> None:
        """End the process if it has given no sign of life for too long."""
        with self._lock:
            late = self._pending and time.monotonic() - self._seen_at > self._patience_s
            if late and self._process is not None:
                self._stuck = True
                self._process.kill()

    def _run(self) -> None:
        try:
            while self._take():
                answer = self._hear()
                if self._stopped:
                    break
                if answer is not None:
                    self._sent -= 1
                    self._pending.popleft().future.set_result(answer)
                else:
                    self._bury()
        except Exception as error:  # no process can work; whoever waits must hear of it
            for task in self._pending:
                task.future.set_exception(error)
            while (left := self._tasks.get()) is not None:
                left.future.set_exception(error)
        finally:
            self._end()

    def _take(self) -> bool:
        """Take sounds until there are enough at hand; tell whether there is one."""
        while len(self._pending) < _AHEAD:
            try:
                task = self._tasks.get(block=not self._pending)
            except Empty:
                break
            if task is None:
                return False
            if not self._pending:
                self._seen_at = time.monotonic()
            self._pending.append(task)
        return True

    def _hear(self) -> Answer | None:
        """Return the answer for the first pending sound; None where the process has ended before."""
        with suppress(BrokenPipeError):
            process = self._process or self._start()
            if process is None:
                return None
            assert process.stdin is not None
            assert process.stdout is not None
            for task in islice(self._pending, self._sent, None):
                process.stdin.write(task.request)
                self._sent += 1
            process.stdin.flush()
            while (message := read_message(process.stdout)) is not None:
                self._seen_at = time.monotonic()
                if message[0] != "heard":
                    return read_answer(process.stdout, message)
                if self._on_heard is not None:
                    self._on_heard(message[1])
        return None

    def _start(self) -> "Popen[bytes] | None":
        """Start a process that has opened the model; None where all is over."""
        with self._lock:
            if self._stopped:
                return None
            self._seen_at, self._stuck = time.monotonic() + _START_S, False
            process = self._process = start_child(self._code, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        assert process.stdout is not None
        message = read_message(process.stdout)
        if message is None and not self._stopped:
            raise RunError(f"a worker process ended before it could begin (status {process.wait()}). Use fewer workers")
        if message is not None and message[0] == "error":
            refused = read_answer(process.stdout, message)
            assert isinstance(refused, SoundfoldError)
            raise refused
        self._seen_at = time.monotonic()
        return process

    def _bury(self) -> None:
        """Take leave of a process that has ended, and say so of the sound that it was at, once it has had its tries."""
        assert self._process is not None
        status = self._process.wait()
        self._end()
        self._sent = 0
        task = self._pending[0]
        task.tries += 1
        if self._stuck:
            problem = f"was given up after {self._patience_s:g} s without a sign of life. Look at the file"
        elif task.tries == _TRIES:
            problem = (
                f"ended the process that listened to it ({_reason(status)}), {_TRIES} times. Decode it with another "
                f"program first"
            )
        else:
            return
        self._pending.popleft().future.set_result(AudioError(f"{task.file}: {problem}"))

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(BrokenPipeError), process:
                pass


def _reason(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
