"""The published weights that a recipe takes: of which network, which setting names them, and naming them there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from soundfold.errors import RecipeError
from soundfold.recipe.files import build_recipe, load_recipe
from soundfold.recipe.schema import Recipe

__all__ = ["check_named_once", "name_weights", "published_network"]


def published_network(recipe: Recipe) -> tuple[Literal["features", "model"], str] | None:
    """Return the section whose `weights` is meant and the name of the network; None where a recipe takes none.

    >>> published_network(load_recipe("probe")), published_network(load_recipe("scratch"))
    (('features', 'mn04'), None)
    """
    if recipe.features.kind == "embedding":
        return "features", recipe.features.network
    return None if recipe.model.start == "random" else ("model", recipe.model.name)


def check_named_once(weights: str | Path | None, changes: Mapping[str, Any]) -> None:
    """Raise if published weights are named both by the option and by a change; a change to null names none.

    Args:
        weights: what the option says; None where it is not given.
        changes: full names of settings and their values.

    Raises:
        RecipeError: they are.
    """
    twice = [name for name, value in changes.items() if name.endswith(".weights") and value is not None]
    if weights is not None and twice:
        raise RecipeError(f"--weights and --set {twice[0]} both name published weights. Leave one of them out")


def name_weights(recipe: Recipe, weights: str | Path) -> Recipe:
    """Return a recipe that takes its published weights from a file or folder, whichever of its settings names them.

    Raises:
        RecipeError: it takes none, or its network brings its own.
    """
    taken = published_network(recipe)
    if taken is None:
        raise RecipeError(
            f"--weights must be left out with the recipe {recipe.name}, which takes no published weights, got "
            f"{weights}. Leave it out, or take a recipe that does: -r probe or -r finetune"
        )
    values = recipe.as_dict()
    values[taken[0]]["weights"] = str(weights)
    return load_recipe(build_recipe(values, "--weights"))
