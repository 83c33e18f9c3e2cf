"""Where a published audio encoder's files lie: a folder that a person names, or huggingface.co's copy on this computer.

Three files make an encoder: `config.json`, `preprocessor_config.json` and `model.safetensors`. Weights in other formats
can run code when they are opened, and are not read; nor is code that comes with a network.
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from soundfold.errors import ModelFileError, PathError
from soundfold.models.hub import fetch_from_hub

__all__ = ["ENCODER_PREFIX", "WEIGHTS_FILE", "find_encoder", "read_encoder_config", "weights_digest"]

ENCODER_PREFIX = "hf/"
WEIGHTS_FILE = "model.safetensors"

_CONFIG = "config.json"
_EXTRACTORS = ("preprocessor_config.json", "processor_config.json")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def find_encoder(network: str, note: Callable[[str], None] | None = None) -> Path:
    """Return the folder of an encoder's files, fetching them from huggingface.co if need be and allowed.

    Args:
        network: `hf/` and a folder, or a name like `hf/openai/whisper-tiny`.
        note: hears that something is being fetched; None where nothing may be fetched.

    Raises:
        PathError: there is no such folder, or files are missing in it.
        DownloadError: the files are not here and cannot be fetched.
        ModelFileError: the weights are there in a format that is not read.
        MissingExtraError: the package that knows huggingface.co is missing.
    """
    told = network.removeprefix(ENCODER_PREFIX)
    folder = Path(told).expanduser()
    if not folder.is_dir():
        if not _HUB_NAME.fullmatch(told):
            raise PathError(
                f"features.network must be {ENCODER_PREFIX} and a folder that is here, or a name like "
                f"{ENCODER_PREFIX}openai/whisper-tiny, got {network}. Check the path"
            )
        mend = f"Bring its folder from another computer and name it: features.network={ENCODER_PREFIX}FOLDER"
        folder = fetch_from_hub(told, (_CONFIG, *_EXTRACTORS, WEIGHTS_FILE), WEIGHTS_FILE, note, mend)
    _check_files(folder)
    return folder


def read_encoder_config(folder: Path) -> dict[str, Any]:
    """Return what an encoder's `config.json` says.

    Raises:
        PathError: it cannot be read.
        ModelFileError: it is damaged.
    """
    path = folder / _CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PathError(f"{path}: cannot be read: {error.strerror or error}. Fetch the network anew") from error
    except ValueError as error:
        raise ModelFileError(f"{path}: is no configuration of a network, or is damaged. Fetch it anew") from error
    if not isinstance(config, dict):
        raise ModelFileError(f"{path}: is no configuration of a network, or is damaged. Fetch it anew")
    return config


def weights_digest(weights: Path) -> str:
    """Return a short hash of a file of weights, and of the settings beside it that decide what an encoder answers."""
    with weights.open("rb") as file:
        hasher = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    if weights.name == WEIGHTS_FILE:
        for name in (_CONFIG, *_EXTRACTORS):
            beside = weights.with_name(name)
            if beside.is_file():
                hasher.update(name.encode() + beside.read_bytes())
    return hasher.hexdigest()


def _check_files(folder: Path) -> None:
    if not (folder / _CONFIG).is_file():
        raise PathError(f"{folder}: holds no {_CONFIG}. Name a folder that transformers' save_pretrained wrote")
    if not any((folder / name).is_file() for name in _EXTRACTORS):
        raise PathError(
            f"{folder}: holds no {_EXTRACTORS[0]}, which tells how the network hears. Put it there as it was published"
        )
    if (folder / WEIGHTS_FILE).is_file():
        return
    mend = "Load the network once with transformers, save it by save_pretrained, and name that folder"
    if any(folder.glob("*.safetensors.index.json")):
        raise ModelFileError(f"{folder}: weights must lie in one file, got several. Choose a smaller network")
    raise ModelFileError(f"{folder}: must hold {WEIGHTS_FILE}; other formats can run code. {mend}")
