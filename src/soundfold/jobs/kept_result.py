"""What a finished training or cross-validation has left: whether all of it is there, and belongs together."""

import hashlib
import json
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from soundfold import __version__
from soundfold.data.splits import Split
from soundfold.errors import RunError
from soundfold.evaluation import CvResult, SplitSummary, TrainResult, read_predictions
from soundfold.recipe import Recipe, with_defaults
from soundfold.runtime.run_mark import METRICS_NAME, continuing

__all__ = [
    "MODEL_NAME",
    "PREDICTIONS_NAME",
    "WEIGHTS_NAME",
    "digests",
    "files_of",
    "is_whole",
    "predictions_of",
    "read_result",
    "read_training",
]

Result = TypeVar("Result", bound=BaseModel)

MODEL_NAME = "model.onnx"
PREDICTIONS_NAME = "predictions.parquet"
WEIGHTS_NAME = "weights.safetensors"


def files_of(split: Split, *, joint: bool = False) -> list[str]:
    """Return the files that a training of a split leaves beside its result.

    Args:
        split: what it learns from and is scored on.
        joint: of several networks in one model, whose weights lie in their own folders.
    """
    weights = [] if joint else [WEIGHTS_NAME]
    return [MODEL_NAME, *weights, *([PREDICTIONS_NAME] if len(split.test) else [])]


def is_whole(folder: Path, *names: str) -> bool:
    """Return whether a folder holds a result and these files beside it, none of them damaged or another's.

    Results of earlier versions do not tell their files apart; of those they must only be there.
    """
    try:
        told = json.loads((folder / METRICS_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (ValueError, RecursionError):
        told = {}  # to be refused by whoever reads it
    known = told.get("files") if isinstance(told, dict) else None
    return all(_is_the_one(folder, name, known) for name in names)


def _is_the_one(folder: Path, name: str, known: object) -> bool:
    if not (folder / name).is_file():
        return False
    own = known.get(name) if isinstance(known, dict) else None
    return own is None or own == digests(folder, name)[name]


def digests(folder: Path, *names: str) -> dict[str, str]:
    """Return a short text for each of these files, by which a result knows it again."""
    found = {}
    for name in names:
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return found


def read_result(path: Path, kind: type[Result]) -> Result:
    """Return the result of a finished run.

    Raises:
        RunError: the file is damaged, or another version of soundfold wrote it.
    """
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
        if unknown and len(unknown) == error.error_count():  # all that is wrong: it is whole, and not this version's
            name = ".".join(map(str, unknown[0]["loc"]))
            raise RunError(
                f"{path}: holds '{name}', which soundfold {__version__} does not know. Read it with the version that "
                f"wrote it; its versions.soundfold tells which"
            ) from None
        raise _damaged(path) from None
    except ValueError:
        raise _damaged(path) from None


def read_training(path: Path, split: SplitSummary, recipe: Recipe) -> TrainResult:
    """Return the result of a finished training, which must be the one that is asked for.

    A folder of another fold, seed or recipe may have been copied into its place; its clips would be scored twice.

    Args:
        path: its metrics.json.
        split, recipe: what it was to learn.

    Raises:
        RunError: as `read_result`, or it learned something else.
    """
    result = read_result(path, TrainResult)
    kept = with_defaults(result.recipe)
    for what, then, now in (("split", result.split, split), ("recipe", kept, recipe.as_dict())):
        if then != now:
            raise RunError(
                f"{path.parent}: holds a training of another {what} than this run's. Remove that folder, and --resume "
                f"trains it again"
            )
    return result


def predictions_of(folder: Path, result: TrainResult | CvResult) -> pd.DataFrame:
    """Return the predictions that a finished run's result was made from.

    Args:
        folder: the run's.
        result: what its metrics.json holds.

    Raises:
        RunError: they are lost, or others stand in their place; results of earlier versions know their number alone.
        DataError: the table is damaged.
    """
    path = folder / PREDICTIONS_NAME
    if not path.is_file():
        raise RunError(f"{path}: is lost. {continuing(folder)}")
    table = read_predictions(path) if _is_the_one(folder, PREDICTIONS_NAME, result.files) else None
    if table is None or len(table) != result.n:
        raise RunError(
            f"{path}: is not the table that {METRICS_NAME} beside it was made from. Put that one back, or have it made "
            f"again. {continuing(folder)}"
        )
    return table


def _damaged(path: Path) -> RunError:
    return RunError(f"{path}: is damaged. Remove it, and --resume makes it again")
