"""Speech Commands v2: a folder a word, and two lists that name the clips of the validation and the testing set.

The speaker, the part of a file's name before `_nohash_`, is the recording: one voice never stands on both sides.
"""

from pathlib import Path

import pandas as pd

from soundfold.data.clips import LeftOut
from soundfold.data.files import scan_sounds
from soundfold.data.rows import Rows
from soundfold.errors import DataError
from soundfold.wording import counted

__all__ = ["matches", "read"]

_LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
_NOISE = "_background_noise_"


def matches(folder: Path) -> bool:
    """Tell whether a folder holds Speech Commands' two lists."""
    return all((folder / name).is_file() for name in _LISTS.values())


def read(folder: Path) -> Rows:
    """Read Speech Commands.

    Args:
        folder: the folder that holds the words' folders and the two lists.

    Returns:
        Its rows with folds training, validation and testing; the long noise recordings are kept out, and noted.

    Raises:
        DataError: when no word's folder holds a sound, or a list cannot be read.
    """
    scan = scan_sounds(folder)
    fold_of: dict[str, str] = {}
    for fold, name in _LISTS.items():
        fold_of |= dict.fromkeys(_listed(folder / name), fold)
    words = [parts for parts in scan.sounds if len(parts) == 2 and parts[0] != _NOISE]
    names = ["/".join(parts) for parts in words]
    if not words:
        raise DataError(f"{folder}: has the two lists but no sound in a word's folder. Unpack the sounds beside them.")
    table = pd.DataFrame(
        {
            "path": [str(folder.joinpath(*parts)) for parts in words],
            "label": [parts[0] for parts in words],
            "fold": [fold_of.get(name, "training") for name in names],
            "group": [parts[1].split("_nohash_")[0] for parts in words],
        }
    )
    missing = sorted(set(fold_of) - set(names))
    noise = sum(parts[0] == _NOISE for parts in scan.sounds)
    words_for_it = "recording is no spoken word and was", "recordings are no spoken words and were"
    notes = [f"In {_NOISE} {counted(noise, *words_for_it)} kept out."] if noise else []
    return Rows(
        table,
        "Speech Commands v2",
        folder,
        folder,
        groups_known=True,
        listed=True,
        left_out=tuple(
            LeftOut(str(folder / name), f"the file is missing: {_LISTS[fold_of[name]]} names it") for name in missing
        ),
        notes=tuple(notes),
    )


def _listed(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not written in UTF-8. Take the published list.") from error
    return [line.strip().replace("\\", "/") for line in lines if line.strip()]
