"""Unpack a zip or tar.gz archive that nobody has reason to trust.

The rule is narrow because data sets are simple: an archive holds folders and plain files under relative names with
forward slashes, and nothing else. Links of any kind are refused, also those that stay inside: no set of the catalogue
is known to hold one, and without links a name without `..` cannot leave the folder. For tar, Python's own `data`
filter (PEP 706) is asked as well. Members are written by one loop of ours, so that the bounds on count and bytes hold
for both formats before anything is written, and modes, owners and times of the archive are left out.
"""

import errno
import gzip
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from soundfold.data.fetch.transfer import OnProgress
from soundfold.errors import DownloadError

__all__ = ["unpack"]

_BLOCK = 1 << 20
_MOST_AT_ONCE = 1 << 24  # bytes; tarfile reads a header of any announced length into memory
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that zipfile lacks
    RecursionError,  # tar headers nested without end
    UnicodeDecodeError,
    OverflowError,
)
# A place before the file's start; names that are a file and a folder at once, or that no disk takes.
_DAMAGE_NUMBERS = frozenset({errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EILSEQ})


@dataclass(frozen=True)
class _Member:
    """A plain file of the archive: its name there, its length in bytes, and how to read it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    folder: Path,
    *,
    most_bytes: int,
    most_members: int,
    top_folder: str | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Write an archive's files into a new folder; if anything is wrong, the folder is removed again.

    Args:
        archive: a zip or tar.gz file; which of them, its first bytes tell.
        folder: must not exist; its parent must.
        most_bytes: the files may have at most so many bytes together.
        most_members: the archive may have at most so many members.
        top_folder: folder in the archive whose content goes directly into `folder`; what lies beside it is left out.
        on_progress: told about `unpacking` after each file, in bytes of the archive.

    Raises:
        DownloadError: the archive is damaged, is none, is larger than it may be, or has a member that is refused.
        OSError: the disk is full or may not be written; the caller knows what is needed.
    """
    folder.mkdir()
    try:
        with archive.open("rb") as file:
            total = file.seek(0, os.SEEK_END)
            for member in _members(archive, file, folder, most_bytes, most_members):
                parts = _parts(archive, member.name)
                if top_folder is not None:
                    if parts[:1] != [top_folder]:
                        continue
                    parts = parts[1:]
                if not parts:
                    raise _refused(archive, member.name, "it is a file where a folder should be")
                _write(member, folder.joinpath(*parts))
                if on_progress is not None:
                    on_progress("unpacking", file.tell(), total)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, _DAMAGE) or (isinstance(error, OSError) and error.errno in _DAMAGE_NUMBERS):
            said = " ".join(str(error).split()) or type(error).__name__
            raise DownloadError(
                f"{archive.name}: is damaged ({said}). Run the same command again to fetch it anew."
            ) from error
        raise


def _members(archive: Path, file: BinaryIO, folder: Path, most_bytes: int, most_members: int) -> Iterator[_Member]:
    """Yield the plain files, each once all members so far are known to be harmless and within the bounds."""
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if start.startswith(b"PK"):
        listed = _zip_members(archive, file)
    elif start.startswith(b"\x1f\x8b"):
        listed = _tar_members(archive, file, folder)
    else:
        raise DownloadError(
            f"{archive.name}: must be a zip or tar.gz archive, begins with {start!r}. "
            "Check that no login page of the network stands in between, and run the same command again."
        )
    size = 0
    for count, member in enumerate(listed, start=1):
        size += 0 if member is None else member.size
        if count > most_members or size > most_bytes:
            raise DownloadError(
                f"{archive.name}: must hold at most {most_members:,} members and {most_bytes:,} bytes, got more. "
                "It is not the published archive; see whether soundfold has an update."
            )
        if member is not None:
            yield member


def _tar_members(archive: Path, file: BinaryIO, folder: Path) -> Iterator[_Member | None]:
    """Yield each plain file of a tar.gz, and None for each folder."""
    second_opinion = getattr(tarfile, "data_filter", None)  # absent before Python 3.11.4
    with _CarefulGzip(fileobj=file) as plain, tarfile.open(fileobj=plain, mode="r:") as tar:
        for info in tar:
            _parts(archive, info.name)
            if not (info.isreg() or info.isdir()):
                raise _refused(archive, info.name, f"it is {_tar_kind(info)}")
            if second_opinion is not None:
                try:
                    second_opinion(info, str(folder))
                except tarfile.FilterError as error:
                    raise _refused(archive, info.name, str(error)) from error
            yield None if info.isdir() else _Member(info.name, info.size, partial(_opened, tar, info))


def _zip_members(archive: Path, file: BinaryIO) -> Iterator[_Member | None]:
    """Yield each plain file of a zip, and None for each folder."""
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            # `filename` is what zipfile made of it: cut at a NUL, and on Windows with its backslashes turned.
            _parts(archive, info.orig_filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.orig_filename, "it is a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, info.orig_filename, "it is encrypted")
            yield None if info.is_dir() else _Member(info.filename, info.file_size, partial(opened.open, info))


def _parts(archive: Path, name: str) -> list[str]:
    """Return a member's name in parts, without the empty ones and `.`; refuse what could lead out on any system."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if "\0" in name:
        raise _refused(archive, name, "its name holds a NUL")
    if "\\" in name:
        raise _refused(archive, name, "its name holds a backslash")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise _refused(archive, name, "its name is absolute")
    if ".." in parts:
        raise _refused(archive, name, "its name leads out of the folder")
    return parts


def _write(member: _Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, _BLOCK)
        length = target.tell()
    if length != member.size:
        raise EOFError(f"{member.name} has {length:,} bytes instead of {member.size:,}")


class _CarefulGzip(gzip.GzipFile):
    """A gzip stream that refuses to be read in one piece where a hostile header asks for gigabytes."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header announces {size} bytes")
        return super().read(size)


def _opened(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    if file is None:
        raise tarfile.ReadError(f"{info.name} cannot be read")
    return file


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issym():
        return f"a link to {info.linkname!r}"
    if info.islnk():
        return f"a hard link to {info.linkname!r}"
    return "a device or a pipe"


def _refused(archive: Path, name: str, why: str) -> DownloadError:
    return DownloadError(
        f"{archive.name}: its member {name!r} is refused, because {why}. Nothing is kept; do not use this archive."
    )
