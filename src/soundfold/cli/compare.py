"""The verb `soundfold compare`: its options, and how its answer is printed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.options import Json, path_or_refuse
from soundfold.cli.printing import print_json
from soundfold.errors import needs_extra
from soundfold.wording import counted, format_percent

if TYPE_CHECKING:
    from rich.console import Console

    from soundfold.evaluation.comparison_result import ClassDifference, CompareResult, Comparison, FoldDifference

__all__ = ["compare"]


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=path_or_refuse,
            metavar="RUN RUN…",
            help="Folders of finished runs; all are compared with the first.",
            show_default=False,
        ),
    ],
    json_: Json = False,
) -> None:
    """Say whether one run is better than another, beyond chance.

    Runs are compared over the clips that they both answered: difference, interval, p-value, in words.
    """
    with needs_extra("train", "soundfold compare"):
        from soundfold.jobs.compare import compare as job
    result = job(runs)
    if json_:
        print_json(result.model_dump_json(indent=2))
    else:
        _tell(result)


def _tell(result: "CompareResult") -> None:
    from rich.console import Console

    from soundfold.cli.columns import print_line

    console = Console(highlight=False)
    for number, found in enumerate(result.comparisons):
        if number:
            print_line(console, "")
        _tell_one(console, found, corrected=len(result.comparisons) > 1)
    for note in result.notes:
        print_line(console, f"note: {note}")


def _tell_one(console: "Console", found: "Comparison", *, corrected: bool) -> None:
    from soundfold.cli.columns import print_columns, print_line
    from soundfold.evaluation.comparison import p_in_words

    rows: list[tuple[str, ...]] = [("mAP" if found.of_several else "", found.a, found.b, "difference", "clips")]
    rows += [(f"fold {fold.fold}", *_cells(fold, "accuracy"), f"{fold.n:,}") for fold in found.folds or ()]
    rows.append(("all clips", *_cells(found, "accuracy"), f"{found.n:,}"))
    rows += [(row.label, *_cells(row, "recall"), f"{row.n:,}") for row in found.per_class]
    print_columns(console, rows)
    unit = "recording" if found.groups_known else "file"
    if found.fold_mean is not None:
        spread = "" if found.fold_std is None else f" ± {100 * found.fold_std:.1f}"
        told = f"{100 * found.fold_mean:+.1f}{spread} points"
        print_line(console, f"folds:    {told} over {counted(len(found.known_folds), 'fold')}")
    if found.difference_ci95 is not None:
        low, high = found.difference_ci95
        told = f"95 % interval over {counted(found.n_recordings, unit)}: {100 * low:+.1f} to {100 * high:+.1f}"
        print_line(console, f"clips:    {100 * found.difference:+.1f} points, {told}")
    exchanged = f"answers exchanged by {unit} {'at random' if found.p_drawn else 'in every way'}"
    how = exchanged if found.of_several else f"signs flipped by {unit}"
    p = f"chance:   {p_in_words(found.p_value)}, {how}"
    print_line(console, p + (f"; {p_in_words(found.p_corrected)} after Holm's correction" if corrected else ""))
    if not found.of_several:
        alone = f"only {found.a} {found.only_a_right:,}, only {found.b} {found.only_b_right:,}"
        print_line(console, f"right:    both {found.both_right:,}, {alone}, neither {found.both_wrong:,}")
    for note in found.notes:
        print_line(console, f"note:     {note}")
    print_line(console, found.sentence, style="bold")


def _cells(found: "Comparison | FoldDifference | ClassDifference", name: str) -> tuple[str, str, str]:
    """Return both runs' accuracy or recall, or the precision of ranking that stands in its place, and the difference.

    What cannot be known, as no clip bears the label, is a dash.
    """
    ranked = "mean_average_precision" if name == "accuracy" else "average_precision"
    a, b = (
        next((value for field in (name, ranked) if (value := getattr(found, f"{field}_{side}")) is not None), None)
        for side in "ab"
    )
    if a is None or b is None:
        return "–", "–", "–"
    return format_percent(a), format_percent(b), f"{100 * (found.difference or 0.0):+.1f}"
