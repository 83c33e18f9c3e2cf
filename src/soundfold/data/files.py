"""Files on disk: which sounds a folder holds, and which of many paths are there. Each folder is listed once.

Nothing here opens a sound. Paths are strings: over a hundred thousand names they cost a tenth of what Path objects do.
"""
# ruff: noqa: PTH113, PTH118, PTH122, PTH206

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from soundfold.audio import walk
from soundfold.errors import PathError

__all__ = ["Scan", "find_files", "is_writable", "scan_sounds"]


@dataclass(frozen=True)
class Scan:
    """What a folder holds, at every depth; paths are tuples of names below it, in sorted order."""

    sounds: tuple[tuple[str, ...], ...]
    folders: tuple[tuple[str, ...], ...]
    misnamed: tuple[tuple[str, ...], ...] = ()
    """Names that are no UTF-8, with `?` for what cannot be written; neither they nor what is in them can be used."""
    broken: tuple[tuple[str, ...], ...] = ()
    """Names with a sound's suffix that are no regular files: links to nothing, pipes."""
    linked_again: tuple[tuple[str, ...], ...] = ()
    """Links to folders that were walked already, under another name."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """How many other files there are, by suffix."""


def is_writable(name: str) -> bool:
    """Tell whether a name can be written in UTF-8; those from archives in another encoding cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def scan_sounds(root: Path) -> Scan:
    """Walk a folder for sounds, following links to folders, each folder once however many names lead to it.

    Args:
        root: an existing folder.

    Returns:
        The sounds, folders and oddities found.

    Raises:
        PathError: when the folder, or one inside it, may not be read.
    """
    found: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in ("sound", "folder", "broken", "again")}
    misnamed: set[tuple[str, ...]] = set()
    passed_over: Counter[str] = Counter()
    above = os.path.join(root, "")
    for met in walk(str(root)):
        way = met.path.removeprefix(above)
        parts = tuple(way.split(os.sep))
        if met.kind == "folder" and met.path == str(root):
            continue
        if not is_writable(way):
            wrong = next(place for place, name in enumerate(parts) if not is_writable(name))
            misnamed.add(parts[: wrong + 1])
        elif met.kind == "locked":
            raise PathError(met.reason)
        elif met.kind == "other":
            passed_over[os.path.splitext(met.path)[1].lower()] += 1
        else:
            found[met.kind].append(parts)
    return Scan(
        sounds=tuple(sorted(found["sound"])),
        folders=tuple(sorted(found["folder"])),
        misnamed=tuple(sorted((*way, name.encode("utf-8", "replace").decode()) for *way, name in misnamed)),
        broken=tuple(sorted(found["broken"])),
        linked_again=tuple(sorted(found["again"])),
        passed_over=passed_over,
    )


def find_files(paths: Sequence[str]) -> tuple[list[str], dict[int, str]]:
    """Find which of many paths are files, at the price of one listing a folder.

    A name that differs only in how its accents are written (NFC, NFD: archives made on a Mac) is taken as the same, and
    the path that is returned is the one on disk.

    Args:
        paths: absolute paths, normalised.

    Returns:
        The paths as they are on disk, and for each position that is no file the reason.
    """
    listings: dict[str, _Listing | None] = {}
    found = list(paths)
    missing: dict[int, str] = {}
    for position, path in enumerate(paths):
        folder, name = os.path.split(path)
        listing = _listing(folder, listings)
        if listing is None:
            missing[position] = "the file is missing: its folder is not there"
        elif name in listing.files:
            if listing.path != folder:
                found[position] = os.path.join(listing.path, name)
        elif (twin := listing.files_by_form.get(unicodedata.normalize("NFC", name))) is not None:
            found[position] = os.path.join(listing.path, twin)
        elif not _is_file(path):  # a file system that does not tell upper from lower case says yes here
            near = listing.files_by_case.get(unicodedata.normalize("NFC", name).casefold())
            missing[position] = f"the file is missing: only '{near}' is there" if near else "the file is missing"
    return found, missing


@dataclass
class _Listing:
    """A folder's names; the look-ups by written form are made when a name is first not found as it stands."""

    path: str
    files: set[str]
    folders: set[str]

    @cached_property
    def files_by_form(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in self.files}

    @cached_property
    def files_by_case(self) -> dict[str, str]:
        return {form.casefold(): name for form, name in self.files_by_form.items()}

    @cached_property
    def folders_by_form(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in self.folders}


def _listing(folder: str, known: dict[str, _Listing | None]) -> _Listing | None:
    """List a folder once; where it is not there, the one beside it whose name has the same letters, or None."""
    if folder not in known:
        try:
            with os.scandir(folder) as entries:
                kinds = [(entry.name, _kind(entry)) for entry in entries]
        except (OSError, ValueError):
            known[folder] = _twin(folder, known)
        else:
            files = {name for name, kind in kinds if kind == "file"}
            known[folder] = _Listing(folder, files, {name for name, kind in kinds if kind == "folder"})
    return known[folder]


def _twin(folder: str, known: dict[str, _Listing | None]) -> _Listing | None:
    parent, name = os.path.split(folder)
    if parent == folder or folder.isascii():
        return None
    above = _listing(parent, known)
    twin = None if above is None else above.folders_by_form.get(unicodedata.normalize("NFC", name))
    if above is None or twin is None or os.path.join(above.path, twin) == folder:
        return None
    return _listing(os.path.join(above.path, twin), known)


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "file", "folder" or "other"; a link that leads to itself raises inside `is_dir` and is "other"."""
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() else "other"
    except OSError:
        return "other"


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:
        return False
