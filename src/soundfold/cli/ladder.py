"""The verb `soundfold ladder`: its options, and how its answer is printed."""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.early import refuse_early
from soundfold.cli.loading import loading
from soundfold.cli.options import (
    DEVICE,
    Cache,
    Data,
    Device,
    Folds,
    Jobs,
    Json,
    Out,
    Resume,
    Weights,
    Where,
    listed,
    parse_where,
)
from soundfold.cli.printing import print_json
from soundfold.wording import counted, format_percent

if TYPE_CHECKING:
    from soundfold.evaluation.ladder import LadderResult, Rung

__all__ = ["ladder"]

_OF_SHARES = (
    "answers each label's share of the training clips, whatever the sound; "
    "its mAP is the share of clips that bear a label, the mean over labels"
)


def ladder(
    data: Data,
    folds: Folds = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", help="For the rungs that learn in epochs; each recipe's own if not given."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of every rung.")] = 0,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", metavar="RECIPE,…", help="These rungs only; presets and YAML files too.", show_default=False
        ),
    ] = None,
    weights: Weights = None,
    device: Device = DEVICE,
    jobs: Jobs = None,
    out: Out = None,
    resume: Resume = False,
    where: Where = None,
    cache: Cache = None,
    json_: Json = False,
) -> None:
    """Cross-validate from cheap to dear: does dear beat cheap?

    All rungs are tried under the same folds, and compared beyond chance.
    """
    from soundfold.cli.console import ConsoleReporter

    with loading("train", "soundfold ladder"):
        refuse_early(data, None, ())
        from soundfold.jobs.ladder import ladder as job
    with ConsoleReporter() as reporter:
        result = job(
            data,
            folds=listed(folds),
            epochs=epochs,
            seed=seed,
            only=listed(only),
            weights=weights,
            device=device,
            jobs=jobs,
            out=out,
            resume=resume,
            where=parse_where(where),
            cache=cache,
            reporter=reporter,
        )
    if json_:
        print_json(result.model_dump_json(indent=2))
    else:
        _tell(result)


def _tell(result: "LadderResult") -> None:
    """Print the table of rungs, each step up, what the numbers are, and the verdict last."""
    from rich.console import Console

    from soundfold.cli.columns import print_columns, print_line
    from soundfold.evaluation.measured import fold_values
    from soundfold.jobs.majority import MAJORITY

    console = Console(highlight=False)
    first, pairs = result.rungs[0], len(result.comparisons)
    measure = "mAP" if first.of_several else "accuracy"
    heading = ("rung", measure, "pooled", "95 % interval", "training", "file", "a window")
    print_columns(console, [heading, *(_row(rung) for rung in result.rungs)])
    for rung in result.left_out:
        print_line(console, f"left out:  {rung.name}: {rung.reason}")
    names = [rung.name for rung in result.rungs]
    steps = set(pairwise(names))
    for found in result.comparisons:
        if (found.a, found.b) in steps:
            print_line(console, f"step:      {found.sentence}")
    folds = counted(len(fold_values(first.folds)), "fold")
    over = f"mean ± deviation over {folds}; {counted(first.n, 'clip')}"
    print_line(console, f"{measure + ':':10} {over}")
    if first.of_several and MAJORITY in names:
        print_line(console, f"{MAJORITY}:  {_OF_SHARES}")
    if pairs > 1:
        print_line(console, f"p-values:  corrected by Holm's method for all {pairs} pairs of rungs")
    print_line(console, f"took:      {_duration(result.seconds)}")
    print_line(console, f"runs:      {result.out}")
    print_line(console, result.sentence, style="bold")


def _row(rung: "Rung") -> tuple[str, ...]:
    """Return a rung's cells; what it has not, a model file say, is a dash."""
    mean, std, pooled, ci95 = rung.accuracy_mean, rung.accuracy_std, rung.accuracy_pooled, rung.accuracy_ci95
    if rung.of_several:
        mean, std = rung.mean_average_precision, rung.mean_average_precision_std
        pooled, ci95 = rung.mean_average_precision_pooled, rung.mean_average_precision_ci95
    spread = "" if std is None else f" ± {100 * std:.1f}"
    return (
        rung.name,
        "–" if mean is None else f"{100 * mean:.1f}{spread} %",
        format_percent(pooled),
        "–" if ci95 is None else f"{100 * ci95[0]:.1f} to {100 * ci95[1]:.1f}",
        _duration(rung.train_s) if rung.train_s else "–",
        "–" if rung.file_bytes is None else f"{rung.file_bytes / 1e6:.1f} MB",
        "–" if rung.latency_ms is None else f"{rung.latency_ms:.1f} ms",
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
