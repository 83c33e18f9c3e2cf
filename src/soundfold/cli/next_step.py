"""The command that a finished verb names as the next one: it can be taken as it stands."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["train_on_all"]


def train_on_all(
    data: Path, recipe: Path, where: Mapping[str, str], *, seeds: int = 1, calibrate: Path | None = None
) -> str:
    """Return the command that trains the model to use: the same clips, all of them, by a recipe that was scored.

    Args:
        data: as the user named it.
        recipe: the file.
        where: the part of the data that was scored; empty for the whole.
        seeds: networks that differ in their seed.
        calibrate: folder of the cross-validation to calibrate by; None for a model that is not calibrated.

    >>> train_on_all(Path("ESC-50"), Path("my runs/recipe.yaml"), {"esc10": "true"})
    "soundfold train ESC-50 --all --recipe 'my runs/recipe.yaml' --where esc10=true"
    """
    words = ["soundfold", "train", str(data), "--all"]
    if seeds > 1:
        words += ["--seeds", str(seeds)]
    words += ["--recipe", str(recipe)]
    if calibrate is not None:
        words += ["--calibrate", str(calibrate)]
    words += [word for column, value in where.items() for word in ("--where", f"{column}={value}")]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
