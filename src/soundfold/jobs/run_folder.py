"""A run's folder: made once, never overwritten unasked, continued only with the settings that it was begun with."""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from soundfold import __version__
from soundfold.atomic import write_text
from soundfold.errors import PathError, RunError, SoundfoldError
from soundfold.jobs.reporting import Reporter
from soundfold.recipe import Recipe, load_recipe, save_recipe, with_defaults
from soundfold.runtime.run_mark import MARK_NAME, METRICS_NAME, identity_of

__all__ = [
    "METRICS_NAME",
    "RECIPE_NAME",
    "begin",
    "check_out",
    "next_free",
    "run_folder",
]

RECIPE_NAME = "recipe.yaml"
_LOCK_NAME = ".lock"
_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")  # as `atomic.replacing` names them


def next_free(stem: str, folder: str = "runs", *, bare_first: bool = False) -> Path:
    """Return the first of `runs/STEM-1`, `runs/STEM-2`, … at which nothing stands; `bare_first` tries `STEM` for 1."""
    number = 1
    while True:
        path = Path(folder) / (stem if bare_first and number == 1 else f"{stem}-{number}")
        if not os.path.lexists(path):
            return path
        number += 1


def check_out(path: Path, *, resume: bool, reporter: Reporter | None = None) -> None:
    """Raise unless a run may be written to this folder; jobs ask before the long work, and again when they write.

    Args:
        path: the folder.
        resume: whether a run that stands in it may be continued.
        reporter: hears if none does.

    Raises:
        PathError: something is in the way.
        RunError: there is something to continue, but it is no run.
    """
    if path.is_symlink() and not path.exists():
        raise PathError(f"{path}: is a link that leads nowhere. Choose another --out")
    if not path.exists():
        _tell_if_new(path, resume, reporter)
        above = next(parent for parent in path.absolute().parents if parent.exists())
        try:
            Path(tempfile.mkdtemp(dir=above)).rmdir()  # permissions alone do not tell of read-only disks and the like
        except OSError as error:
            raise PathError(
                f"{path}: cannot be made, because {above} may not be written ({error.strerror}). Choose another --out"
            ) from None
        return
    if not path.is_dir():
        raise PathError(f"{path}: is a file. Choose another --out")
    # hidden files are no one's work: our lock, a part of a file that a kill left, a file manager's notes
    if all(entry.name.startswith(".") for entry in path.iterdir()):
        _tell_if_new(path, resume, reporter)
        return
    begun = (path / MARK_NAME).exists()
    if not resume:
        mend = "Choose another --out, or continue the run with --resume" if begun else "Choose another --out"
        raise PathError(f"{path}: is not empty. {mend}")
    if not begun:
        raise RunError(f"{path}: is not a run that could be continued. Choose another --out")


def _tell_if_new(path: Path, resume: bool, reporter: Reporter | None) -> None:
    """Say that nothing is continued: a mistyped folder would cost the whole work once more."""
    if resume and reporter is not None:
        reporter.note(f"{path}: nothing to resume, starting anew")


def begin(folder: Path, identity: Mapping[str, Any]) -> None:
    """Write down what a folder's work is begun with, or see that it is continued with the same.

    Args:
        folder: asked about before (`check_out`); made if it is not there.
        identity: plain values that decide the result.

    Raises:
        RunError: it was begun with other settings, or what it was begun with is damaged.
    """
    begun = folder / MARK_NAME
    if begun.exists():
        then = identity_of(folder)
        if not then:
            raise RunError(f"{begun}: is damaged, so the run cannot be continued. Choose another --out")
        _check_same(folder, _whole(then), _whole(identity))
        return
    folder.mkdir(parents=True, exist_ok=True)
    _clear_parts(folder, f".{begun.name}.*.part")
    write_text(begun, json.dumps(identity, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def run_folder(path: Path, recipe: Recipe, identity: Mapping[str, Any], *, resume: bool) -> Iterator[Path]:
    """Make a run's folder, or reopen one to continue it; hold it against other processes inside the block.

    Args:
        path: the folder.
        recipe: saved as `recipe.yaml`.
        identity: plain values that decide the result beside the recipe; a continued run must have the same.
        resume: whether an existing run may be continued.

    Raises:
        PathError: something is in the way, or the folder cannot be written.
        RunError: the run was begun with other settings, or another process works on it.
    """
    check_out(path, resume=resume)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with _held(path):
            continued = (path / MARK_NAME).exists()
            begin(path, {**identity, "recipe": recipe.as_dict()})
            if continued:
                _clear_parts(path, ".*.part", "*/.*.part")
            if not _holds_a_recipe(path / RECIPE_NAME):
                save_recipe(recipe, path / RECIPE_NAME)
            yield path
    except Timeout:
        raise RunError(f"{path}: another process works on this run. Wait for it, or choose another --out") from None
    except PermissionError as error:
        raise PathError(f"{error.filename or path}: may not be written. Choose another --out") from None


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a folder against other processes, and leave no trace of it."""
    with FileLock(path / _LOCK_NAME, timeout=0):
        try:
            yield
        finally:
            if os.name != "nt":  # Windows removes no file that is open, and opens it again next time
                (path / _LOCK_NAME).unlink(missing_ok=True)


def _holds_a_recipe(path: Path) -> bool:
    try:
        load_recipe(path)
    except SoundfoldError:
        return False
    return path.stat().st_size > 0  # of nothing at all, every setting would be at its default


def _clear_parts(path: Path, *patterns: str) -> None:
    """Remove what a kill left half written; anything that is not named as ours is someone's work."""
    for pattern in patterns:
        for part in path.glob(pattern):
            if _PART.fullmatch(part.name):
                part.unlink(missing_ok=True)


def _whole(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run was begun with, with the settings of the recipe that came later at their defaults."""
    recipe = identity.get("recipe")
    return {**identity, "recipe": with_defaults(recipe)} if isinstance(recipe, Mapping) else dict(identity)


def _check_same(path: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise at the first setting that is not what it was when the run began."""
    before, after = _flat(then), _flat(json.loads(json.dumps(now)))
    # another verb has other settings; a changed recipe or split changes the clips' digest too: each is told first
    for key in sorted(before.keys() | after.keys(), key=lambda key: (key != "verb", key in ("clips", "sounds"), key)):
        if before.get(key) != after.get(key):
            if key == "sounds":
                raise RunError(f"{path}: the sounds have changed since this run began. Choose another --out")
            if key == "clips":
                raise RunError(
                    f"{path}: labels, folds or recordings of the clips have changed since this run began. "
                    f"Choose another --out"
                )
            mend = "Continue with the same settings"
            if key.startswith("recipe.") and key not in after:
                mend = f"Soundfold {__version__} does not know that; continue with the version that began it"
            elif key.startswith("recipe."):  # a preset may be another one in this version
                mend = "Continue with the recipe that it was begun with, which is taken where none is named"
            raise RunError(
                f"{path}: was begun with {key} = {before.get(key)}, got {after.get(key)}. {mend}, or choose "
                f"another --out"
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
