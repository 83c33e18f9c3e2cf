"""Which rungs a ladder has: recipes by name from cheap to dear, the weights they take, and which cannot be tried."""

from collections.abc import Sequence
from pathlib import Path

from soundfold.atomic import plain_name
from soundfold.errors import DownloadError, MissingExtraError, PathError, RecipeError
from soundfold.jobs.default_recipe import kept_recipe
from soundfold.jobs.majority import MAJORITY
from soundfold.jobs.pretrained import pretrained_weights
from soundfold.jobs.reporting import Reporter
from soundfold.models.pretrained import PUBLISHED, load_efficientat
from soundfold.recipe import Recipe, load_recipe, name_weights, preset_names, published_network
from soundfold.runtime.run_mark import MARK_NAME, identity_of

__all__ = ["LADDER", "Rungs", "choose_rungs", "continue_rungs", "name_rungs_weights", "why_not"]

LADDER = (MAJORITY, "mfcc", "texture", "tutorial", "probe", "scratch", "finetune")
"""The rungs from cheap to dear; those that are no preset of this version are passed over."""

Rungs = dict[str, Recipe | None]
"""Recipes by name, from cheap to dear; None stands for `MAJORITY`, which has none."""


def choose_rungs(only: Sequence[str | Path | Recipe] | None, epochs: int | None, seed: int) -> Rungs:
    """Return the rungs that were asked for, from cheap to dear; what `LADDER` does not name stands last, as asked.

    Args:
        only: names of `LADDER`, of other presets, YAML files or recipes; None for all of `LADDER`.
        epochs: for the recipes that learn in epochs; None for what each says.
        seed: of every recipe.

    Raises:
        RecipeError: there is no such preset, a recipe is wrong, none is named, epochs are below 1, or two have names
            that folders could not tell apart.
        PathError: a YAML file is missing.
    """
    presets = preset_names()
    asked = [name for name in LADDER if name == MAJORITY or name in presets] if only is None else list(only)
    if not asked:
        raise RecipeError("--only must name at least one rung, got none. Leave it out for all")
    if epochs is not None and epochs < 1:  # of rungs that know no epochs no recipe would tell
        raise RecipeError(f"--epochs must be at least 1, got {epochs}. Leave it out for each recipe's own")
    asked.sort(key=_place)
    rungs: Rungs = {}
    for source in asked:
        recipe = None if source == MAJORITY else _seeded(source, epochs, seed)
        name = MAJORITY if recipe is None else recipe.name
        if plain_name(name).casefold() in {plain_name(other).casefold() for other in rungs}:
            raise RecipeError(f"--only must name rungs of different names, got '{name}' twice. Set the recipe's name")
        rungs[name] = recipe
    return rungs


def _place(rung: object) -> int:
    return LADDER.index(rung) if rung in LADDER else len(LADDER)


def _seeded(source: str | Path | Recipe, epochs: int | None, seed: int) -> Recipe:
    recipe = load_recipe(source, [f"training.seed={seed}"])
    if epochs is None or recipe.training.optimizer == "lbfgs":  # which knows no epochs
        return recipe
    return load_recipe(recipe, [f"training.epochs={epochs}"])


def name_rungs_weights(rungs: Rungs, weights: str | Path, cache: str | Path | None, reporter: Reporter) -> Rungs:
    """Return the rungs, of which those that take published weights of ours and name none take these.

    Raises:
        PathError: they are not there; what a person names is missed aloud, and no reason to leave a rung out.
        ModelFileError: they are damaged.
        RecipeError: no rung takes them.
    """
    named = dict(rungs)
    for name, recipe in rungs.items():
        taken = None if recipe is None else published_network(recipe)
        if recipe is None or taken is None or taken[1] not in PUBLISHED or getattr(recipe, taken[0]).weights:
            continue
        named[name] = changed = name_weights(recipe, weights)
        found = pretrained_weights(changed, cache, reporter)
        assert found is not None
        load_efficientat(taken[1], found)  # so that what is damaged is told before hours of other rungs
    if named == rungs:
        raise RecipeError(
            f"--weights must be left out, as none of {', '.join(rungs)} takes published weights that it does not name "
            f"itself, got {weights}. Leave it out, or add probe or finetune to --only"
        )
    return named


def continue_rungs(rungs: Rungs, folder: Path, reporter: Reporter) -> Rungs:
    """Return the rungs and those that a folder has beside them, each begun one with the recipe that it was begun with.

    A preset may have changed since, and a ladder has no option to change it back. Weights stay for the work to refuse
    where they are others than those it was begun with: who names them means them.

    Args:
        folder: the ladder's.
        reporter: hears of each that was not named, and of each whose recipe is another one today.

    Raises:
        RecipeError: a rung was begun with settings that this version does not know.
    """
    begun = _begun_in(folder)
    if left := [name for name in begun if name not in rungs]:
        reporter.note(f"this ladder has {', '.join(left)} too")
    continued = begun | rungs  # in the order in which they were begun, new ones last
    for name, recipe in rungs.items():
        kept = None if recipe is None else kept_recipe(folder / plain_name(name))
        if recipe is None or kept is None or kept == recipe or _weights_of(kept) != _weights_of(recipe):
            continue
        reporter.note(f"rung {name}: goes on with the recipe it was begun with, which is another one today")
        continued[name] = kept
    return dict(sorted(continued.items(), key=lambda rung: _place(rung[0])))


def _begun_in(folder: Path) -> Rungs:
    """Return the rungs that were begun in a ladder's folder, in the order in which they were."""
    marks = sorted(folder.glob(f"*/{MARK_NAME}"), key=lambda mark: mark.stat().st_mtime_ns)
    begun: Rungs = {}
    for place in (mark.parent for mark in marks):
        told = identity_of(place)
        name = told["recipe"].get("name") if isinstance(told.get("recipe"), dict) else None
        if told.get("verb") == "cv" and isinstance(name, str) and plain_name(name) == place.name:
            begun[name] = None if name == MAJORITY else kept_recipe(place)
    return begun


def _weights_of(recipe: Recipe) -> tuple[str | None, str | None]:
    return recipe.features.weights, recipe.model.weights


def why_not(recipe: Recipe | None, cache: str | Path | None, reporter: Reporter) -> str | None:
    """Return why a rung cannot be tried here, for want of weights or packages; None where it can.

    Raises:
        RecipeError, ModelFileError: the recipe's network cannot serve, or its weights are damaged: to be mended.
    """
    if recipe is None:
        return None
    try:
        pretrained_weights(recipe, cache, reporter)
    except (PathError, DownloadError, MissingExtraError) as error:
        return str(error)
    return None
