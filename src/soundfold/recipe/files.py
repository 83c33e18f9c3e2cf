"""Recipes from presets, YAML files and `key=value` changes, and back to YAML.

All ways end in one validation, whose messages name the setting in full (`training.epochs`) and the nearest right name.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from soundfold.atomic import write_text
from soundfold.errors import RecipeError, did_you_mean
from soundfold.recipe.plain_yaml import UNREADABLE, parse, read_settings
from soundfold.recipe.schema import Recipe
from soundfold.wording import counted

__all__ = [
    "build_recipe",
    "change_recipe",
    "changed_values",
    "load_recipe",
    "preset_names",
    "recipe_keys",
    "recipe_to_ship",
    "save_recipe",
    "with_defaults",
]

_SUFFIXES = {".yaml", ".yml"}
_RULES = {
    "int_parsing": "a whole number", "int_type": "a whole number", "int_from_float": "a whole number",
    "float_parsing": "a number", "float_type": "a number", "finite_number": "a finite number",
    "string_type": "a word", "model_type": "a section of settings", "dict_type": "a section of settings",
}  # fmt: skip
"""Kinds of mistakes by pydantic's names, in our words; other messages are fine as they come."""
_PATHS = (("features", "weights"), ("model", "weights"), ("augment", "background_folder"))
"""Settings that name places on the user's computer."""
_LENGTHS = {"string_too_short": ("min_length", "at least"), "string_too_long": ("max_length", "at most")}
_TABLE = "the table in docs/recipes.md has them all"


def preset_names() -> list[str]:
    """Return the names of the recipes that come with soundfold."""
    folder = resources.files("soundfold.recipe") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def recipe_keys() -> dict[str, str]:
    """Return every setting's full name with its description: `{"training.epochs": "passes over …"}`."""
    return dict(_walk(Recipe, ""))


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe that was kept with a run, with those that came later at their defaults.

    A default is what all runs had before there was a setting. What no recipe can hold is returned as it is.
    """
    try:
        return Recipe.model_validate(values).as_dict()
    except ValidationError:
        return dict(values)


def load_recipe(source: str | Path | Recipe, changes: Iterable[str] = ()) -> Recipe:
    """Return a recipe from a preset's name or a YAML file, with `key=value` changes applied.

    Paths in it are made absolute, so that a recipe that a run keeps can be used from any folder.

    Args:
        source: a preset's name, the path of a YAML file, or a recipe.
        changes: texts like `training.epochs=20`; the value is read as YAML.

    Raises:
        RecipeError: a setting is misspelt or out of range, or no preset has that name.
        PathError: the YAML file does not exist.
    """
    if isinstance(source, Recipe):
        return _with_absolute_paths(change_recipe(source, changes))
    path = Path(source)
    if path.suffix.lower() in _SUFFIXES:
        values, where = _read_yaml(path), str(path)
    else:
        values, where = _read_preset(str(source)), f"preset '{source}'"
    return _with_absolute_paths(change_recipe(build_recipe(values, where), changes))


def build_recipe(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Return the validated recipe of nested plain values; `where` stands at the head of an error."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error)}") from None


def change_recipe(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """Return a recipe with `key=value` texts applied one after another; the key may leave out its section if unique.

    >>> change_recipe(Recipe(), ["training.epochs=5", "lr=0.01"]).training.epochs
    5
    """
    values = recipe.as_dict()
    changed = changed_values(changes)
    for full, value in changed.items():
        *sections, last = full.split(".")
        target = values
        for section in sections:
            target = target[section]
        target[last] = value
    return build_recipe(values, "--set") if changed else recipe


def changed_values(changes: Iterable[str]) -> dict[str, Any]:
    """Return what texts like `lr=0.01` change: full names of settings, each with its plain value.

    Raises:
        RecipeError: there is no such setting, or the value cannot be read.

    >>> changed_values(["lr=0.01"])
    {'training.lr': 0.01}
    """
    keys = list(recipe_keys())
    found: dict[str, Any] = {}
    for text in changes:
        full, raw = _name_and_value(text, keys)
        try:
            found[full] = parse(raw)
        except UNREADABLE:
            raise RecipeError(
                f"{full} must be a number, a word, or null, got '{raw}'. See its row in docs/recipes.md"
            ) from None
    return found


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as YAML that `load_recipe` reads back to an equal recipe."""
    write_text(path, yaml.safe_dump(recipe.as_dict(), sort_keys=False, allow_unicode=True))


def recipe_to_ship(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's plain values without the paths of this computer, which say nothing on another one."""
    values = recipe.as_dict()
    for section, name in _PATHS:
        values[section][name] = None
    return values


def _with_absolute_paths(recipe: Recipe) -> Recipe:
    sections: dict[str, Any] = {}
    for section, name in _PATHS:
        part = getattr(recipe, section)
        if path := getattr(part, name):
            absolute = str(Path(path).expanduser().absolute())
            sections[section] = part.model_copy(update={name: absolute})
    return recipe.model_copy(update=sections) if sections else recipe


def _name_and_value(text: str, keys: list[str]) -> tuple[str, str]:
    key, sign, raw = text.partition("=")
    if not sign:
        raise RecipeError(f"--set takes key=value, got '{text}'. For instance: --set training.epochs=20")
    return _full_key(key.strip(), keys), raw


def _full_key(key: str, keys: list[str]) -> str:
    if key in keys:
        return key
    endings = [full for full in keys if full.rpartition(".")[2] == key]
    if len(endings) == 1:
        return endings[0]
    if endings:
        raise RecipeError(f"the setting '{key}' stands in several sections. Say which: {', '.join(endings)}")
    inside = [full for full in keys if full.startswith(f"{key}.")]
    if inside:
        raise RecipeError(
            f"there is no setting '{key}', which is a section of {len(inside)}. Name one of them, such as {inside[0]}; "
            f"{_TABLE}"
        )
    near = did_you_mean(key, keys if "." in key else [full.rpartition(".")[2] for full in keys])
    raise RecipeError(f"there is no setting '{key}'.{near if 'Did you mean' in near else f' {_TABLE.capitalize()}'}")


def _read_preset(name: str) -> dict[str, Any]:
    names = preset_names()
    if not name:
        raise RecipeError(f"the recipe must have a name, got ''. Name a preset ({', '.join(names)}) or a .yaml file")
    if name not in names:
        if Path(name).exists():
            raise RecipeError(f"{name}: a recipe file must end in .yaml or .yml. Rename it, or name a preset")
        raise RecipeError(f"there is no recipe '{name}'.{did_you_mean(name, names)} A file's name must end in .yaml")
    text = (resources.files("soundfold.recipe") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    values = parse(text)
    assert isinstance(values, dict)
    return values


def _read_yaml(path: Path) -> dict[str, Any]:
    values = read_settings(path, "recipe", preset_names(), "Write `section:` with `key: value` under it")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: must hold settings as `section:` with `key: value`, got a {type(values).__name__}")
    return values


def _explain(error: ValidationError) -> str:
    """Put the first problem of a validation into one sentence in our form."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] in ("extra_forbidden", "invalid_key"):  # what is no text is no setting either
        siblings = _names_beside(first["loc"])
        return f"there is no setting '{name}'.{did_you_mean(str(first['loc'][-1]), siblings)}{more}"
    rule = _RULES.get(first["type"], first["msg"].removeprefix("Value error, "))
    if first["type"] in _LENGTHS:
        bound, words = _LENGTHS[first["type"]]
        rule = f"{words} {counted(first['ctx'][bound], 'character')} long"
    if not name:
        return f"{rule}{more}"
    rule = (rule[0].lower() + rule[1:]).removeprefix("input should be ")
    return f"{name} must be {rule}, got {_shortened(first['input'])}{more}"


def _shortened(value: object) -> str:
    text = str(value) if isinstance(value, date) else repr(value)  # YAML makes dates of what looks like one
    return text if len(text) <= 80 else f"{text[:79]}…"


def _names_beside(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Recipe
    for part in location[:-1]:
        model = model.model_fields[str(part)].annotation
    return list(model.model_fields)


def _walk(model: type[BaseModel], prefix: str) -> Iterable[tuple[str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _walk(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description or ""
