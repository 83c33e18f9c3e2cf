"""The verb `soundfold evaluate`: its options, and how its answer is printed."""

from pathlib import Path
from typing import Annotated

import typer

from soundfold.cli.loading import loading
from soundfold.cli.options import Data, Json, ModelPath, Where, parse_where, path_or_refuse
from soundfold.cli.printing import print_json

__all__ = ["evaluate"]


def evaluate(
    model: ModelPath,
    data: Data,
    fold: Annotated[
        str | None, typer.Option("--fold", metavar="K", help="Score this official fold alone.", show_default=False)
    ] = None,
    where: Where = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            parser=path_or_refuse,
            metavar="FILE",
            help="Keep the predictions (Parquet).",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Score a model on labelled sound.

    It is said how much of the sound the model has met in training.
    """
    from soundfold.cli.console import ConsoleReporter
    from soundfold.cli.telling import tell_evaluate

    with loading("train", "soundfold evaluate"):
        from soundfold.jobs.evaluate import evaluate as job
    with ConsoleReporter() as reporter:
        result = job(model, data, fold=fold, where=parse_where(where), predictions=predictions, reporter=reporter)
    if json_:
        print_json(result.model_dump_json(indent=2))
    else:
        tell_evaluate(result)
