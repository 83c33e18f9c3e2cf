"""The mark of a run, `run.json`: what a folder's work was begun with, and the command that goes on with it."""

import json
from pathlib import Path
from typing import Any

from soundfold.runtime.command_line import as_typed, where_words

__all__ = [
    "HOLDERS",
    "LADDER_NAME",
    "MARK_NAME",
    "METRICS_NAME",
    "UNTUNED_NAME",
    "begun_in",
    "continuing",
    "identity_of",
    "is_of_a_run",
]

MARK_NAME = "run.json"
"""Stands in every folder of a run, from its first moment."""

METRICS_NAME = "metrics.json"
"""Stands in the folder of a run, or of a training that is a part of one, that is finished."""

LADDER_NAME = "ladder.json"
"""And in that of a ladder that is."""

UNTUNED_NAME = "untuned"
"""The folder, in that of a search, of the cross-validation by the recipe as it was."""

_PARTS = "log.csv"  # stands in the folder of each training, a fold's too

HOLDERS = {"tune": "a search of soundfold tune's", "ladder": "a ladder with a run a rung"}
"""Verbs whose work is no run and holds several, each with what it is called."""


def identity_of(folder: Path) -> dict[str, Any]:
    """Return what a folder's work was begun with; empty where it does not say, or cannot be read.

    Where there is a `verb`, it is a text: a file that was made by hand may hold anything.
    """
    try:
        identity = json.loads((folder / MARK_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # the last of lists in lists in lists
        return {}
    if not isinstance(identity, dict):
        return {}
    return {name: value for name, value in identity.items() if name != "verb" or isinstance(value, str)}


def is_of_a_run(folder: Path) -> bool:
    """Return whether a folder is that of a run or of a part of one, such as a fold, finished or not."""
    return any((folder / name).is_file() for name in (MARK_NAME, _PARTS))


def begun_in(folder: Path) -> Path | None:
    """Return the folder whose command made a folder of a run: of a part, the whole's; None where nothing tells.

    A fold's folder lies in its cross-validation's, a rung's in its ladder's, a tuned fold's two levels below its
    search's.
    """
    own = next((place for place in (folder, *folder.absolute().parents[:2]) if "verb" in identity_of(place)), None)
    return None if own is None else _holder_of(own) or own


def _holder_of(run: Path) -> Path | None:
    """Return the folder of the work that a run is a part of; None for one of its own, wherever it was put.

    A search has one cross-validation, of the recipe as it was; a ladder one a rung. All are of the same data.
    """
    begun, above = identity_of(run), run.absolute().parent
    holder = identity_of(above)
    if begun.get("verb") != "cv" or holder.get("data") != begun.get("data"):
        return None
    is_part = holder.get("verb") == "ladder" or (holder.get("verb") == "tune" and run.absolute().name == UNTUNED_NAME)
    return above if is_part else None


def continuing(folder: Path) -> str:
    """Return the sentence that names the command by which a folder of a run is finished, with all that its mark tells.

    The recipe is taken from the folder. Which folds were asked for, or how long a search is to be, the mark does not
    tell as it was typed.
    """
    whole = begun_in(folder)
    if whole is None:
        return "Continue what made it with --resume"
    begun = identity_of(whole)
    verb, data, where, seeds = (begun.get(name) for name in ("verb", "data", "where", "seeds"))
    words: list[str | Path] = ["soundfold", str(verb), data if isinstance(data, str) else "DATA"]
    if verb == "train" and begun.get("split") == "everything":
        words.append("--all")
    words += where_words(where) if isinstance(where, dict) else []
    words += ["--seeds", str(seeds)] if isinstance(seeds, int) else []
    command = as_typed(*words, "--out", whole, "--resume")
    return f"Continue it, with any other options that it was begun with: {command}"
