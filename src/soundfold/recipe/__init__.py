"""Every setting of a run as one validated, frozen model; presets; YAML in and out. Works without torch."""

from soundfold.recipe.augment_section import AugmentRecipe
from soundfold.recipe.feature_section import FeatureRecipe
from soundfold.recipe.files import (
    build_recipe,
    change_recipe,
    changed_values,
    load_recipe,
    preset_names,
    recipe_keys,
    recipe_to_ship,
    save_recipe,
    with_defaults,
)
from soundfold.recipe.model_section import ModelRecipe
from soundfold.recipe.published import check_named_once, name_weights, published_network
from soundfold.recipe.schema import Recipe
from soundfold.recipe.sound_section import SoundRecipe
from soundfold.recipe.training_section import TrainingRecipe

__all__ = [
    "AugmentRecipe",
    "FeatureRecipe",
    "ModelRecipe",
    "Recipe",
    "SoundRecipe",
    "TrainingRecipe",
    "build_recipe",
    "change_recipe",
    "changed_values",
    "check_named_once",
    "load_recipe",
    "name_weights",
    "preset_names",
    "published_network",
    "recipe_keys",
    "recipe_to_ship",
    "save_recipe",
    "with_defaults",
]
