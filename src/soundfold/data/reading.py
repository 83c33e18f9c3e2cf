"""Find out what a path holds, and have its adapter read it: `read_clips` is the one way from disk to clips."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from soundfold.audio import AUDIO_SUFFIXES, is_hidden, walk
from soundfold.data.adapters import esc50, folders, speech_commands, table, urbansound8k
from soundfold.data.clips import Clips
from soundfold.data.files import Scan, scan_sounds
from soundfold.data.labelling import HowMany
from soundfold.data.rows import Rows, checked
from soundfold.errors import DataError, PathError, did_you_mean
from soundfold.wording import listed, natural_order, quoted

__all__ = ["find_data", "read_clips"]


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
_MOST_NAMED = 5
_MOST_LEVELS = 4  # so deep a published data set is looked for; a link may lead in a circle
_PARTS = frozenset({"audio", "meta", "metadata"})  # folders of a published data set that people point at
_WRAPPINGS = frozenset({"audio", "clips", "data", "dataset", "samples", "sounds", "wav", "wavs"})


def read_clips(path: str | Path, *, where: Mapping[str, str] | None = None, labels: HowMany = "auto") -> Clips:
    """Read a data set: UrbanSound8K, ESC-50, Speech Commands v2, folders of sounds, or a table.

    Sounds are looked for and not opened. A folder beside or around the data set is followed when only one can be meant;
    the clips' notes say so.

    Args:
        path: a folder, or a .csv, .tsv or .parquet file with the columns path,label[,fold][,group][,start][,end].
        where: keeps the rows whose column has this value, compared as text in any case: `{"esc10": "true"}` is ESC-10.
        labels: how many a clip bears: one, several (any number, an empty cell none), or auto: several where a cell of
            a table parts them with `;` or holds a list.

    Returns:
        At least one clip; rows that cannot be used are in `left_out`, with the reason.

    Raises:
        PathError: when the path is not there or may not be read.
        DataError: when what it holds cannot be used; the message names the file, and the mend.
    """
    place = find_data(path)
    rows = _read_folder(place) if place.is_dir() else _read_file(place)
    return checked(rows, where, labels)


def find_data(path: str | Path) -> Path:
    """Return the absolute path of what a user named.

    Raises:
        PathError: there is nothing.
    """
    place = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - takes '..' out, and follows no link
    if not place.exists():
        raise PathError(f"{path}: no such file or folder.{_near(place) or ' Check the path.'}")
    return place


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


def _inside(folder: Path, levels: int = _MOST_LEVELS) -> Rows | None:
    """Read the one published data set that stands in a folder, as in an archive that was unpacked into its own name.

    It may stand deeper, where each folder on the way holds one folder alone.
    """
    children = list(_children(folder))
    inner = {child: adapter for child in children if (adapter := _published(child))}
    if not inner:
        return _inside(children[0], levels - 1) if len(children) == 1 and levels > 1 else None
    kinds = {child: adapter.name for child, adapter in inner.items()}
    kinds |= {child: "sounds" for child in children if child not in inner and _holds_sounds(child)}
    if len(kinds) > 1:
        named = [f"{child} ({kinds[child]})" for child in children if child in kinds]
        told = listed(named, _MOST_NAMED)
        raise DataError(f"{folder}: holds {len(named)} data sets. Point at one of them: {told}.")
    ((child, adapter),) = inner.items()
    rows = _followed(adapter.read(child), f"{adapter.name} was found in {child}.")
    tables = _clip_tables(folder)
    return _followed(rows, f"There is a table too ({_names(tables)}); point at it to read that.") if tables else rows


def _own_folders(folder: Path) -> Rows:
    """Read folders of labels, or the table that stands beside sounds which no folder labels."""
    scan = scan_sounds(folder)
    labels = folders.label_folders(scan)
    tables = _clip_tables(folder)
    if tables and len(labels) < 2:
        if len(tables) > 1:
            raise DataError(
                f"{folder}: holds {len(tables)} tables of clips ({_names(tables)}). Point at one of them, or join them."
            )
        return _followed(table.read(tables[0]), f"The table {tables[0].name} was found in {folder}.")
    if len(labels) == 1 and all(len(parts) > 1 for parts in scan.sounds) and _is_one_too_high(folder, labels[0], scan):
        told = f"The only folder with sounds in {folder} is '{labels[0]}'; read that."
        return _followed(_own_folders(folder / labels[0]), told)
    rows = folders.read(folder, scan)
    if tables:
        told = f"There is a table too ({_names(tables)}); point at it to read that in place of the folders."
        rows = _followed(rows, told)
    if table.TABLE_SUFFIXES & scan.passed_over.keys():
        with_tables = [child.name for child in _children(folder) if child.name in labels and _clip_tables(child)]
        if with_tables:
            told = f"Tables of clips stand in {quoted(with_tables)}; point at one to read that in place of the folders."
            rows = _followed(rows, told)
    return rows


def _is_one_too_high(folder: Path, label: str, scan: Scan) -> bool:
    """Tell whether the only folder with sounds must be the data set: its name is no label's, or it holds one table or
    folds. Other folders inside a label's are its recordings.
    """
    if len(_clip_tables(folder / label)) == 1:
        return True
    if any(len(parts) < 3 for parts in scan.sounds):
        return False
    if label.casefold() in {folder.name.casefold(), *_WRAPPINGS}:
        return True
    return all(len(parts) > 3 for parts in scan.sounds) and folders.are_folds({parts[1] for parts in scan.sounds})


def _published(folder: Path) -> _Adapter | None:
    found = [adapter for adapter in _PUBLISHED if adapter.matches(folder)]
    if len(found) > 1:
        names = " and ".join(adapter.name for adapter in found)
        raise DataError(f"{folder}: holds more than one data set: {names}. Move each into a folder of its own.")
    return found[0] if found else None


def _followed(rows: Rows, note: str) -> Rows:
    return replace(rows, notes=(note, *rows.notes))


def _children(folder: Path) -> Iterator[Path]:
    for name in natural_order(entry.name for entry in _listed(folder)):
        if not is_hidden(name) and (folder / name).is_dir():
            yield folder / name


def _clip_tables(folder: Path) -> list[Path]:
    """List the tables in a folder that have a path and a label a row."""
    files = (entry for entry in _listed(folder) if entry.suffix.lower() in table.TABLE_SUFFIXES)
    return sorted(
        file
        for file in files
        if not is_hidden(file.name)
        and file.is_file()
        and {"path", "label"} <= {name.casefold() for name in table.header_of(file)}
    )


def _names(files: list[Path]) -> str:
    return listed((file.name for file in files), _MOST_NAMED)


def _holds_sounds(folder: Path) -> bool:
    """Tell whether a sound stands in a folder at any depth; what may not be read counts as none."""
    return any(met.kind == "sound" for met in walk(str(folder)))


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
