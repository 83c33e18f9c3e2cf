"""Tables of clips: CSV, TSV and Parquet with `path, label[, fold][, group][, start][, end]`, and reading them as text.

Text tables go through the standard library's reader, so that every message can name the line it is about.
"""

import csv
import difflib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from soundfold.data.clips import CLIP_COLUMNS
from soundfold.data.rows import Rows, text_of
from soundfold.errors import DataError, PathError
from soundfold.wording import counted

__all__ = [
    "TABLE_SUFFIXES",
    "class_order",
    "header_of",
    "load_table",
    "published_table",
    "read",
    "require_columns",
    "whole_numbers",
]

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_OTHER_NAMES = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "audio", "wav", "sound"),
    "label": ("class", "category", "target", "tag", "species", "y"),
}
_RECORDINGS = frozenset(
    {"recording", "recording_id", "source", "source_file", "src", "src_file", "fsid", "speaker", "session"}
)
"""Names, in small letters, under which people keep what a clip was cut from."""


def read(path: Path) -> Rows:
    """Read a table of clips; paths in it are relative to the table's folder, or absolute.

    Without a `group` column, clips cut from one file share that file as their recording.

    Args:
        path: a .csv, .tsv or .parquet file.

    Returns:
        Its rows, unchecked, own columns as they are.

    Raises:
        DataError: when it cannot be read, or lacks the columns `path` and `label`.
    """
    table, delimiter = load_table(path)
    table = _with_known_names(table, path)
    require_columns(table.columns, ("path", "label"), path)
    notes = list(_notes(table, path, delimiter))
    for name in ("start", "end"):
        if name in table.columns and delimiter == ";":  # where ';' separates, ',' is the decimal sign
            table[name] = [text_of(cell).replace(",", ".") for cell in table[name]]
    return Rows(
        table=table,
        kind="table",
        root=path.parent,
        source=path,
        groups_known=_names_recordings(table),
        row_word="row" if path.suffix.lower() == ".parquet" else "line",
        notes=tuple(notes),
    )


def load_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Load a table with the line (Parquet: row) numbers as index; cells of CSV and TSV stay text.

    Args:
        path: a .csv, .tsv or .parquet file.

    Returns:
        The table, and the delimiter that was found ("" for Parquet).

    Raises:
        DataError: when the file is no such table; the message names the line.
        PathError: when the file may not be read.
    """
    if path.suffix.lower() == ".parquet":
        table, delimiter = _load_parquet(path), ""
    else:
        table, delimiter = _load_text(path)
    names = list(table.columns)
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: column '{name}' stands twice. Rename or remove one.")
    return table, delimiter


def header_of(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns, or nothing when it cannot be read: for guessing, not for messages."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            return tuple(pq.read_schema(path).names)
        with path.open("rb") as file:
            line = file.readline(65_536).decode("utf-8-sig")
    except (OSError, ValueError):  # pyarrow's errors and UnicodeDecodeError are ValueErrors
        return ()
    return tuple(name.strip().strip('"') for name in line.strip().split(_delimiter(line, path)))


def require_columns(columns: Iterable[str], names: Sequence[str], path: Path) -> None:
    """Raise unless a table has all these columns; the message offers those that were probably meant.

    Raises:
        DataError: naming every column that is missing.
    """
    present = [str(column) for column in columns]
    missing = [name for name in names if name not in present]
    if not missing:
        return
    free = [column for column in present if column not in names]
    meant: dict[str, str] = {}
    for name in missing:
        if near := _meant(name, [column for column in free if column not in meant.values()]):
            meant[name] = near
    word, them = ("column", "it") if len(missing) == 1 else ("columns", "them")
    told = ", ".join(f"'{name}'" for name in missing)
    new = ", ".join(f"'{name}'" for name in missing if name not in meant)
    renamed = " and ".join(f"'{old}' to '{name}'" for name, old in meant.items())
    if not meant:
        mend = f"Known: {', '.join(free)}. Add {them}." if free else f"Add {them}."
    elif len(missing) == 1:
        mend = f"Did you mean '{meant[missing[0]]}'? Rename it to {told}."
    else:
        mend = f"Rename {renamed}, and add {new}." if new else f"Rename {renamed}."
    recording = next((column for column in free if column.casefold() in _RECORDINGS), None)
    if "label" in names and "group" not in present and recording:
        mend = f"{mend.removesuffix('.')}; and '{recording}' to 'group', if it names what a clip was cut from."
    raise DataError(f"{path}: has no {word} {told}. {mend}")


def published_table(folder: Path, place: str, name: str, audio: Path | None) -> Path | None:
    """Return a published data set's table in its own place, or beside its sounds as Kaggle packs it, if it is there."""
    if (folder / place / name).is_file():
        return folder / place / name
    return folder / name if audio is not None and (folder / name).is_file() else None


def whole_numbers(table: pd.DataFrame, name: str, source: Path) -> "pd.Series[int]":
    """Read a column of whole numbers.

    Raises:
        DataError: naming the first line that holds something else.
    """
    try:
        return table[name].astype("int64")
    except ValueError as error:
        line, cell = next(
            (line, cell) for line, cell in table[name].items() if not cell.strip().lstrip("-").isdecimal()
        )
        raise DataError(
            f"{source} line {line}: {name} must be a whole number, got '{cell}'. Take the published table."
        ) from error


def class_order(table: pd.DataFrame, label: str, number: str, source: Path) -> tuple[str, ...]:
    """Return the labels in the order of the data set's own class numbers.

    Raises:
        DataError: when a class has two numbers, or a number two classes.
    """
    pairs = pd.DataFrame({"label": table[label], "number": whole_numbers(table, number, source)}).drop_duplicates()
    for name in ("label", "number"):
        twice = pairs[pairs[name].duplicated()]
        if not twice.empty:
            raise DataError(
                f"{source} line {twice.index[0]}: {label} and {number} must stand one to one, "
                f"got more than one partner for {twice[name].iloc[0]}. Take the published table."
            )
    return tuple(pairs.sort_values("number")["label"])


def _meant(name: str, free: Sequence[str]) -> str | None:
    """Return the column that probably holds what a missing one should."""
    other = [column for column in free if column.casefold() in _OTHER_NAMES.get(name, ())]
    by_case = {column.casefold(): column for column in free}
    near = other or [by_case[key] for key in difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.6)]
    return near[0] if near else None


def _names_recordings(table: pd.DataFrame) -> bool:
    """Tell whether every row names its recording: by a group, or as a cut, whose file is its recording."""
    named = pd.Series(False, index=table.index)
    for name in ("group", "start", "end"):
        if name in table.columns:
            named |= pd.Series([text_of(cell).strip() != "" for cell in table[name]], index=table.index)
    return bool(named.all())


def _with_known_names(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Take `Path` and ` label ` for what they mean, and drop columns without a name (an index that was written)."""
    names = {str(column): str(column).strip().casefold() for column in table.columns}
    taken = set(names)
    known = {old: new for old, new in names.items() if new in CLIP_COLUMNS and old != new and new not in taken}
    if len(set(known.values())) < len(known):
        raise DataError(f"{path}: columns {', '.join(sorted(known))} have the same name. Rename or remove one.")
    nameless = [column for column in table.columns if str(column).strip() == "" or column == "__index_level_0__"]
    return table.drop(columns=nameless).rename(columns=known)


def _notes(table: pd.DataFrame, path: Path, delimiter: str) -> Iterable[str]:
    usual = {".tsv": "\t", ".csv": ","}.get(path.suffix.lower(), "")
    if delimiter != usual:
        told = {"\t": "tabs", ";": "semicolons", ",": "commas"}[delimiter]
        yield f"{path.name} is separated by {told}, and was read so."
    optional = [name for name in CLIP_COLUMNS[2:] if name not in table.columns]
    for column in table.columns:
        near = difflib.get_close_matches(str(column).casefold(), optional, n=1, cutoff=0.8)
        if column not in CLIP_COLUMNS and near:
            yield f"The column '{column}' was kept as one of your own; call it '{near[0]}' if it holds that."
        elif "group" in optional and str(column).casefold() in _RECORDINGS:
            yield (
                f"The column '{column}' was kept as one of your own; call it 'group' if it names the recording of "
                f"each clip, so that no recording trains and tests."
            )


def _load_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # A schema that pandas wrote may hide columns in the index; ignoring it keeps them columns.
        table: pd.DataFrame = pq.ParquetFile(path).read().to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(". ")
        raise DataError(f"{path}: cannot be read as Parquet ({reason}). Write it anew, or as CSV.") from error
    table.index = pd.RangeIndex(1, len(table) + 1)
    return table


def _load_text(path: Path) -> tuple[pd.DataFrame, str]:
    text = _decoded(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise DataError(f"{path}: is empty. Give it a first line 'path,label' and one line a clip.")
    delimiter = _delimiter(first, path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    lines: list[int] = []
    cells: list[list[str]] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = [name.strip() for name in row]
                continue
            if len(row) != len(header):
                row = _fitted(row, len(header), f"{path} line {reader.line_num}")
            lines.append(reader.line_num)
            cells.append(row)
    except csv.Error as error:
        raise DataError(
            f"{path} line {reader.line_num}: cannot be read as a table ({error}). "
            "Look for a quotation mark that is not closed."
        ) from error
    table = pd.DataFrame(cells, columns=pd.Index(header), index=pd.Index(lines, dtype="int64"), dtype=object)
    return table, delimiter


def _fitted(row: list[str], width: int, place: str) -> list[str]:
    """Accept empty cells beyond the header, as spreadsheets write them; refuse anything else."""
    if len(row) > width and not any(cell.strip() for cell in row[width:]):
        return row[:width]
    raise DataError(
        f"{place}: has {counted(len(row), 'cell')}, the first line has {width}. "
        "Put quotation marks round a cell that holds a separator."
    )


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PathError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} line {line}: is not written in UTF-8. Save the table as 'CSV UTF-8'.") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path} line {line}: holds a zero byte, as UTF-16 does. Save the table as 'CSV UTF-8'.")
    return text


def _delimiter(header: str, path: Path) -> str:
    """Choose the sign that stands most often in the first line, and the suffix's own when that leaves it open."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    return max((usual, ";", "\t", ","), key=header.count)
