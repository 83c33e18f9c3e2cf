"""The verb `soundfold tune`: its options, and how its answer is printed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.early import refuse_early
from soundfold.cli.loading import loading
from soundfold.cli.options import (
    DEVICE,
    Cache,
    Data,
    Device,
    Epochs,
    Jobs,
    Json,
    Out,
    RecipeName,
    Resume,
    Seed,
    Set,
    Weights,
    Where,
    listed,
    parse_where,
)
from soundfold.cli.printing import print_json
from soundfold.wording import format_percent, on_one_line

if TYPE_CHECKING:
    from soundfold.jobs.tuning_result import Kept, TunedFold, TuneResult

__all__ = ["tune"]


def tune(
    data: Data,
    recipe: RecipeName = None,
    set_: Set = None,
    space: Annotated[
        str | None,
        typer.Option(
            "--space", metavar="SPACE", show_default=False,
            help="What to search: network, finetune, linear, or a YAML file; by the recipe if not given.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", metavar="N", help="Trials of each search; 30 if neither this nor --minutes is given.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="M", help="Time for all searches together.", show_default=False),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            "--folds", metavar="1,2,…", help="Outer test folds; all if not given.", show_default=False
        ),
    ] = None,
    inner: Annotated[
        int, typer.Option("--inner", metavar="K", help="Parts of the other folds that a trial is scored on.")
    ] = 3,
    epochs: Epochs = None,
    seed: Seed = None,
    weights: Weights = None,
    device: Device = DEVICE,
    jobs: Jobs = None,
    out: Out = None,
    resume: Resume = False,
    where: Where = None,
    cache: Cache = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Search for better settings, and score them honestly.

    What is found is scored on folds that the search never saw.
    """
    from soundfold.cli.console import ConsoleReporter

    with loading("train", "soundfold tune"):
        refuse_early(data, recipe, set_ or (), weights)
        from soundfold.jobs.tune import tune as search
    with ConsoleReporter() as reporter:
        result = search(
            data,
            recipe=recipe,
            changes=set_ or (),
            space=space,
            trials=trials,
            minutes=minutes,
            folds=listed(folds),
            inner=inner,
            epochs=epochs,
            seed=seed,
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
        from soundfold.runtime.command_line import train_on_all

        scored = result.keep.recipe if result.knows_of_the_kept else Path(result.untuned.out or "") / "recipe.yaml"
        _tell(result, train_on_all(data, Path(scored), parse_where(where)))


def _tell(result: "TuneResult", following: str) -> None:
    """Print what tuning was worth, fold by fold, which recipe was found, and the command that makes a model."""
    from rich.console import Console
    from rich.markup import escape

    from soundfold.evaluation.measured import headline, value_of

    console = Console(highlight=False)
    measure = "mAP " if result.gain.of_several else ""
    lines = []
    for fold in result.folds:
        tuned, untuned = value_of(fold), _either(fold.accuracy_untuned, fold.mean_average_precision_untuned)
        inside, before = _inside(fold)
        lines.append(
            f"fold {fold.fold}: {measure}tuned {format_percent(tuned)}, untuned {format_percent(untuned)}; inside the "
            f"search {inside} and {before} ({fold.trials:,} trials, {fold.pruned:,} given up early)"
        )
        lines.append(f"        {_changes(fold.changes)}")
    lines += [
        f"mean:   {measure}tuned {headline(result.tuned)}, untuned {format_percent(value_of(result.untuned))}",
        f"gain:   {result.sentence}",
        *(f"note:   {note}" for note in _notes(result)),
        f"{'keep' if result.knows_of_the_kept else 'found'}:".ljust(8) + result.keep.recipe,
        f"        {_changes(result.keep.changes)}",
        *_of_many(result),
        f"took:   {result.seconds:.1f} s",
        f"run:    {result.out}",
        f"next:   {following}",
    ]
    for line in lines:
        console.print(escape(on_one_line(line)), soft_wrap=True)


def _of_many(result: "TuneResult") -> list[str]:
    """Return what is to be thought of the score inside the search that the kept recipe came from."""
    keep = result.keep
    if not keep.changes:
        return []
    measure = "mAP " if result.gain.of_several else ""
    inside, before = _inside(keep)
    expect = "expect the gain above"
    if not result.knows_of_the_kept:
        expect = (
            "nothing is known of what this recipe is worth, as the searches that were scored found nothing better than "
            "the recipe as it is"
        )
    high = "too high, as it is the best of many"
    return [f"        inside its search {measure}{inside}, as it was {before}: {high}; {expect}"]


def _notes(result: "TuneResult") -> list[str]:
    """Return the notes, each once; not those on an interval where the sentence on the gain tells none."""
    from soundfold.evaluation.intervals import note_on_few

    gain = result.gain
    without = () if gain.difference else note_on_few(gain.n_recordings, "recording" if gain.groups_known else "file")
    return [note for note in dict.fromkeys((*result.notes, *gain.notes)) if note not in without]


def _inside(part: "TunedFold | Kept") -> tuple[str, str]:
    """Return what a search saw of what it found, and of the recipe as it was."""
    found = _either(part.inner_accuracy, part.inner_mean_average_precision)
    before = _either(part.inner_accuracy_untuned, part.inner_mean_average_precision_untuned)
    return format_percent(found), format_percent(before)


def _either(accuracy: float | None, precision: float | None) -> float | None:
    """Return an accuracy, or of several labels the mean average precision that stands in its place."""
    return precision if accuracy is None else accuracy


def _changes(changes: dict[str, object]) -> str:
    told = (f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in changes.items())
    return ", ".join(told) or "nothing was better than the recipe as it is"
