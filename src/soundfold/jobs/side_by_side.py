"""Several trainings at once, each in a process of its own with its share of the cores.

A small network keeps one core busy and hardly a second one: its steps are too short to be worth dividing. So the folds
of a cross-validation run side by side. A worker is a plain child process that gets its lesson on standard input and
tells how it goes in lines of JSON; that needs nothing of the caller's script, where multiprocessing would run it again.
When the end of standard input comes, the parent is gone, however it went, and the worker goes too.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock

import soundfold
from soundfold import errors
from soundfold.cores import usable_cores
from soundfold.data.splits import Split
from soundfold.errors import RunError
from soundfold.evaluation import TrainResult
from soundfold.jobs.learning import learn_split
from soundfold.jobs.prepare import Prepared
from soundfold.jobs.reporting import Reporter
from soundfold.recipe import Recipe, load_recipe
from soundfold.training import EpochRecord, Hardware, give_back_freed_memory

__all__ = ["Lesson", "at_once", "learn_side_by_side", "work"]

_LOCK_NAME = ".exporting"
_WORTH_IT = 20_000
"""Passes over a clip, all folds together, below which starting processes costs more than they save."""


@dataclass(frozen=True)
class Lesson:
    """One training of several: the split, its folder, how the reporter calls it, and its seed if not the recipe's."""

    split: Split
    folder: Path
    what: str
    seed: int | None = None

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return a recipe with the lesson's own seed."""
        return recipe if self.seed is None else load_recipe(recipe, [f"training.seed={self.seed}"])


def at_once(lessons: Sequence[Lesson], epochs: int, hardware: Hardware) -> int:
    """Return how many trainings should run side by side, in processes; on a GPU none, where one process takes several.

    With more trainings than cores, the ones that would be left over join the first round: three on two cores share them
    for one and a half rounds, where one of two rounds would leave a core idle.
    """
    passes = epochs * sum(len(lesson.split.train) for lesson in lessons)
    if hardware.torch_device.type != "cpu" or hardware.devices > 1 or passes < _WORTH_IT:
        return 1
    cores = usable_cores()
    return min(len(lessons), cores + len(lessons) % cores) if cores > 1 else 1


def learn_side_by_side(
    prepared: Prepared, lessons: Sequence[Lesson], recipe: Recipe, hardware: Hardware, jobs: int, reporter: Reporter
) -> list[TrainResult]:
    """Train and score every lesson, `jobs` of them at a time; the results stand in the lessons' order.

    Raises:
        SoundfoldError: as `learn_split` raises it; the other trainings are stopped and can be resumed.
        RunError: a worker was killed.
    """
    threads = max(1, usable_cores() // jobs)
    workers = _Workers()
    give_back_freed_memory()
    with ThreadPoolExecutor(jobs) as pool:
        lock = Path(os.path.commonpath([lesson.folder.parent for lesson in lessons])) / _LOCK_NAME
        payloads = ((each, (prepared, each, each.recipe(recipe), hardware, threads, lock)) for each in lessons)
        try:
            running = [pool.submit(workers.teach, lesson.what, payload, reporter) for lesson, payload in payloads]
            wait(running, return_when=FIRST_EXCEPTION)
            failed = [future for future in running if future.done() and future.exception() is not None]
            if failed:
                failed[0].result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            workers.stop()
            raise
        return [future.result() for future in running]


class _Workers:
    """The child processes of one run."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopped = False
        self._lock = threading.Lock()

    def teach(self, what: str, payload: tuple[Any, ...], reporter: Reporter) -> TrainResult:
        """Run one lesson in a process; pass on what it tells, and return or raise what came of it."""
        process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with process, suppress(BrokenPipeError):  # it died before it had read its lesson; the status tells
            pickle.dump(payload, process.stdin)
            process.stdin.flush()  # and left open: its end would tell the worker that we are gone
            for line in process.stdout:
                told = json.loads(line)
                if "result" in told:
                    return TrainResult.model_validate(told["result"])
                if "error" in told:
                    raise getattr(errors, told["error"])(told["sentence"])
                if "system" in told:
                    raise OSError(*told["system"])
                reporter.epoch(told["what"], EpochRecord(**told["epoch"]), told["epochs"])
        status = process.wait()
        if status == 1:
            raise RuntimeError(f"{what}: the training process failed, as the traceback above tells. Please report it")
        raise RunError(
            f"{what}: the training process was ended from outside (status {status}), as systems do when memory runs "
            f"short. Use fewer --jobs, and continue with --resume"
        )

    def stop(self) -> None:
        """End all processes, and start no more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()  # nothing happens to one that has ended

    def _start(self) -> subprocess.Popen[bytes]:
        home = str(Path(soundfold.__file__).parents[1])
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
        # a group of its own: Ctrl-C reaches the parent alone, which tells of it once and ends the rest
        apart: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if sys.platform == "win32"
            else {"process_group": 0}
        )
        with self._lock:
            if self._stopped:
                raise RunError("the run was stopped")
            process = subprocess.Popen(
                [sys.executable, "-c", "from soundfold.jobs.side_by_side import work; work()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": path},
                **apart,
            )
            self._running.append(process)
        return process


def work() -> None:
    """Learn the lesson on standard input; what a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not stand among the answers
    prepared, lesson, recipe, hardware, threads, lock = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    reporter = _Telling(answers)
    try:
        alone = FileLock(lock)
        result = learn_split(prepared, lesson.split, recipe, hardware, lesson.folder, reporter, lesson.what, alone)
    except errors.SoundfoldError as error:
        reporter.tell({"error": type(error).__name__, "sentence": str(error)})
    except OSError as error:  # a full disk, say: the parent knows how to tell of it
        reporter.tell({"system": [error.errno, error.strerror, error.filename]})
    else:
        reporter.tell({"result": result.model_dump(mode="json")})


def _leave_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


class _Telling:
    """A reporter that writes what it hears as lines of JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def tell(self, told: dict[str, Any]) -> None:
        self._file.write(json.dumps(told) + "\n")
        self._file.flush()

    def note(self, sentence: str) -> None:
        """Take a sentence; a training has none."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Take how far a step has come; a training has none but epochs."""

    def epoch(self, what: str, record: EpochRecord, epochs: int) -> None:
        """Pass an epoch on."""
        self.tell({"what": what, "epoch": asdict(record), "epochs": epochs})
