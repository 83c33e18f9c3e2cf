"""The verb `soundfold train`: its options, and how its answer is printed."""

from pathlib import Path
from typing import Annotated

import typer

from soundfold.cli.early import refuse_early
from soundfold.cli.loading import loading
from soundfold.cli.options import (
    DEVICE,
    Cache,
    Data,
    Device,
    Devices,
    Epochs,
    Json,
    Out,
    RecipeName,
    Resume,
    Seed,
    Seeds,
    Set,
    Weights,
    Where,
    parse_where,
    path_or_refuse,
)
from soundfold.cli.printing import print_json

__all__ = ["train"]


def train(
    data: Data,
    recipe: RecipeName = None,
    set_: Set = None,
    test_fold: Annotated[
        str | None, typer.Option("--test-fold", metavar="K", help="Hold out this official fold.", show_default=False)
    ] = None,
    random_split: Annotated[
        float | None,
        typer.Option(
            "--random-split", metavar="PART", help="Hold out a random part, and name its leak.", show_default=False
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Train on everything and score nothing.")] = False,
    epochs: Epochs = None,
    seed: Seed = None,
    seeds: Seeds = 1,
    weights: Weights = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            parser=path_or_refuse,
            metavar="RUN",
            help="A cross-validation by the same recipe: calibrate the model on its answers.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision", metavar="PART", help="Tell a label only where it is right so often.", show_default=False
        ),
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            "--false-alarms",
            metavar="N",
            help="Let N windows of background an hour pass for a class; not given: what loses 3 % of the clips.",
            show_default=False,
        ),
    ] = None,
    device: Device = DEVICE,
    devices: Devices = 1,
    num_nodes: Annotated[int, typer.Option("--num-nodes", help="Machines, started by torchrun or a cluster.")] = 1,
    out: Out = None,
    resume: Resume = False,
    where: Where = None,
    cache: Cache = None,
    json_: Json = False,
) -> None:
    """Train one model and score it on clips that it has not met.

    With no split named it holds out the last official fold, or a fifth of the recordings.
    """
    from soundfold.cli.console import ConsoleReporter
    from soundfold.cli.telling import tell_train

    with loading("train", "soundfold train"):
        refuse_early(data, recipe, set_ or (), weights)
        from soundfold.jobs.train import train as job
        from soundfold.training import is_main_process
    with ConsoleReporter() as reporter:
        result = job(
            data,
            recipe=recipe,
            changes=set_ or (),
            test_fold=test_fold,
            random_split=random_split,
            everything=all_,
            epochs=epochs,
            seed=seed,
            seeds=seeds,
            weights=weights,
            calibrate=calibrate,
            precision=precision,
            false_alarms=false_alarms,
            device=device,
            devices=devices,
            num_nodes=num_nodes,
            out=out,
            resume=resume,
            where=parse_where(where),
            cache=cache,
            reporter=reporter,
        )
    if not is_main_process():
        return
    if json_:
        print_json(result.model_dump_json(indent=2))
    else:
        tell_train(result)
