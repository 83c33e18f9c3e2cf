"""The verb `soundfold cv`: its options, and how its answer is printed."""

from soundfold.cli.early import refuse_early
from soundfold.cli.loading import loading
from soundfold.cli.options import (
    DEVICE,
    Cache,
    Data,
    Device,
    Devices,
    Ensemble,
    Epochs,
    Folds,
    Jobs,
    Json,
    Out,
    RecipeName,
    Resume,
    Seed,
    Seeds,
    Set,
    Weights,
    Where,
    listed,
    parse_where,
)
from soundfold.cli.printing import print_json

__all__ = ["cv"]


def cv(
    data: Data,
    recipe: RecipeName = None,
    set_: Set = None,
    folds: Folds = None,
    epochs: Epochs = None,
    seed: Seed = None,
    seeds: Seeds = 1,
    ensemble: Ensemble = False,
    weights: Weights = None,
    device: Device = DEVICE,
    devices: Devices = 1,
    jobs: Jobs = None,
    out: Out = None,
    resume: Resume = False,
    where: Where = None,
    cache: Cache = None,
    json_: Json = False,
) -> None:
    """Cross-validate: the honest score, on recordings never met.

    Every fold is the test fold once; each clip is scored by a network that never met its fold.
    """
    from soundfold.cli.console import ConsoleReporter
    from soundfold.cli.telling import tell_cv

    with loading("train", "soundfold cv"):
        refuse_early(data, recipe, set_ or (), weights)
        from soundfold.jobs.cross_validate import cross_validate
    with ConsoleReporter() as reporter:
        result = cross_validate(
            data,
            recipe=recipe,
            changes=set_ or (),
            folds=listed(folds),
            epochs=epochs,
            seed=seed,
            seeds=seeds,
            ensemble=ensemble,
            weights=weights,
            device=device,
            devices=devices,
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
        tell_cv(result, data, parse_where(where))
