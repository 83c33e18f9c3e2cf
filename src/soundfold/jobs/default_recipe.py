"""The recipe of a run that names none: its own where it is continued; else `finetune` where the weights are at hand."""

from pathlib import Path

from soundfold.data.store import cache_folder
from soundfold.errors import PathError
from soundfold.jobs.reporting import Reporter
from soundfold.models import find_weights
from soundfold.recipe import Recipe, build_recipe, load_recipe
from soundfold.runtime.run_mark import identity_of

__all__ = ["WITHOUT_WEIGHTS", "WITH_WEIGHTS", "default_recipe", "kept_recipe"]

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
        continued: a run to continue, which keeps the recipe it was begun with, all that was changed of it included.
        weights: as the caller names them; whether they are there is for the work to tell, not a reason to go without.

    Raises:
        RecipeError: the run to continue was begun with settings that this version does not know.
    """
    kept = None if continued is None else kept_recipe(Path(continued))
    if kept is not None:
        reporter.note(f"recipe: {kept.name}, as the run was begun with")
        return kept
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


def kept_recipe(run: Path) -> Recipe | None:
    """Return the recipe that a run was begun with, all that was changed of it included; None where none was begun.

    Raises:
        RecipeError: it has settings that this version does not know.
    """
    begun = identity_of(run).get("recipe")
    if not begun or not isinstance(begun, dict):
        return None
    return build_recipe(begun, f"{run}: was begun with a recipe that is not this version's")
