"""A folder of sounds: what is in it at every depth. One set of rules for training, `predict` and `bulk`.

Hidden files and folders and macOS companions (`._x.wav`, `__MACOSX`) are passed over, and a folder is entered once,
however many links lead to it. Nothing here opens a sound. Paths are strings: over a hundred thousand names they cost a
tenth of what Path objects do.
"""
# ruff: noqa: PTH116, PTH118, PTH122

import os
from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from soundfold.audio.source import AUDIO_SUFFIXES

__all__ = ["Met", "is_hidden", "walk"]

_Kind = Literal["sound", "broken", "other", "folder", "link", "again", "locked"]


class Met(NamedTuple):
    """What a walk meets.

    Attributes:
        path: the folder as it was named, and the way from there.
        kind: `sound`, by its suffix; `broken`, which has a sound's suffix and is no regular file but a pipe or a link
            to nothing; `other` file; `folder` that is walked now; folder that was walked `again` under another name;
            folder that is `locked`.
        reason: why a locked folder cannot be read.
    """

    path: str
    kind: _Kind
    reason: str = ""


def is_hidden(name: str) -> bool:
    """Tell whether a file's or folder's name marks it as none of the user's sounds."""
    return name.startswith(".") or name == "__MACOSX"


def walk(root: str) -> Iterator[Met]:
    """Yield what a folder holds, itself first, as it is found; only the names of the folders on the way are held.

    Names stand in order, but links to folders come last: a folder's own name wins over a link's.

    Args:
        root: a folder.
    """
    seen: set[tuple[int, int]] = set()
    begun = [iter((Met(root, "folder"),))]
    links: deque[Met] = deque()
    while begun:
        met = next(begun[-1], None)
        if met is None:
            begun.pop()
            if links and not begun:
                begun.append(iter((links.popleft(),)))
        elif met.kind == "link":
            links.append(Met(met.path, "folder"))
        elif met.kind != "folder":
            yield met
        else:
            try:
                status = os.stat(met.path)
                inside = [] if (status.st_dev, status.st_ino) in seen else _listed(met.path)
            except OSError as error:
                told = f"{met.path}: the folder cannot be read ({error.strerror}). Check its permissions"
                yield Met(met.path, "locked", told)
                continue
            yield Met(met.path, "again") if (status.st_dev, status.st_ino) in seen else met
            seen.add((status.st_dev, status.st_ino))
            begun.append(iter(inside))


def _listed(folder: str) -> list[Met]:
    with os.scandir(folder) as entries:
        shown = sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    return [Met(os.path.join(folder, entry.name), _kind(entry)) for entry in shown]


def _kind(entry: os.DirEntry[str]) -> _Kind:
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        regular = entry.is_file()
    except OSError:  # a link that leads to itself
        regular = False
    if os.path.splitext(entry.name)[1].lower() not in AUDIO_SUFFIXES:
        return "other"
    return "sound" if regular else "broken"
