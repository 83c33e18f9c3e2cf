"""Files on disk: walk a folder for sounds, and tell which of many paths are there. Each folder is listed once.

Hidden files and folders, macOS companions (`._x.wav`, `__MACOSX`) and links that lead in a circle are passed over.
Nothing here opens a sound. Paths are strings: over a hundred thousand names they cost a tenth of what Path objects do.
"""
# ruff: noqa: PTH113, PTH116, PTH118, PTH122

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from soundfold.audio import AUDIO_SUFFIXES
from soundfold.errors import PathError

__all__ = ["Scan", "find_files", "is_hidden", "is_writable", "scan_sounds"]


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


def is_hidden(name: str) -> bool:
    """Tell whether a file's or folder's name marks it as none of the user's sounds."""
    return name.startswith(".") or name == "__MACOSX"


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
    sounds: list[tuple[str, ...]] = []
    folders: list[tuple[str, ...]] = []
    misnamed: list[tuple[str, ...]] = []
    broken: list[tuple[str, ...]] = []
    linked_again: list[tuple[str, ...]] = []
    passed_over: Counter[str] = Counter()
    seen = {_identity(str(root))}
    own: list[tuple[str, ...]] = [()]
    links: list[tuple[str, ...]] = []
    # Links wait until every real folder is walked, so that a folder's own name wins over a link's.
    while own or links:
        parts = own.pop() if own else links.pop()
        path = os.path.join(root, *parts)
        if parts:
            identity = _identity(path)
            if identity in seen:
                linked_again.append(parts)
                continue
            seen.add(identity)
            folders.append(parts)
        for entry in _entries(path):
            if is_hidden(entry.name):
                continue
            inner = (*parts, entry.name)
            if not is_writable(entry.name):
                misnamed.append((*parts, entry.name.encode("utf-8", "replace").decode()))
                continue
            kind = _kind(entry)
            if kind == "folder":
                (links if entry.is_symlink() else own).append(inner)
            elif os.path.splitext(entry.name)[1].lower() not in AUDIO_SUFFIXES:
                passed_over[os.path.splitext(entry.name)[1].lower()] += 1
            else:
                (sounds if kind == "file" else broken).append(inner)
    return Scan(
        sounds=tuple(sorted(sounds)),
        folders=tuple(sorted(folders)),
        misnamed=tuple(sorted(misnamed)),
        broken=tuple(sorted(broken)),
        linked_again=tuple(sorted(linked_again)),
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


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise PathError(f"{path}: the folder cannot be read ({error.strerror}). Check its permissions.") from error


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "file", "folder" or "other"; a link that leads to itself raises inside `is_dir` and is "other"."""
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() else "other"
    except OSError:
        return "other"


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise PathError(f"{path}: the folder cannot be read ({error.strerror}). Check its permissions.") from error
    return status.st_dev, status.st_ino


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:
        return False
