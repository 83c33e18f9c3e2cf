"""The recipe of a run that names none: `finetune` where its pretrained weights are at hand, else `scratch`."""

from pathlib import Path

from soundfold.data.store import cache_folder
from soundfold.errors import PathError
from soundfold.jobs.reporting import Reporter
from soundfold.jobs.run_folder import RECIPE_NAME
from soundfold.models import find_weights
from soundfold.recipe import Recipe, load_recipe

__all__ = ["WITHOUT_WEIGHTS", "WITH_WEIGHTS", "default_recipe"]

WITH_WEIGHTS, WITHOUT_WEIGHTS = "finetune", "scratch"


def default_recipe(
    cache: str | Path | None,
    reporter: Reporter,
    continued: str | Path | None = None,
    weights: str | Path | None = None,
) -> Recipe:
    """Return the recipe of a run that names none, and say which it is and why.

    Nothing is fetched for it: weights are at hand where the caller or SOUNDFOLD_WEIGHTS names them, or the cache keeps
    them.

    Args:
        cache: folder of kept results; None for SOUNDFOLD_CACHE or the user's cache.
        reporter: hears which it is.
        continued: a run to continue, which keeps the recipe it was begun with though weights came or went since.
        weights: as the caller names them; whether they are there is for the work to tell, not a reason to go without.
    """
    kept = None if continued is None else Path(continued) / RECIPE_NAME
    if kept is not None and kept.exists():
        begun = load_recipe(kept).name
        if begun in (WITH_WEIGHTS, WITHOUT_WEIGHTS):
            return load_recipe(begun)
    pretrained = load_recipe(WITH_WEIGHTS)
    if weights is not None:
        reporter.note(f"recipe: {WITH_WEIGHTS}, as pretrained weights are named")
        return pretrained
    network = pretrained.model.name
    try:
        find_weights(network, cache_folder(cache))
    except PathError:
        reporter.note(f"recipe: {WITHOUT_WEIGHTS}, as no pretrained weights are at hand; -r probe fetches some, once")
        return load_recipe(WITHOUT_WEIGHTS)
    reporter.note(f"recipe: {WITH_WEIGHTS}, as the pretrained weights of {network} are at hand")
    return pretrained
