"""What the user sees while a verb works: a live line on a terminal, a few plain lines in a log; always on stderr."""

import sys
import threading
import time
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from soundfold.wording import on_one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from soundfold.training import EpochRecord

__all__ = ["ConsoleReporter"]

_LOG_EVERY_S = 10.0
_PHASES = {"waiting": "waiting for another process", "retrying": "trying again"}
"""What the phases of a download are called, where not by their own name."""
_IN_BYTES = ("downloading", "checking", "unpacking")


class ConsoleReporter:
    """Draws a job's reports; use it as a context, so that the live line is taken down whatever happens.

    The library that draws is loaded when there is something to draw: one clip's answer should not wait for it.

    Args:
        console: where to draw; None for stderr.
        plain: write lines as into a log, on a terminal too.
    """

    def __init__(self, console: "Console | None" = None, *, plain: bool = False) -> None:
        self._console = console
        if console is not None:
            self._live = console.is_terminal
        else:
            self._live = not plain and sys.stderr is not None and sys.stderr.isatty()
        self._tasks: dict[str, TaskID] = {}
        self._told_at: dict[str, float] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._logged = ""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if "_progress" in vars(self):
                self._progress.stop()

    @cached_property
    def _progress(self) -> "Progress":
        """The live lines, drawn from now on; asked for under the lock alone, so that no two are begun."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self._console or Console(stderr=True, highlight=False),
            transient=True,
        )
        progress.start()
        return progress

    def note(self, sentence: str) -> None:
        """Print a sentence."""
        if not self._live:
            self._print(sentence)
            return
        from rich.markup import escape

        with self._lock:
            self._progress.console.print(escape(on_one_line(sentence)), soft_wrap=True)

    def progress(self, what: str, done: int, total: int | None, told: str = "") -> None:
        """Move the live line on, with more that is to be told; in a log, say a word now and then."""
        self._show(what, done, total, _count(done, total), told)

    def transfer(self, phase: str, done: int, total: int | None) -> None:
        """Show how a download goes, one at a time, by the phases of `soundfold.data.fetch.transfer.OnProgress`."""
        what = _PHASES.get(phase, phase)
        with self._lock:
            for other in [name for name in self._tasks if name != what]:
                self._progress.remove_task(self._tasks.pop(other))
        if phase in _IN_BYTES:
            self._show(what, done, total, _megabytes(done, total))
        elif phase == "retrying":
            self._show(what, done, None, f"try {done} of {total}", at_once=True)
        else:
            self._show(what, done, total, "", at_once=True)

    def epoch(self, what: str, record: "EpochRecord", epochs: int) -> None:
        """Show an epoch's figures."""
        told = f"loss {record.train_loss:.3f}"
        if record.train_accuracy is not None:
            told += f", right {100 * record.train_accuracy:.1f} %"
        if record.val_map is not None:
            told += f", held out mAP {100 * record.val_map:.1f} %"
        if record.val_accuracy is not None:
            told += f", held out {100 * record.val_accuracy:.1f} %"
        if self._live:
            self._move(what, record.epoch, epochs, _count(record.epoch, epochs), told)
        elif self._due(what, record.epoch == epochs):
            done = f"epoch {record.epoch}/{epochs}" if record.lr else "fitted in one go"
            self._log(f"{what}: {done}, {told}")

    def _show(
        self, what: str, done: int, total: int | None, amount: str, told: str = "", at_once: bool = False
    ) -> None:
        if self._live:
            self._move(what, done, total, amount, told)
        else:
            begun, first = self._begun.setdefault(what, (time.monotonic(), done))
            if self._due(what, at_once or (total is not None and done >= total)):
                left = _left(time.monotonic() - begun, done - first, None if total is None else total - done)
                line = f"{what}: {amount}{left}" if amount else what
                self._log(f"{line}, {told}" if told else line)

    def _move(self, what: str, done: int, total: int | None, amount: str, told: str) -> None:
        from rich.markup import escape

        with self._lock:
            if what not in self._tasks:
                self._tasks[what] = self._progress.add_task(escape(what), total=total, amount=amount, told=told)
            task = self._tasks[what]
            self._progress.update(task, completed=done, total=total, amount=amount, told=told)
            if total is not None and done >= total:
                self._progress.remove_task(self._tasks.pop(what))

    def _log(self, line: str) -> None:
        if line != self._logged:
            self._print(line)
        self._logged = line

    def _print(self, line: str) -> None:
        file = sys.stderr if self._console is None else self._console.file
        if file is not None:  # as it is where the shell closed it; print would then take stdout
            print(on_one_line(line), file=file, flush=True)

    def _due(self, what: str, last: bool) -> bool:
        now = time.monotonic()
        if last or now - self._told_at.setdefault(what, now) >= _LOG_EVERY_S:
            self._told_at[what] = now
            return True
        return False


def _left(elapsed_s: float, done: int, to_do: int | None) -> str:
    """Return how long the rest will take, at the pace so far; nothing where there is no pace or no rest."""
    if to_do is None or to_do <= 0 or done <= 0:
        return ""
    seconds = elapsed_s * to_do / done
    if seconds < 90:
        return f", {seconds:.0f} s left"
    minutes = round(seconds / 60)
    return f", {minutes} min left" if minutes < 90 else f", {minutes // 60} h {minutes % 60} min left"


def _count(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,}/{total:,}"


def _megabytes(done: int, total: int | None) -> str:
    return f"{done / 1e6:,.1f} MB" if total is None else f"{done / 1e6:,.1f}/{total / 1e6:,.1f} MB"
