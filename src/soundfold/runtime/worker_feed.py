"""The parent's side of one worker: its processes, one after the other, and the thread that feeds them.

A process may end at any moment, by what a sound does to it. It says whose turn it is before it decodes, so that this
sound alone is blamed; the others that it knew go to the next process as if nothing had been.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from subprocess import Popen

from soundfold.children import start_child
from soundfold.errors import AudioError, RunError, SoundfoldError, TooLateError
from soundfold.runtime.answer_lines import read_answer, read_message
from soundfold.runtime.worker_share import Digests, Share, Task

__all__ = ["Worker"]

_START_S = 60.0  # what a process may take longer at first: a busy machine reads libraries slowly
_AGAIN_S = 5.0  # after which a process that could not begin is tried again, with nobody asking
_FRESH_S = 1.0  # in which what was in the way of a process still is
_STARTS = 3  # processes that cannot begin, before a sound is told so
_TRIES = 2  # a process may have been ended for what another program did to the machine's memory


class Worker:
    """A worker process and what feeds it.

    Args:
        share: where sounds wait.
        code: what a process runs.
        digests: of the models that it opens.
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
        self._at: int | None = None  # whose turn it is
        self._process: Popen[bytes] | None = None
        self._seen_at = 0.0
        self._begins = self._stuck = self._stopped = False
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
            is_due = self._begins or self._known or self._waiting
            late = is_due and time.monotonic() - self._seen_at > self._patience_s
            if late and self._process is not None:
                self._stuck = True
                self._process.kill()

    def _run(self) -> None:
        try:
            while not self._stopped:
                problem, tried_at = self._begin(), time.monotonic()
                has_some = self._fetch(None if problem is None else _AGAIN_S)
                if problem is not None and has_some and time.monotonic() - tried_at > _FRESH_S:
                    problem = self._begin()  # whoever asks now need not suffer for what was wrong before
                if self._stopped or not has_some:
                    continue
                if problem is not None:
                    self._give_back(problem)
                    continue
                try:
                    is_alive = self._send() and self._hear()
                except BaseException as error:  # raised by what the caller is told by
                    self._end()
                    self._fail(error)
                    continue
                if not is_alive and not self._stopped:
                    self._bury()
        finally:
            self._end()
            self._fail(RunError("the workers were ended before this sound was answered"))

    def _begin(self) -> Exception | None:
        """Have a process that has opened the models; return what is in the way."""
        with self._lock:
            if self._process is not None or self._stopped:
                return None
            self._seen_at, self._stuck, self._at = time.monotonic() + _START_S, False, None
            try:
                process = self._process = start_child(self._code, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
            except OSError as error:
                return RunError(f"a worker process cannot be started ({error.strerror}). Use fewer workers")
            self._begins = True
        try:
            self._welcome(process)
        except Exception as error:
            self._end()
            return error
        finally:
            self._begins = False
        self._seen_at = time.monotonic()
        self._share.set_ready(self, True)
        return None

    def _welcome(self, process: "Popen[bytes]") -> None:
        assert process.stdout is not None
        message = read_message(process.stdout)
        if message is None:
            raise RunError(f"a worker process ended before it could begin (status {process.wait()}). Use fewer workers")
        if message[0] == "error":
            refused = read_answer(process.stdout, message)
            assert isinstance(refused, SoundfoldError)
            raise refused
        self._digests.check(message[1])

    def _fetch(self, wait_s: float | None) -> bool:
        """Take sounds as long as there are some and enough room; tell whether there is one."""
        while (task := self._share.take(self, len(self._known) + len(self._waiting), wait_s)) is not None:
            if not self._known and not self._waiting:
                self._seen_at = time.monotonic()
            if task.future.running() or task.future.set_running_or_notify_cancel():
                self._waiting.append(task)
        return bool(self._known or self._waiting)

    def _send(self) -> bool:
        """Send what waits; False where the process has ended."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            while self._waiting:
                task = self._waiting.popleft()
                self._known[task.key] = task
                process.stdin.write(task.request)
                process.stdin.write(task.content)
            process.stdin.flush()
        except OSError:  # of whatever class: it is not the same on all systems
            return False
        return True

    def _hear(self) -> bool:
        """Take what the process tells next; False where it has ended."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        message = read_message(process.stdout)
        if message is None:
            return False
        self._seen_at = time.monotonic()
        if message[0] == "at":
            self._at = message[1]
        elif message[0] == "heard":
            self._tell(*message[1:])
        else:
            answer = read_answer(process.stdout, message)
            if answer is None:
                return False
            self._known.pop(message[1]).future.set_result(answer)
        return True

    def _bury(self) -> None:
        """Take leave of a process that has ended, and of the sound that ended it, once that is sure."""
        assert self._process is not None
        status = self._process.wait()
        self._end()
        known = self._known.get(-1 if self._at is None else self._at)
        blamed = known or next(iter(self._known.values()), None)  # somebody must be, or it would go on for ever
        if blamed is not None:
            blamed.tries += 1
            if self._stuck or blamed.tries >= _TRIES:
                problem = (
                    f"was given up after {self._patience_s:g} s without a sign of life. Look at the file"
                    if self._stuck
                    else f"ended the process that listened to it ({_reason(status)}), {_TRIES} times. Decode it with "
                    f"another program first"
                )
                del self._known[blamed.key]
                blamed.future.set_result(AudioError(f"{blamed.called}: {problem}"))
        now = time.monotonic()
        for task in reversed(self._known.values()):
            if task.until is not None and now > task.until:
                task.future.set_result(TooLateError(f"{task.called}: takes longer than it may. Ask later"))
            else:
                self._waiting.appendleft(task)
        self._known.clear()

    def _give_back(self, problem: Exception) -> None:
        """Let others have the sounds, as no process of ours begins; who has seen this often enough hears why.

        That a model cannot be opened is heard at once, unless another process has it open.
        """
        is_final = not isinstance(problem, RunError) and not self._share.is_ready
        for task in reversed(self._waiting):
            task.starts += 1
            if is_final or task.starts >= _STARTS:
                task.future.set_exception(problem)
            else:
                self._share.give_back(task)
        self._waiting.clear()

    def _fail(self, problem: BaseException) -> None:
        for task in (*self._known.values(), *self._waiting):
            task.future.set_exception(problem)
        self._known.clear()
        self._waiting.clear()

    def _end(self) -> None:
        self._share.set_ready(self, False)
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError), process:  # what was not sent yet cannot be
                pass


def _reason(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
