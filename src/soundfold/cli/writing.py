"""Where answers go: the screen, one file, or a file a sound; and in which format."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from soundfold.atomic import is_too_long, refuse_existing, replacing
from soundfold.cli.printing import open_stdout
from soundfold.errors import PathError, SoundfoldError, did_you_mean

if TYPE_CHECKING:
    from soundfold.formats import TextFormat
    from soundfold.runtime import Prediction

__all__ = ["FORMATS", "chosen_format", "writing"]

FORMATS = ("table", "json", "csv", "parquet", "audacity", "raven")
_BY_SUFFIX = {".json": "json", ".csv": "csv", ".parquet": "parquet"}
_FILE_A_SOUND = {"audacity": ".txt", "raven": ".selections.txt"}
"""What is added to a sound's name where each gets a file of its own."""

Take = Callable[[str, "Prediction | SoundfoldError"], None]


def chosen_format(name: str | None, out: Path | None) -> str:
    """Return the format that was asked for, by its name or by the file's.

    Raises:
        SoundfoldError: there is no such format, or none can be told.
    """
    if name is None:
        if out is None:
            return "table"
        if out.suffix.lower() in _BY_SUFFIX:
            return _BY_SUFFIX[out.suffix.lower()]
        raise SoundfoldError(f"--format must be named, as '{out}' does not tell it. Say one of {', '.join(FORMATS)}")
    if name not in FORMATS:
        mend = did_you_mean(name, FORMATS, " Choose one of these")
        raise SoundfoldError(f"--format must be one of {', '.join(FORMATS)}, got '{name}'.{mend}")
    return name


@contextmanager
def writing(kind: str, out: Path | None, names: Sequence[str], *, windows: bool, highest_hz: float) -> Iterator[Take]:
    """Give what takes each sound's answer; at the end of the block all is where it belongs, or nothing is.

    Args:
        kind: one of `FORMATS`.
        out: a file or a folder; None for stdout.
        names: of all sounds that will come.
        windows: tell windows in place of events.
        highest_hz: upper edge of Raven's selections.

    Raises:
        SoundfoldError: the format cannot be written there, or something is there already.
    """
    if out is None:
        if kind == "parquet":
            raise SoundfoldError("--format parquet must be told a file, got none. Say --out FILE.parquet")
        if kind == "audacity" and len(names) > 1:
            raise SoundfoldError(
                f"--format audacity must be told a folder, as each of {len(names):,} sounds has a label track of its "
                f"own. Say --out FOLDER"
            )
        encoding = open_stdout().encoding or "utf-8"
        with _joined(_text_format(kind, windows, highest_hz, encoding), print_text) as take:
            yield take
    elif kind in _FILE_A_SOUND and (out.is_dir() or not out.suffix):
        yield _each_in(out, kind, names, windows, highest_hz)
    elif kind == "audacity" and len(names) > 1:
        raise SoundfoldError(f"--out must be a folder for {len(names):,} label tracks, got '{out}'. Name a folder")
    else:
        refuse_existing(out, "--out")
        with replacing(out) as part:
            if kind == "parquet":
                from soundfold.formats import ParquetRows

                table = ParquetRows(part, windows)
                yield table.sound
                table.close()
                return
            with (
                part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
                _joined(_text_format(kind, windows, highest_hz, "utf-8"), file.write) as take,
            ):
                yield take


def print_text(text: str) -> None:
    """Put text on stdout as it is."""
    print(text, end="")


@contextmanager
def _joined(format_: "TextFormat", write: Callable[[str], object]) -> Iterator[Take]:
    """Give what writes a sound; the head is written with the first, so that what is refused before leaves nothing."""
    begun = False

    def begin() -> None:
        nonlocal begun
        if not begun:
            write(format_.head())
        begun = True

    def take(path: str, answer: "Prediction | SoundfoldError") -> None:
        begin()
        write(format_.sound(path, answer))

    yield take
    begin()
    write(format_.tail())


def _each_in(folder: Path, kind: str, names: Sequence[str], windows: bool, highest_hz: float) -> Take:
    places = {name: folder / f"{place}{_FILE_A_SOUND[kind]}" for name, place in _places(names).items()}
    for name, place in places.items():
        if is_too_long(place):
            raise PathError(
                f"{name}: its name is too long for a file '{place.name}'. Rename it, or choose a format with one file "
                f"for all: csv, parquet or json"
            )
        if place.exists():
            raise PathError(f"{place}: exists already. Choose another --out, or remove it first")

    def take(path: str, answer: "Prediction | SoundfoldError") -> None:
        if isinstance(answer, SoundfoldError):
            return
        format_ = _text_format(kind, windows, highest_hz, "utf-8")
        places[path].parent.mkdir(parents=True, exist_ok=True)
        with replacing(places[path]) as part:
            text = format_.head() + format_.sound(path, answer) + format_.tail()
            part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")

    return take


def _places(names: Sequence[str]) -> dict[str, str]:
    """Return a place for each sound below the folder that all of them have in common; several names of one share it.

    Raises:
        PathError: two sounds would get the same place, or they lie on several drives.
    """
    paths = {name: os.path.abspath("stdin" if name == "-" else name) for name in names}  # noqa: PTH100
    try:
        top = os.path.commonpath([os.path.dirname(path) for path in paths.values()])  # noqa: PTH120
    except ValueError as error:  # none, or on several drives
        if not names:
            return {}
        raise PathError("--out FOLDER must get sounds of one drive alone, got several. Ask for each drive") from error
    first: dict[str, str] = {}
    for name, path in paths.items():
        other = first.setdefault(path, name)
        # `link/../x.wav` reads like `x.wav`, and is what lies beside the folder that the link leads to
        if other != name and ("-" in (name, other) or os.path.realpath(name) != os.path.realpath(other)):
            raise PathError(
                f"{name}: would get the same file in --out as another sound, {other}. Ask for each by itself"
            )
    return {name: os.path.relpath(path, top) for name, path in paths.items()}


def _text_format(kind: str, windows: bool, highest_hz: float, encoding: str) -> "TextFormat":
    from soundfold.formats import AudacityLabels, CsvRows, JsonList, RavenSelections, Table

    match kind:
        case "json":
            return JsonList(encoding)
        case "csv":
            return CsvRows(windows)
        case "audacity":
            return AudacityLabels(windows)
        case "raven":
            return RavenSelections(highest_hz, windows)
        case _:
            return Table(windows)
