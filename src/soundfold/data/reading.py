"""Find out what a path holds, and have its adapter read it: `read_clips` is the one way from disk to clips."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from soundfold.audio import AUDIO_SUFFIXES
from soundfold.data import esc50, folders, speech_commands, table, urbansound8k
from soundfold.data.clips import Clips, natural_order
from soundfold.data.files import is_hidden, scan_sounds
from soundfold.data.rows import Rows, checked
from soundfold.errors import DataError, PathError, did_you_mean

__all__ = ["read_clips"]


@dataclass(frozen=True)
class _Adapter:
    name: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], Rows]


_PUBLISHED = (
    _Adapter("UrbanSound8K", urbansound8k.matches, urbansound8k.read),
    _Adapter("ESC-50", esc50.matches, esc50.read),
    _Adapter("Speech Commands", speech_commands.matches, speech_commands.read),
)
_TABLES = frozenset({urbansound8k.TABLE, esc50.TABLE})
_PARTS = frozenset({"audio", "meta", "metadata"})  # folders of a published data set that people point at
_WRAPPINGS = frozenset({"audio", "clips", "data", "dataset", "samples", "sounds", "wav", "wavs"})


def read_clips(path: str | Path, *, where: Mapping[str, str] | None = None) -> Clips:
    """Read a data set: UrbanSound8K, ESC-50, Speech Commands v2, folders of sounds, or a table.

    Sounds are looked for and not opened. A folder beside or around the data set is followed when only one can be meant;
    the clips' notes say so.

    Args:
        path: a folder, or a .csv, .tsv or .parquet file with the columns path,label[,fold][,group][,start][,end].
        where: keeps the rows whose column has this value, compared as text in any case: `{"esc10": "true"}` is ESC-10.

    Returns:
        At least one clip; rows that cannot be used are in `left_out`, with the reason.

    Raises:
        PathError: when the path is not there or may not be read.
        DataError: when what it holds cannot be used; the message names the file, and the mend.
    """
    place = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - takes '..' out, and follows no link
    if not place.exists():
        raise PathError(f"{path}: no such file or folder.{_near(place) or ' Check the path.'}")
    rows = _read_folder(place) if place.is_dir() else _read_file(place)
    return checked(rows, where)


def _read_file(path: Path) -> Rows:
    suffix = path.suffix.lower()
    if suffix in table.TABLE_SUFFIXES:
        if path.name in _TABLES:
            for folder in (path.parent, path.parent.parent):
                if adapter := _published(folder):
                    return _followed(adapter.read(folder), f"{path.name} is the table of {adapter.name} in {folder}.")
        return table.read(path)
    mend = "Point at a folder of sounds, or at a .csv, .tsv or .parquet table."
    if suffix in AUDIO_SUFFIXES:
        raise DataError(f"{path}: is a single sound, no data set. {mend}")
    if suffix in {".zip", ".gz", ".tgz", ".tar", ".7z", ".rar"}:
        raise DataError(f"{path}: is an archive. Unpack it and point at the folder.")
    raise DataError(f"{path}: is no data set. {mend}")


def _read_folder(folder: Path) -> Rows:
    if adapter := _published(folder):
        return adapter.read(folder)
    if rows := _around(folder):
        return rows
    if rows := _inside(folder):
        return rows
    return _own_folders(folder)


def _around(folder: Path) -> Rows | None:
    """Read the published data set that a folder is a part of."""
    if folder.name.lower() in _PARTS and (adapter := _published(folder.parent)):
        return _followed(adapter.read(folder.parent), f"{folder} is a part of {adapter.name}; read {folder.parent}.")
    above = folder.parent.parent
    if folder.parent.name.lower() in _PARTS and (adapter := _published(above)):
        raise DataError(f"{folder}: is a part of {adapter.name}. Point at {above}; a fold is chosen by its name.")
    return None


def _inside(folder: Path) -> Rows | None:
    """Read the one published data set that stands in a folder, as in an archive that was unpacked into its own name."""
    inner = [(child, adapter) for child in _children(folder) if (adapter := _published(child))]
    if len(inner) > 1:
        names = ", ".join(str(child) for child, _ in inner)
        raise DataError(f"{folder}: holds {len(inner)} data sets. Point at one of them: {names}.")
    if not inner:
        return None
    child, adapter = inner[0]
    return _followed(adapter.read(child), f"{adapter.name} was found in {child}.")


def _own_folders(folder: Path) -> Rows:
    """Read folders of labels, or the table that stands beside sounds which no folder labels."""
    scan = scan_sounds(folder)
    labels = folders.label_folders(scan)
    tables = [
        file for file in _tables(folder) if {"path", "label"} <= {name.casefold() for name in table.header_of(file)}
    ]
    if len(tables) == 1 and len(labels) < 2:
        return _followed(table.read(tables[0]), f"The table {tables[0].name} was found in {folder}.")
    if len(labels) == 1 and all(len(parts) > 2 for parts in scan.sounds):
        inner = folder / labels[0]
        if labels[0].casefold() in {folder.name.casefold(), *_WRAPPINGS}:
            return _followed(folders.read(inner), f"The only folder in {folder} is '{labels[0]}'; read that.")
    rows = folders.read(folder, scan)
    if tables:
        names = ", ".join(file.name for file in tables)
        rows = _followed(rows, f"There is a table too ({names}); point at it to read that in place of the folders.")
    return rows


def _published(folder: Path) -> _Adapter | None:
    return next((adapter for adapter in _PUBLISHED if adapter.matches(folder)), None)


def _followed(rows: Rows, note: str) -> Rows:
    return replace(rows, notes=(note, *rows.notes))


def _children(folder: Path) -> Iterator[Path]:
    for name in natural_order(entry.name for entry in _listed(folder)):
        if not is_hidden(name) and (folder / name).is_dir():
            yield folder / name


def _tables(folder: Path) -> list[Path]:
    files = (entry for entry in _listed(folder) if entry.suffix.lower() in table.TABLE_SUFFIXES)
    return sorted(file for file in files if not is_hidden(file.name) and file.is_file())


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise PathError(f"{folder}: the folder cannot be read ({error.strerror}). Check its permissions.") from error


def _near(path: Path) -> str:
    """Offer the name beside a missing path that was probably meant."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if not is_hidden(entry.name)]
    except OSError:
        return ""
    near = did_you_mean(path.name, names)
    return near if "Did you mean" in near else ""
