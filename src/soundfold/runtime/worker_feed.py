"""One worker process after the other, the thread that feeds it, and what all of them share."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from soundfold.children import start_child
from soundfold.errors import AudioError, ModelFileError, RunError, SoundfoldError
from soundfold.runtime.answer import Prediction
from soundfold.runtime.answer_lines import read_answer, read_message

__all__ = ["Answer", "Digests", "Share", "Task", "Worker"]

Answer = Prediction | SoundfoldError

_START_S = 60.0  # what a process may take longer at first: a busy machine reads libraries slowly
_AHEAD = 4  # sounds that a worker has at hand: it need not wait for the next, and short ones can share a pass
_TRIES = 2  # a process may have been ended for what another sound did to the machine's memory


@dataclass
class Task:
    """A sound that waits for its answer.

    Attributes:
        key: tells its answer from others.
        called: what messages call it.
        request, content: what the worker is sent.
        tries: how many processes have ended while they knew of it.
    """

    key: int
    called: str
    request: bytes
    content: bytes
    future: "Future[Answer]" = field(default_factory=Future)
    tries: int = 0


class Share:
    """Sounds that wait for a worker, given out evenly: nobody takes a second one while another has none."""

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()
        self._held: dict[object, int] = {}
        self._is_over = False
        self._changed = threading.Condition()

    def put(self, task: Task) -> None:
        """Let a sound wait for a worker."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def take(self, worker: object, held: int) -> Task | None:
        """Return the next sound for a worker that has so many; one that has none waits, and gets None at the end."""
        with self._changed:
            self._held[worker] = held
            if held:
                may = held < _AHEAD and held <= min(self._held.values())
                found = self._tasks.popleft() if self._tasks and may else None
            else:
                self._changed.wait_for(lambda: self._tasks or self._is_over)
                found = None if self._is_over else self._tasks.popleft()
            self._held[worker] += found is not None
            return found

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


class Digests:
    """What the model files held when they were opened first; a process that starts later must find the same.

    Args:
        models: the files.
    """

    def __init__(self, models: Sequence[Path]) -> None:
        self._models = models
        self._first: list[str] | None = None
        self._lock = threading.Lock()

    def check(self, found: list[str]) -> None:
        """Raise `ModelFileError` where a file is not what it was."""
        with self._lock:
            self._first = self._first or found
        for model, before, now in zip(self._models, self._first, found, strict=True):
            if before != now:
                raise ModelFileError(f"{model}: was replaced while it was in use. Start again to use the new one")


class Worker:
    """One process after the other, and the thread that feeds it.

    Args:
        share: where sounds wait.
        code: what a process runs.
        digests: of the model files that it opens.
        patience_s: how long it may give no sign of life.
        tell: called with the seconds that were heard and the windows of each pass.
    """

    def __init__(
        self,
        share: Share,
        code: str,
        digests: Digests,
        patience_s: float,
        tell: Callable[[float, list[int]], object],
    ) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._share, self._code, self._digests = share, code, digests
        self._patience_s, self._tell = patience_s, tell
        self._waiting: deque[Task] = deque()  # taken, and not known to the process yet
        self._known: dict[int, Task] = {}
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
            late = (self._known or self._waiting) and time.monotonic() - self._seen_at > self._patience_s
            if late and self._process is not None:
                self._stuck = True
                self._process.kill()

    def _run(self) -> None:
        try:
            with suppress(Exception):  # whoever asks first tries again, and hears of it
                self._start()
            while self._fetch():
                try:
                    is_alive = self._go_on()
                except Exception as error:  # no process can work; whoever waits must hear of it
                    self._fail(error)
                    continue
                if self._stopped:
                    break
                if not is_alive:
                    self._bury()
        finally:
            self._end()

    def _fetch(self) -> bool:
        """Take sounds as long as there are some and enough room; tell whether there is one."""
        while (task := self._share.take(self, len(self._known) + len(self._waiting))) is not None:
            if not self._known and not self._waiting:
                self._seen_at = time.monotonic()
            if task.future.set_running_or_notify_cancel():
                self._waiting.append(task)
        return bool(self._known or self._waiting)

    def _go_on(self) -> bool:
        """Send what waits, and take what the process tells next; False where it has ended."""
        with suppress(BrokenPipeError):
            process = self._process or self._start()
            if process is None:
                return False
            assert process.stdin is not None
            assert process.stdout is not None
            while self._waiting and not self._is_one_suspected():
                task = self._waiting.popleft()
                self._known[task.key] = task
                process.stdin.write(task.request)
                process.stdin.write(task.content)
            process.stdin.flush()
            message = read_message(process.stdout)
            if message is None:
                return False
            self._seen_at = time.monotonic()
            if message[0] == "heard":
                self._tell(*message[1:])
                return True
            answer = read_answer(process.stdout, message)
            if answer is not None:
                self._known.pop(message[1]).future.set_result(answer)
                return True
        return False

    def _is_one_suspected(self) -> bool:
        """Tell whether a sound is, or is next to be, heard alone, as a process has ended that knew of it."""
        return bool(self._known) and any(task.tries for task in (*self._known.values(), self._waiting[0]))

    def _start(self) -> "Popen[bytes] | None":
        """Start a process that has opened the models; None where all is over."""
        with self._lock:
            if self._stopped:
                return None
            self._seen_at, self._stuck = time.monotonic() + _START_S, False
            process = self._process = start_child(self._code, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        assert process.stdout is not None
        message = read_message(process.stdout)
        if message is None:
            if self._stopped:
                return None
            raise RunError(f"a worker process ended before it could begin (status {process.wait()}). Use fewer workers")
        if message[0] == "error":
            refused = read_answer(process.stdout, message)
            assert isinstance(refused, SoundfoldError)
            raise refused
        self._digests.check(message[1])
        self._seen_at = time.monotonic()
        return process

    def _bury(self) -> None:
        """Take leave of a process that has ended, and say so of the sound that ended it, once that is sure.

        Of several that it knew any may have done it. They are heard again one by one.
        """
        assert self._process is not None
        status = self._process.wait()
        self._end()
        known = list(self._known.values())
        self._known.clear()
        for task in known:
            task.tries += 1
        if len(known) == 1 and (self._stuck or known[0].tries >= _TRIES):
            task = known.pop()
            problem = (
                f"was given up after {self._patience_s:g} s without a sign of life. Look at the file"
                if self._stuck
                else f"ended the process that listened to it ({_reason(status)}), {_TRIES} times. Decode it with "
                f"another program first"
            )
            task.future.set_result(AudioError(f"{task.called}: {problem}"))
        self._waiting.extendleft(reversed(known))

    def _fail(self, error: Exception) -> None:
        self._end()
        for task in (*self._known.values(), *self._waiting):
            task.future.set_exception(error)
        self._known.clear()
        self._waiting.clear()

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
