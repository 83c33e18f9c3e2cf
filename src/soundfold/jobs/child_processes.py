"""Work done in several processes at once, and what they tell while they do it.

A worker is a plain child process. It gets a function and its arguments on standard input and tells how it goes in lines
of JSON. When the end of standard input comes, the parent is gone, however it went, and the worker goes too.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from soundfold import errors
from soundfold.children import leave_with_parent, start_child
from soundfold.cores import usable_cores
from soundfold.errors import RunError
from soundfold.jobs.reporting import Reporter
from soundfold.training import EpochRecord, give_back_freed_memory

__all__ = ["Chore", "do_side_by_side", "work"]


@dataclass(frozen=True)
class Chore:
    """What one process is to do.

    Attributes:
        what: a name for it, for a reader of an error.
        function: of a module, so that a process can import it; is given the arguments and then a reporter. What it
            returns is dropped: its result is what it leaves in its folder.
        arguments: whatever pickle can send.
    """

    what: str
    function: Callable[..., object]
    arguments: tuple[Any, ...]


def do_side_by_side(chores: Sequence[Chore], jobs: int, reporter: Reporter) -> None:
    """Do every chore in a process of its own, `jobs` of them at a time, each with its share of the cores.

    Raises:
        SoundfoldError, OSError: as a chore raises it; the other processes are stopped.
        RunError: a process was killed.
    """
    threads = max(1, usable_cores() // jobs)
    children = _Children()
    give_back_freed_memory()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            running = [pool.submit(children.run, chore, threads, reporter) for chore in chores]
            wait(running, return_when=FIRST_EXCEPTION)
            for future in running:
                if future.done():
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop()
            raise


class _Children:
    """The processes of one call."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, chore: Chore, threads: int, reporter: Reporter) -> None:
        """See one process through; pass on what it tells, and raise what it met."""
        process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with process, suppress(BrokenPipeError):  # it died before it had read its chore; the status tells
            pickle.dump((chore.function, chore.arguments, threads), process.stdin)
            process.stdin.flush()  # and left open: its end would tell the worker that we are gone
            for line in process.stdout:
                match json.loads(line):
                    case ["note", sentence]:
                        reporter.note(sentence)
                    case ["progress", what, done, total]:
                        reporter.progress(what, done, total)
                    case ["epoch", what, record, epochs]:
                        reporter.epoch(what, EpochRecord(**record), epochs)
                    case ["error", kind, sentence]:
                        raise getattr(errors, kind)(sentence)
                    case ["system", *told]:
                        raise OSError(*told)
                    case ["done"]:
                        return
        status = process.wait()
        if status == 1:
            raise RuntimeError(f"{chore.what}: the process failed, as the traceback above tells. Please report it")
        raise RunError(
            f"{chore.what}: the process was ended from outside (status {status}), as systems do when memory runs "
            f"short. Use fewer --jobs, and continue with --resume"
        )

    def stop(self) -> None:
        """End all processes, and start no more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()  # nothing happens to one that has ended

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise RunError("the run was stopped")
            process = start_child("from soundfold.jobs.child_processes import work; work()")
            self._running.append(process)
        return process


def work() -> None:
    """Do the chore on standard input; what a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not stand among the answers
    function, arguments, threads = pickle.load(sys.stdin.buffer)
    threading.Thread(target=leave_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    reporter = _Telling(answers)
    try:
        function(*arguments, reporter)
    except errors.SoundfoldError as error:
        reporter.tell("error", type(error).__name__, str(error))
    except OSError as error:  # a full disk, say: the parent knows how to tell of it
        reporter.tell("system", error.errno, error.strerror, error.filename)
    else:
        reporter.tell("done")


class _Telling:
    """A reporter that writes what it hears as lines of JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def tell(self, *told: object) -> None:
        with self._lock:
            self._file.write(json.dumps(told) + "\n")
            self._file.flush()

    def note(self, sentence: str) -> None:
        """Pass a sentence on."""
        self.tell("note", sentence)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Pass on how far a step has come."""
        self.tell("progress", what, done, total)

    def epoch(self, what: str, record: EpochRecord, epochs: int) -> None:
        """Pass an epoch on."""
        self.tell("epoch", what, asdict(record), epochs)
