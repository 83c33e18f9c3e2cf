"""Where a model file lies: what a person named is the file itself, or the folder of the run that made it."""

from pathlib import Path

from soundfold.audio.source import AUDIO_SUFFIXES
from soundfold.errors import ModelFileError, PathError

__all__ = ["find_model"]

_NAME = "model.onnx"
_RUN = "run.json"  # stands in every folder of a run, from its first moment


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
        raise PathError(
            f"{path}: there is no such model file or run. Train one with: soundfold train DATA --out {path}"
        )
    model = path / _NAME
    if model.is_file():
        return model
    folds = sorted(part.parent.name for part in path.glob(f"fold*/{_NAME}"))
    if folds:
        raise ModelFileError(
            f"{path}: is a cross-validation with a model a fold. Name one ({path / folds[0]}), or train the one to use "
            f"with: soundfold train DATA --all --recipe {path / 'recipe.yaml'}. Their mean is made by the "
            f"command that made the run, with --out {path} --ensemble --resume"
        )
    if not (path / _RUN).is_file():
        raise ModelFileError(
            f"{path}: is no model file and no run. Name one, or train one with: soundfold train DATA --out RUN"
        )
    raise ModelFileError(f"{path}: holds no finished model. Give its soundfold train --resume, or name a model file")
