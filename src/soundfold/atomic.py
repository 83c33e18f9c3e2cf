"""Writing files, for every room that does: whole or not at all, nothing overwritten, under names no system refuses."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soundfold.errors import PathError

__all__ = ["is_too_long", "naming", "plain_name", "refuse_existing", "replacing", "write_text"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside `path` to write to, and move it over `path` when the block ends well.

    Whoever reads `path` meanwhile sees the old file or the new one, never half of one, not even after a power cut; a
    block that fails leaves the old file as it was and nothing beside it.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        PathError: the folder is missing or may not be written, the disk is full, or a folder is in the way.
    """
    target = Path(path)
    part = _part_of(target)
    try:
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise PathError(
            f"{target}: cannot be written: {error.strerror or error}. Name a place that exists, may be written to, "
            "and has room"
        ) from error


def is_too_long(path: Path) -> bool:
    """Whether the system refuses a file's name, or the longer one that `replacing` writes to first, for its length.

    Args:
        path: the file; its folder need not be there yet, as the nearest one above it is asked.
    """
    try:
        folder = next(parent for parent in path.absolute().parents if parent.is_dir())
        (folder / _part_of(path).name).exists()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name into whatever the system refuses in the block: a full disk does not tell it by itself."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) in one step."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def refuse_existing(path: Path, option: str) -> None:
    """Raise if something stands where a user's option would write: nothing is overwritten unasked.

    Raises:
        PathError: the path exists, or its folder does not.
    """
    if path.exists():
        raise PathError(f"{path}: exists already. Choose another {option}, or remove it first")
    if not path.absolute().parent.is_dir():
        raise PathError(f"{path.absolute().parent}: there is no such folder. Make it first, or choose another {option}")


def plain_name(text: str) -> str:
    """Return a text as a part of a file's name that every file system takes and that leads nowhere else.

    >>> plain_name("../my recipe")
    '___my_recipe'
    """
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)
    return kept[:60] or "_"
