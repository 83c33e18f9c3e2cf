"""ESC-50: `meta/esc50.csv` and `audio/`, fifty classes, five official folds; ESC-10 is its rows with `esc10` True."""

from pathlib import Path

from soundfold.data.adapters.table import class_order, load_table, published_table, require_columns, whole_numbers
from soundfold.data.rows import Rows
from soundfold.errors import DataError

__all__ = ["TABLE", "matches", "read"]

_COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
TABLE = "esc50.csv"


def matches(folder: Path) -> bool:
    """Tell whether a folder holds ESC-50's table."""
    return _table(folder) is not None


def read(folder: Path) -> Rows:
    """Read ESC-50; choose ESC-10 with `where={"esc10": "true"}`.

    Args:
        folder: the folder that holds `meta` and `audio`.

    Returns:
        Its rows; `group` is the Freesound recording (`src_file`), labels are in target order.

    Raises:
        DataError: when the table is not the published one, or the sounds are not beside it.
    """
    source, audio = _table(folder), _audio(folder)
    if source is None or audio is None:
        raise DataError(f"{folder}: has {TABLE} but no folder audio. Unpack the sounds beside it.")
    table, _ = load_table(source)
    require_columns(table.columns, _COLUMNS, source)
    labels = class_order(table, "category", "target", source)
    table["target"] = whole_numbers(table, "target", source)
    table["path"] = [str(audio / name.strip()) for name in table["filename"]]
    table["label"] = table["category"]
    table["group"] = table["src_file"]
    return Rows(table, "ESC-50", folder, source, groups_known=True, labels=labels)


def _table(folder: Path) -> Path | None:
    return published_table(folder, "meta", TABLE, _audio(folder))


def _audio(folder: Path) -> Path | None:
    return next((place for place in (folder / "audio" / "audio", folder / "audio") if place.is_dir()), None)
