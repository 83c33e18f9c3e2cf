"""The verb `soundfold demo`: its options, and how its answer is printed."""

from pathlib import Path
from typing import Annotated

import typer

from soundfold.cli.loading import loading
from soundfold.cli.options import path_or_refuse

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=path_or_refuse,
            metavar="DIR",
            help="Where to write; soundfold-demo if not given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """See it all in some minutes: offline, with no data needed."""
    import time

    from soundfold.cli.console import ConsoleReporter

    with loading("train", "soundfold demo"):
        from soundfold.jobs.demo import demo as job
    started = time.perf_counter()
    with ConsoleReporter() as reporter:
        made = job(out, reporter)
    folder, random, honest = made.folder, made.random, made.honest
    mean = honest.accuracy_mean
    spread = f" ± {100 * honest.accuracy_std:.1f}" if honest.accuracy_std is not None else ""
    lines = [
        "",
        f"random split, as in the tutorial:   {100 * (random.accuracy or 0):5.1f} %",
        f"recordings it has never met:        {100 * (mean or 0):5.1f}{spread} %   ← what to expect in use",
        f"why they differ: {(random.leaks or {}).get('sentence', '')}",
        "",
        f"prediction: {Path(made.prediction.path).name} is {made.truth}; the model says {made.prediction.label} "
        f"({made.prediction.probability:.2f})",
        f"pictures:   {made.picture}  {folder / 'cv' / 'confusion.png'}",
        f"model:      {made.model}",
        f"took:       {time.perf_counter() - started:.0f} s",
        "",
        "Next, with sounds of your own (a folder of folders, each named after its sounds):",
        "    soundfold data check SOUNDS",
        "    soundfold cv SOUNDS",
        "    soundfold train SOUNDS --all --out runs/mine",
        "    soundfold predict runs/mine some.wav",
    ]
    print("\n".join(lines))
