"""Searching, in this process or in several that share the journal.

A worker is a plain child process that gets its task on standard input and tells how it goes in lines of JSON, as the
folds of a cross-validation are trained (`side_by_side`). It claims trials until none is left. When the end of standard
input comes, the parent is gone, however it went, and the worker goes too.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import soundfold
from soundfold import errors
from soundfold.cores import usable_cores
from soundfold.errors import RunError
from soundfold.jobs.reporting import Reporter
from soundfold.jobs.tuning_plan import Search
from soundfold.jobs.tuning_study import Budget, Journal, Study, open_journal
from soundfold.jobs.tuning_trial import Material, run_trial
from soundfold.recipe import Recipe
from soundfold.recipe.space import Space
from soundfold.training import EpochRecord, Hardware, give_back_freed_memory

__all__ = ["Task", "search_all", "search_side_by_side", "studies_of", "work"]

_POLL_S = 0.5


@dataclass(frozen=True, eq=False)
class Task:
    """All that a worker needs to know; plain values, so that it can be sent to other processes.

    Attributes:
        folder: the run's folder.
        data, where, cache: as `soundfold.tune` takes them.
        digest: of the clips that the searches were planned on.
        hardware: where to train.
        recipe, space: what is changed, and how far.
        searches: in the order in which they are worked through.
        budgets: one a search.
    """

    folder: Path
    data: str | Path
    where: Mapping[str, str] | None
    cache: str | Path | None
    digest: str
    hardware: Hardware
    recipe: Recipe
    space: Space
    searches: Sequence[Search]
    budgets: Sequence[Budget]


def studies_of(task: Task, journal: Journal) -> list[Study]:
    """Return the searches as they stand in the journal."""
    return [
        Study(journal, search, task.recipe, task.space, budget)
        for search, budget in zip(task.searches, task.budgets, strict=True)
    ]


def search_all(task: Task, journal: Journal, material: Material, reporter: Reporter, *, to_the_end: bool) -> None:
    """Claim and run trials of one search after another until none is left.

    Args:
        task: what is searched.
        journal: the open journal.
        material: the data.
        reporter: hears of trials.
        to_the_end: wait for trials of other processes too, and take over those of processes that die.
    """
    open_ = list(zip(studies_of(task, journal), task.budgets, strict=True))
    told = False
    while open_:
        for study, budget in open_:
            while (trial := study.claim()) is not None:
                run_trial(study, trial, material, task.folder, reporter, budget.trials)
        open_ = [(study, budget) for study, budget in open_ if to_the_end and study.others_work()]
        if open_:
            if not told:
                reporter.note("waiting for trials of other processes")
            told = True
            time.sleep(_POLL_S)


def search_side_by_side(task: Task, jobs: int, reporter: Reporter) -> None:
    """Search in `jobs` processes at once.

    Raises:
        SoundfoldError: as a trial raises it; the other processes are stopped and the search can be resumed.
        RunError: a worker was killed.
    """
    threads = max(1, usable_cores() // jobs)
    children = _Children()
    give_back_freed_memory()
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(children.run, (task, threads), reporter) for _ in range(jobs)]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
            for future in running:
                if future.done():
                    future.result()
        except BaseException:
            children.stop()
            raise


class _Children:
    """The worker processes of one run."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, payload: tuple[Any, ...], reporter: Reporter) -> None:
        """Run one worker to its end; pass on what it tells."""
        process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with process, suppress(BrokenPipeError):  # it died before it had read its task; the status tells
            pickle.dump(payload, process.stdin)
            process.stdin.flush()  # and left open: its end would tell the worker that we are gone
            for line in process.stdout:
                match json.loads(line):
                    case ["note", sentence]:
                        reporter.note(sentence)
                    case ["progress", what, done, total]:
                        reporter.progress(what, done, total)
                    case ["error", kind, sentence]:
                        raise getattr(errors, kind)(sentence)
                    case ["done"]:
                        return
        status = process.wait()
        if status == 1:
            raise RuntimeError("a search process failed; its own words stand above")
        raise RunError(
            f"a search process was ended from outside (status {status}), as systems do when memory runs short. "
            f"Use fewer --jobs, and continue with --resume"
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
                raise RunError("the search was stopped")
            process = subprocess.Popen(
                [sys.executable, "-c", "from soundfold.jobs.tuning_workers import work; work()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": path},
                **apart,
            )
            self._running.append(process)
        return process


def work() -> None:
    """Search as the task on standard input says; what a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not stand among the answers
    task, threads = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    reporter = _Telling(answers)
    material = Material(task.data, task.where, task.cache, task.hardware, reporter, digest=task.digest)
    try:
        with open_journal(task.folder) as journal:
            search_all(task, journal, material, reporter, to_the_end=False)
    except errors.SoundfoldError as error:
        reporter.tell("error", type(error).__name__, str(error))
    else:
        reporter.tell("done")


def _leave_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


class _Telling:
    """A reporter that writes what it hears as lines of JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def tell(self, *told: str | int | None) -> None:
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
        """Take an epoch; a trial's are not shown."""
