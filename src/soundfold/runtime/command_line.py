"""The commands that are told to go on with: they can be taken as they stand."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["as_typed", "train_on_all", "where_words"]


def as_typed(*words: str | Path) -> str:
    """Return words of a command as they are typed: quoted where a shell would part them.

    >>> as_typed("--out", Path("my runs"), "--resume")
    "--out 'my runs' --resume"
    """
    texts = list(map(str, words))
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def where_words(where: Mapping[str, str]) -> list[str]:
    """Return the words that choose a part of the data.

    >>> where_words({"esc10": "true"})
    ['--where', 'esc10=true']
    """
    return [word for column, value in where.items() for word in ("--where", f"{column}={value}")]


def train_on_all(
    data: Path, recipe: Path | None, where: Mapping[str, str], *, seeds: int = 1, calibrate: Path | None = None
) -> str:
    """Return the command that trains the model to use: the same clips, all of them, by a recipe that was scored.

    Args:
        data: as the user named it.
        recipe: the file; None for the one that is taken where none is named.
        where: the part of the data that was scored; empty for the whole.
        seeds: networks that differ in their seed.
        calibrate: folder of the cross-validation to calibrate by; None for a model that is not calibrated.

    >>> train_on_all(Path("ESC-50"), Path("my runs/recipe.yaml"), {"esc10": "true"})
    "soundfold train ESC-50 --all --recipe 'my runs/recipe.yaml' --where esc10=true"
    """
    words = ["soundfold", "train", str(data), "--all"]
    if seeds > 1:
        words += ["--seeds", str(seeds)]
    if recipe is not None:
        words += ["--recipe", str(recipe)]
    if calibrate is not None:
        words += ["--calibrate", str(calibrate)]
    return as_typed(*words, *where_words(where))
