"""Where a model file lies: what a person named is the file itself, or the folder of the run that made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soundfold.audio.source import AUDIO_SUFFIXES
from soundfold.errors import ModelFileError, PathError
from soundfold.runtime.command_line import as_typed, train_on_all
from soundfold.runtime.run_mark import (
    HOLDERS,
    LADDER_NAME,
    METRICS_NAME,
    begun_in,
    continuing,
    identity_of,
    is_of_a_run,
)
from soundfold.wording import natural_order

__all__ = ["find_model"]

_NAME = "model.onnx"


def find_model(path: Path) -> Path:
    """Return the model file that a path means.

    Raises:
        PathError: there is nothing at the path.
        ModelFileError: it is a run without a finished model, another file of a run, a sound, or neither run nor model.
    """
    if path.is_file():
        if path.suffix.lower() in AUDIO_SUFFIXES:
            raise ModelFileError(f"{path}: is a sound, no model. Name a model file or a run, before any sounds")
        beside = path.with_name(_NAME)
        # a hidden file is one being written, which is opened before it takes its place
        if path.suffix.lower() != ".onnx" and not path.name.startswith(".") and beside.is_file():
            raise ModelFileError(f"{path}: is not the model file, which stands beside it. Name {beside}")
        return path
    if not path.exists():
        if path.is_symlink():
            raise PathError(f"{path}: is a link that leads nowhere. Mend it, or name the model file itself")
        raise PathError(f"{path}: there is no such model file or run. {_making(path)}")
    model = path / _NAME
    if model.is_file():
        return model
    raise ModelFileError(f"{path}: {_what_else(path)}")


def _making(path: Path) -> str:
    """Return the command that makes what a path names: a run is a folder, a file of a model comes out of one."""
    if path.suffix.lower() == ".onnx":
        return f"Name a run's folder, or make the file of one with: soundfold export RUN {as_typed('--out', path)}"
    return f"Train one with: soundfold train DATA {as_typed('--out', path)}"


def _what_else(path: Path) -> str:
    """Return what a folder without a model file is in its place, and what to do about it."""
    begun = identity_of(path)
    finished = any((path / name).is_file() for name in (METRICS_NAME, LADDER_NAME))
    verb, training = begun.get("verb"), _training(begun, path / "recipe.yaml")
    if verb in HOLDERS:
        inner = _with_models(path, "*/fold*")
        if verb == "tune" and finished:
            other = f". Or name a fold's model: {inner[0]}" if inner else ""
            return f"is {HOLDERS[verb]}, which keeps a recipe. Train the model to use with: {training}{other}"
        if verb == "ladder" and inner:
            return f"is {HOLDERS[verb]}. Name the model of a rung's fold: {inner[0]}"
        if verb == "ladder" and finished:
            return f"is {HOLDERS[verb]}, none of which has a model file. Train one with: {_training(begun, None)}"
        return f"is {HOLDERS[verb]} that is not finished. {continuing(path)}"
    if (name := _hears_nothing(begun)) is not None:
        return (
            f"is a run of {name}, which hears nothing and has no model file. Train one with: {_training(begun, None)}"
        )
    folds, joining = _with_models(path, "fold*"), as_typed("--out", path, "--ensemble", "--resume")
    if folds and verb is None and begun_in(path) is not None:  # what a search tuned
        return f"holds a model a fold. Name one: {folds[0]}"
    if folds and (finished or verb is None):
        return (
            f"is a cross-validation with a model a fold. Name one ({folds[0]}), or train the one to use with: "
            f"{training}. Their mean is made by the command that made the run, with {joining}"
        )
    if folds:
        return f"is a cross-validation that is not finished. {continuing(path)}. Or name a fold's model: {folds[0]}"
    if is_of_a_run(path):
        return f"holds no finished model. {continuing(path)}"
    return "is no model file and no run. Name one, or train one with: soundfold train DATA --out RUN"


def _hears_nothing(begun: Mapping[str, Any]) -> str | None:
    """Return the name of a run that learns from no sound, so that its recipe has no settings; None for any other."""
    recipe = begun.get("recipe")
    return str(recipe["name"]) if isinstance(recipe, Mapping) and recipe.keys() == {"name"} else None


def _training(begun: Mapping[str, Any], recipe: Path | None) -> str:
    """Return the command that trains the model to use by a run's recipe, on what the run says it was begun with."""
    data, where, seeds = (begun.get(name) for name in ("data", "where", "seeds"))
    return train_on_all(
        Path(data) if isinstance(data, str) else Path("DATA"),
        recipe,
        where if isinstance(where, Mapping) else {},
        seeds=seeds if isinstance(seeds, int) else 1,
    )


def _with_models(folder: Path, pattern: str) -> list[Path]:
    """Return the folders inside a folder that hold a model file, as people count."""
    found = [str(model.parent.relative_to(folder)) for model in folder.glob(f"{pattern}/{_NAME}")]
    return [folder / name for name in natural_order(found)]
