"""Every setting of a run as one validated, frozen model; presets; YAML in and out. Works without torch."""

from soundfold.recipe.files import build_recipe, change_recipe, load_recipe, preset_names, recipe_keys, save_recipe
from soundfold.recipe.schema import (
    AugmentRecipe,
    FeatureRecipe,
    ModelRecipe,
    Recipe,
    SoundRecipe,
    TrainingRecipe,
)

__all__ = [
    "AugmentRecipe",
    "FeatureRecipe",
    "ModelRecipe",
    "Recipe",
    "SoundRecipe",
    "TrainingRecipe",
    "build_recipe",
    "change_recipe",
    "load_recipe",
    "preset_names",
    "recipe_keys",
    "save_recipe",
]
