"""Search spaces: which settings a search may change and how far, from YAML, held against the recipe before it begins.

One line a setting, by its full name: a list of choices, or the two ends of a range.

    features.n_mels: [40, 64, 128]
    training.lr: {low: 0.0003, high: 0.01, log: true}
    training.momentum: {low: 0.5, high: 0.99, when: {training.optimizer: [sgd]}}

Drawing is left to whoever searches (`Space.draw` asks for one value after another), so nothing of it is needed here.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from soundfold.errors import RecipeError, did_you_mean
from soundfold.recipe.files import build_recipe, recipe_keys
from soundfold.recipe.plain_yaml import parse, read_settings
from soundfold.recipe.schema import Recipe

__all__ = ["KEPT", "Choices", "Plain", "Range", "Space", "is_searched", "load_space", "space_names", "value_of"]

KEPT = ("sound.", "features.")
"""With what the names of settings begin of which each value is computed and kept for all trials."""

Plain = str | int | float | bool | None
_SUFFIXES = (".yaml", ".yml")
_NOT_SEARCHED = {
    "name": "it names the recipe",
    "training.seed": "a lucky seed is luck, and no setting",
    "training.labels": "it decides what a label is, so scores could not be compared",
    "training.validate_every": "it decides when is looked, and not what is learned",
    "sound.max_clip_s": "it decides which clips there are, so scores could not be compared",
}
_DRAWS = 200
_MOST_REFUSED = 0.5
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Choices:
    """One of some values; `when` names other settings, each with the values beside which this one is searched."""

    values: tuple[Plain, ...]
    when: Mapping[str, tuple[Plain, ...]]


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included; whole where `whole`, drawn by its logarithm where `log`."""

    low: float
    high: float
    step: float | None
    log: bool
    whole: bool
    when: Mapping[str, tuple[Plain, ...]]


@dataclass(frozen=True)
class Space:
    """What may be searched.

    Attributes:
        name: a preset's name, or a file.
        settings: full names of settings, in the order in which they are drawn.
    """

    name: str
    settings: Mapping[str, Choices | Range]

    def draw(self, recipe: Recipe, pick: Callable[[str, Choices | Range], Plain]) -> dict[str, Plain]:
        """Return a value of each setting that is searched beside the values drawn before it.

        Args:
            recipe: gives the values of all settings that are not drawn.
            pick: called with a setting's name and what it may be, returns the value.
        """
        drawn: dict[str, Plain] = {}
        plain = recipe.as_dict()
        for name, allowed in self.settings.items():
            if is_searched(allowed, drawn, plain):
                drawn[name] = pick(name, allowed)
        return drawn

    def applied(self, recipe: Recipe, drawn: Mapping[str, Plain]) -> Recipe:
        """Return a recipe with drawn values in place of its own.

        Raises:
            RecipeError: two of the values contradict each other.
        """
        values = recipe.as_dict()
        for name, value in drawn.items():
            section, _, key = name.rpartition(".")
            values[section][key] = value
        return build_recipe(values, "drawn")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, ready for JSON."""
        return {
            name: {
                key: (list(value) if isinstance(value, tuple) else value)
                for key, value in vars(allowed).items()
                if key != "when"
            }
            | ({"when": {key: list(of) for key, of in allowed.when.items()}} if allowed.when else {})
            for name, allowed in self.settings.items()
        }


class _Line(BaseModel):
    """A setting's line in a file, where it is no plain list."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    choices: list[Plain] | None = None
    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    log: bool = False
    when: dict[str, list[Plain] | Plain] = {}


def is_searched(allowed: Choices | Range, drawn: Mapping[str, Plain], plain: Mapping[str, Any]) -> bool:
    """Return whether a setting is searched beside the values drawn before it, or else a recipe's as plain values."""
    return all((drawn[key] if key in drawn else value_of(plain, key)) in of for key, of in allowed.when.items())


def value_of(plain: Mapping[str, Any], name: str) -> Plain:
    """Return a setting's value by its full name, from a recipe as plain values."""
    section, _, key = name.rpartition(".")
    found: Plain = (plain[section] if section else plain)[key]
    return found


def space_names() -> list[str]:
    """Return the names of the spaces that come with soundfold."""
    folder = resources.files("soundfold.recipe") / "spaces"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_space(source: str | Path | None, recipe: Recipe) -> Space:
    """Return a search space, checked against the recipe that it changes.

    Args:
        source: a preset's name or a YAML file; None for the preset that goes with the recipe.
        recipe: the recipe that is searched from.

    Raises:
        PathError: the file does not exist.
        RecipeError: a setting is misspelt, a value is out of its range, or most draws contradict the recipe.
    """
    chosen = source if source is not None else _own(recipe)
    where, lines = _read(chosen)
    if not isinstance(lines, dict) or not lines:
        raise RecipeError(
            f"{where}: must hold a line a setting, got {'nothing' if not lines else type(lines).__name__}"
        )
    space = Space(str(chosen), {str(name): _setting(where, str(name), line) for name, line in lines.items()})
    _try_out(where, space, recipe)
    return space


def _own(recipe: Recipe) -> str:
    """Return the preset that goes with a recipe."""
    if recipe.training.optimizer == "lbfgs":
        return "linear"
    return "network" if recipe.model.start == "random" else "finetune"


def _read(source: str | Path) -> tuple[str, Any]:
    path = Path(source)
    if path.suffix.lower() in _SUFFIXES:
        return str(path), read_settings(path, "space", space_names(), "Write a line a setting: training.lr: [0.001]")
    if str(source) not in space_names():
        raise RecipeError(
            f"there is no space '{source}'.{did_you_mean(str(source), space_names())} A file's name must end in .yaml"
        )
    text = (resources.files("soundfold.recipe") / "spaces" / f"{source}.yaml").read_text(encoding="utf-8")
    return f"space '{source}'", parse(text)


def _setting(where: str, name: str, written: object) -> Choices | Range:
    """Return what a line says, each value checked against the setting's own range."""
    _check_name(where, name)
    if name in _NOT_SEARCHED:
        raise RecipeError(f"{where}: {name} cannot be searched: {_NOT_SEARCHED[name]}. Leave it out")
    try:
        line = _Line.model_validate({"choices": written} if isinstance(written, list) else written)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"][:2])
        raise RecipeError(
            f"{where}: {name} must be a list of choices, or {{low: …, high: …}} with log, step or when, got {written!r}"
            f"{f' (at {at})' if at else ''}"
        ) from None
    when = {key: tuple(of) if isinstance(of, list) else (of,) for key, of in line.when.items()}
    for key, allowed in when.items():
        _check_name(where, key)
        for value in allowed:
            _checked(where, key, value)
    if line.choices is not None:
        if not line.choices or line.low is not None or line.high is not None or line.step is not None or line.log:
            raise RecipeError(f"{where}: {name} must be one value or more, or else a range, got {written!r}")
        return Choices(tuple(dict.fromkeys(_checked(where, name, value) for value in line.choices)), when)
    if line.low is None or line.high is None:
        raise RecipeError(f"{where}: {name} must have both low and high, got {written!r}")
    if name.startswith(KEPT):
        raise RecipeError(
            f"{where}: {name} must be a list of choices, as features are kept for each value, got a range. "
            f"Write for instance {name}: [{line.low}, {line.high}]"
        )
    low, high = (_checked(where, name, value) for value in (line.low, line.high))
    if isinstance(low, str | bool | None) or isinstance(high, str | bool | None):
        raise RecipeError(f"{where}: {name} must be a list of choices, as it is no number, got a range")
    whole = isinstance(low, int)
    if not low < high:
        mend = f"Write one value as a choice: [{low:g}]" if low == high else "Change places"
        raise RecipeError(f"{where}: {name} must have low below high, got {low:g} and {high:g}. {mend}")
    if line.log and (low <= 0 or line.step is not None):
        raise RecipeError(f"{where}: {name} with log must have low above 0 and no step, got {written!r}")
    if line.step is not None and (line.step <= 0 or (whole and line.step != int(line.step))):
        raise RecipeError(f"{where}: {name} must have a step above 0, whole for whole numbers, got {line.step:g}")
    if line.step is not None and abs((high - low) / line.step - round((high - low) / line.step)) > _ROUNDING:
        raise RecipeError(f"{where}: {name} must go from low to high in whole steps, got {written!r}. Change high")
    return Range(low, high, line.step, line.log, whole, when)


def _check_name(where: str, name: str) -> None:
    keys = recipe_keys()
    if name not in keys:
        ends = [key for key in keys if key.rpartition(".")[2] == name]
        raise RecipeError(
            f"{where}: there is no setting '{name}'."
            f"{f' Write it in full: {ends[0]}' if ends else did_you_mean(name, keys)}"
        )


def _checked(where: str, name: str, value: Plain) -> Plain:
    """Return a value as the recipe takes it, a whole number as a float where the setting is one."""
    section, _, key = name.rpartition(".")
    model: Any = Recipe.model_fields[section].annotation if section else Recipe
    try:
        found: Plain = getattr(model.model_validate({key: value}), key)
    except ValidationError:
        build_recipe(
            {section: {key: value}} if section else {key: value}, where
        )  # which says it in the recipe's own words
        raise
    return found


def _try_out(where: str, space: Space, recipe: Recipe) -> None:
    """Raise if most draws contradict the recipe, or each other: a search would find next to nothing."""
    generator = random.Random(0)
    refused, told = 0, ""
    for _ in range(_DRAWS):
        drawn = space.draw(recipe, lambda _, allowed: _drawn(allowed, generator))
        if not drawn:
            raise RecipeError(f"{where}: no setting of it goes with this recipe. Name another --space")
        try:
            space.applied(recipe, drawn)
        except RecipeError as error:
            refused, told = refused + 1, str(error)
    if refused > _MOST_REFUSED * _DRAWS:
        raise RecipeError(f"{where}: {refused} of {_DRAWS} draws contradict the recipe; the last one: {told}")


def _drawn(allowed: Choices | Range, generator: random.Random) -> Plain:
    if isinstance(allowed, Choices):
        return generator.choice(allowed.values)
    if allowed.log:
        value = math.exp(generator.uniform(math.log(allowed.low), math.log(allowed.high)))
    else:
        value = generator.uniform(allowed.low, allowed.high)
    return min(max(round(value), int(allowed.low)), int(allowed.high)) if allowed.whole else value
