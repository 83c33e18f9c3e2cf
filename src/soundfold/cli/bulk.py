"""The verb `soundfold bulk`: its options, its progress, and what it says at the end."""

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.options import Json, ModelPath, path_or_refuse
from soundfold.cli.printing import print_json
from soundfold.errors import SoundfoldError
from soundfold.wording import counted

if TYPE_CHECKING:
    from soundfold.bulk import BulkResult
    from soundfold.bulk.listing import Listing
    from soundfold.bulk.running import Progress
    from soundfold.cli.console import ConsoleReporter

__all__ = ["bulk"]

_TOLD_FAILURES = 10


def bulk(
    model: ModelPath,
    source: Annotated[
        Path,
        typer.Argument(
            parser=path_or_refuse,
            metavar="DIR|LIST",
            help="A folder, searched at every depth; or a list: a path a line, CSV with a column path; - for stdin.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", parser=path_or_refuse, metavar="FOLDER", help="Folder of the Parquet files."),
    ],
    hop: Annotated[
        float | None,
        typer.Option("--hop", metavar="SECONDS", help="From one window to the next; side by side if not given."),
    ] = None,
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="Leave out the columns with the probability of each class.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes; one a core if not given.", show_default=False)
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="Spread the work over a Ray cluster; auto for the one we are in."
        ),
    ] = None,
    part: Annotated[
        float | None,
        typer.Option("--part", metavar="SECONDS", help="Work that a file holds, and a kill costs, at most; 120."),
    ] = None,
    patience: Annotated[
        float | None,
        typer.Option("--patience", metavar="SECONDS", help="A sound without a sign of life is given up then; 120."),
    ] = None,
    json_: Json = False,
) -> None:
    """Answer for sounds by the million, into Parquet.

    The same command goes on where it was broken off. Needs no PyTorch.
    """
    from soundfold.bulk import running
    from soundfold.bulk.listing import Listing
    from soundfold.cli.console import ConsoleReporter
    from soundfold.runtime.workers import PATIENCE_S

    with ConsoleReporter() as reporter:
        teller = _Teller(reporter)
        teller.count(Listing(source))
        result = running.bulk(
            model,
            source,
            out,
            hop_s=hop,
            probabilities=not labels_only,
            workers=workers,
            ray=ray,
            part_s=running.PART_S if part is None else part,
            patience_s=PATIENCE_S if patience is None else patience,
            on_progress=teller.progress,
        )
    if json_:
        print_json(json.dumps(result.as_dict(), indent=2, ensure_ascii=False))
    else:
        print(_summary(result))
    if result.failed:
        raise typer.Exit(2)


class _Teller:
    """Says on stderr how far the work is, how fast, for how long yet, and which sounds failed."""

    def __init__(self, reporter: "ConsoleReporter") -> None:
        self._reporter = reporter
        self._total: int | None = None
        self._failures = 0

    def count(self, listing: "Listing") -> None:
        """Count the sounds beside the work, which does not wait for it."""
        if listing.is_stdin:
            return

        def count() -> None:
            with suppress(SoundfoldError, OSError):  # the work itself meets the same, and tells of it
                self._total = sum(1 for _ in listing)

        threading.Thread(target=count, daemon=True).start()

    def progress(self, progress: "Progress") -> None:
        """Tell how far the work is."""
        for _, problem in progress.failed:
            self._failures += 1
            if self._failures <= _TOLD_FAILURES:
                self._reporter.note(f"soundfold: {problem}")
            if self._failures == _TOLD_FAILURES:
                self._reporter.note("soundfold: further sounds that fail are told in the column error alone")
        total = None if self._total is None else max(self._total, progress.done)
        self._reporter.progress("sounds", progress.done, total, f"{progress.rate:,.1f} a second")


def _summary(result: "BulkResult") -> str:
    held = f"{counted(result.sounds, 'sound')} ({result.sound_s / 3600:,.1f} hours) in {counted(result.parts, 'part')}"
    failed = f", {result.failed:,} of them failed" if result.failed else ""
    if not result.new:
        return f"{result.out}: {held}{failed}; nothing was left to hear"
    rate = f"{result.new:,} heard in {_clock(result.seconds)}, {result.sounds_per_second:,.1f} a second"
    return f"{result.out}: {held}{failed}; {rate}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
