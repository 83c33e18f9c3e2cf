"""What the user sees while a verb works: a live line on a terminal, a few plain lines in a log; always on stderr."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from soundfold.training import EpochRecord

__all__ = ["ConsoleReporter"]

_LOG_EVERY_S = 10.0


class ConsoleReporter:
    """Draws a job's reports; use it as a context, so that the live line is taken down whatever happens."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.print(escape(sentence), soft_wrap=True)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Move the live line on; in a log, say a word now and then."""
        if self._live:
            self._move(what, done, total, "")
        elif total and self._due(what, done >= total):
            print(f"{what}: {done:,}/{total:,}", file=sys.stderr, flush=True)

    def epoch(self, what: str, record: "EpochRecord", epochs: int) -> None:
        """Show an epoch's figures."""
        told = f"loss {record.train_loss:.3f}, right {100 * record.train_accuracy:.1f} %"
        if record.val_accuracy is not None:
            told += f", held out {100 * record.val_accuracy:.1f} %"
        if self._live:
            self._move(what, record.epoch, epochs, told)
        elif self._due(what, record.epoch == epochs):
            print(f"{what}: epoch {record.epoch}/{epochs}, {told}", file=sys.stderr, flush=True)

    def _move(self, what: str, done: int, total: int | None, told: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(escape(what), total=total, told=told)
        task = self._tasks[what]
        self._progress.update(task, completed=done, total=total, told=told)
        if total is not None and done >= total:
            self._progress.remove_task(self._tasks.pop(what))

    def _due(self, what: str, last: bool) -> bool:
        now = time.monotonic()
        if last or now - self._told_at.setdefault(what, now) >= _LOG_EVERY_S:
            self._told_at[what] = now
            return True
        return False
