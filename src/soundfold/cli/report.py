"""The verb `soundfold report`: its options, and how its answer is printed."""

from pathlib import Path
from typing import Annotated

import typer

from soundfold.cli.options import path_or_refuse
from soundfold.errors import needs_extra

__all__ = ["report"]


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=path_or_refuse,
            metavar="RUN",
            help="A run's folder, or several; or a table of predictions.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=path_or_refuse,
            metavar="FILE",
            help="The page; report.html in the first run if not given.",
            show_default=False,
        ),
    ] = None,
    clips: Annotated[
        int, typer.Option("--clips", metavar="N", help="How many mistaken clips of a run to embed, 0 to 100.")
    ] = 12,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            parser=path_or_refuse,
            metavar="DATA",
            help="Where the sounds are now, if they have moved.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write runs as one HTML page.

    Scores, curves, leaks, and the sounds that were mistaken, with players.
    """
    from soundfold.cli.console import ConsoleReporter

    with needs_extra("train", "soundfold report"):
        from soundfold.jobs.report import report as job
    with ConsoleReporter() as reporter:
        path = job(runs, out=out, clips=clips, data=data, reporter=reporter)
    print(path)
