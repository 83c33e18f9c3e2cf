"""What the cache folder keeps, when it was last used, and removing it without disturbing whoever works with it.

A process that uses the cache holds a lock on a file of its own there, named after the time when it began. It touches
the folder of each store and of each set of features as it takes them into use, so what was used since the oldest of
these processes began may be in use still, and stays. Touching and taking away exclude each other by the gate, a lock
held for a moment: whoever comes too late to touch a folder finds it gone, and makes it anew.
"""

import os
import re
import secrets
import shutil
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow.parquet
from filelock import FileLock, Timeout

from soundfold.data.store_index import writing
from soundfold.errors import DataError

__all__ = ["KINDS", "Kept", "User", "list_kept", "remove_kept"]

KINDS = ("sounds", "features", "weights", "models")
_STORE = re.compile(r"sounds-(\d+)-[0-9a-f]{16}")
_FEATURES = re.compile(r"features-[0-9a-f]{16}(\.part)?")
_PUBLISHED = re.compile(r"mn\d\d_as_mAP_\d+\.pt(\.sha256|\.lock|-.+\.onnx)?")
_USERS, _GATE, _USED = "users", "gate.lock", "used"
_USER = re.compile(r"\d{19}-\d+-[0-9a-f]{8}")
_GONE = re.compile(r"\.gone-[0-9a-f]{8}")
_SLACK_S = 60.0  # clocks of computers that share a cache differ
_DAY_S = 86_400.0
Made = TypeVar("Made")


@dataclass(frozen=True)
class Kept:
    """One thing that is kept.

    Attributes:
        kind: one of `KINDS`.
        path: its folder or file.
        what: what it holds, in words.
        n_bytes: its size; a store's without its features.
        used: when it was last used, in seconds since 1970.
        in_use: a process that is at work has used it, or may have.
    """

    kind: str
    path: Path
    what: str
    n_bytes: int
    used: float
    in_use: bool

    @property
    def day(self) -> str:
        """The day when it was last used, here."""
        return time.strftime("%Y-%m-%d", time.localtime(self.used))

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        fields = {"kind": self.kind, "path": str(self.path), "what": self.what, "bytes": self.n_bytes}
        return {**fields, "last_used": self.day, "in_use": self.in_use}


class User:
    """This process as one that uses the cache, until the object goes; where the cache may only be read, nothing."""

    def __init__(self, cache: Path) -> None:
        self._gate: FileLock | None = None
        name = f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}"
        with suppress(OSError):
            (cache / _USERS).mkdir(parents=True, exist_ok=True)
            lock = FileLock(cache / _USERS / name)
            lock.acquire(timeout=0)
            weakref.finalize(self, _leave, lock)
            self._gate = FileLock(cache / _USERS / _GATE)

    def takes(self, make: Callable[[], Made], folder_of: Callable[[Made], Path]) -> Made:
        """Return what `make` finds or makes, once its folder is touched; made again if it was taken away meanwhile."""
        while True:
            made = make()
            if self._gate is None:
                return made
            with self._gate:
                try:
                    (folder_of(made) / _USED).touch()
                except FileNotFoundError:
                    continue
                except OSError:  # it may only be read, and so not be removed
                    pass
                return made


def _leave(lock: FileLock) -> None:
    lock.release()
    with suppress(OSError):
        Path(lock.lock_file).unlink()


def list_kept(cache: Path) -> list[Kept]:
    """Return what a cache folder keeps, by kind and the last used first; other files in it are not looked at."""
    oldest = _oldest_user(cache)
    return [_with_use(kept, oldest) for kept in _found(cache)]


def remove_kept(cache: Path, *, kind: str | None = None, older_than_days: float | None = None) -> list[Kept]:
    """Remove what is kept and not in use; return what was removed.

    Args:
        cache: the folder.
        kind: remove this kind alone; sounds go with the features computed from them.
        older_than_days: remove only what was last used longer ago.

    Raises:
        DataError: no such kind, or a number of days below 0.
        PathError: the folder may not be written.
    """
    if kind is not None and kind not in KINDS:
        raise DataError(f"kind must be one of {', '.join(KINDS)}, got '{kind}'. Leave it out for all")
    if older_than_days is not None and not older_than_days >= 0:
        raise DataError(f"days must be 0 or more, got {older_than_days:g}. Say 30 to keep what was used last month")
    limit = float("inf") if older_than_days is None else time.time() - older_than_days * _DAY_S
    gone, removed = [], []
    with writing(cache), _gate(cache):
        everything = list_kept(cache)
        stay = [kept for kept in everything if kept.in_use or kept.used >= limit]
        for kept in everything:
            # features go before the store that they lie in; a store stays with those that stay
            held = any(kept.path in other.path.parents for other in stay)
            if kept in stay or held or (kind not in (None, kept.kind) and not _goes_with_its_store(kept, kind, stay)):
                continue
            away = kept.path.with_name(f".gone-{secrets.token_hex(4)}")
            try:
                kept.path.rename(away)
            except PermissionError:
                if os.name == "nt":  # what is open there stays where it is
                    continue
                raise
            gone.append(away)
            removed.append(kept)
    for away in [*gone, *_left_over(cache)]:
        if away.is_dir():
            shutil.rmtree(away, ignore_errors=True)
        else:
            away.unlink(missing_ok=True)
    return removed


@contextmanager
def _gate(cache: Path) -> Iterator[None]:
    if not cache.is_dir():
        yield
        return
    (cache / _USERS).mkdir(exist_ok=True)
    with FileLock(cache / _USERS / _GATE):
        yield


def _goes_with_its_store(kept: Kept, kind: str, stay: list[Kept]) -> bool:
    return kind == "sounds" and kept.kind == "features" and all(kept.path.parent != other.path for other in stay)


def _found(cache: Path) -> Iterator[Kept]:
    """Yield stores, features, weights and models; features before the stores they lie in, so that they go first."""
    stores = [folder for folder in _entries(cache) if _STORE.fullmatch(folder.name) and _is_own(folder)]
    features = [one for store in stores for one in _entries(store) if _FEATURES.fullmatch(one.name) and _is_own(one)]
    for kind, folders in (("features", features), ("sounds", stores)):
        told = [_folder(kind, folder) for folder in folders]
        yield from sorted(told, key=lambda kept: -kept.used)
    for kind in ("weights", "models"):
        for file in _entries(cache / kind) if _is_own(cache / kind) else ():
            locks = file.suffix == ".lock" and not file.with_suffix("").exists()  # all that is left of a failed fetch
            if _PUBLISHED.fullmatch(file.name) and _is_own(file) and not locks:
                state = file.stat()
                used = max(state.st_atime, state.st_mtime)
                yield Kept(kind, file, file.name, state.st_size, used, in_use=False)


def _folder(kind: str, folder: Path) -> Kept:
    states = [file.stat() for file in _files(folder)]
    used = max((state.st_mtime for state in states), default=folder.stat().st_mtime)
    what = _what_features(folder) if kind == "features" else _what_sounds(folder)
    return Kept(kind, folder, what, sum(state.st_size for state in states), used, in_use=False)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder; the features in a store are not its own."""
    for entry in _entries(folder):
        if entry.is_file():
            yield entry
        elif not _FEATURES.fullmatch(entry.name):
            yield from _files(entry)


def _what_sounds(folder: Path) -> str:
    rate = int(folder.name.split("-")[1])
    try:
        clips = pyarrow.parquet.read_metadata(folder / "index.parquet").num_rows
    except (OSError, ValueError):
        return f"unfinished, {rate:,} Hz"
    return f"{clips:,} clips, {rate:,} Hz"


def _what_features(folder: Path) -> str:
    try:
        with np.load(folder / "windows.npz") as arrays:
            channels, bands, frames = (int(size) for size in arrays["shape"])
            windows = len(arrays["clip"])
    except (OSError, ValueError, KeyError):
        return f"unfinished, of {folder.parent.name}"
    shape = f"embeddings of {bands:,} values" if frames == 1 else f"pictures of {channels} × {bands} × {frames}"
    return f"{windows:,} {shape}, of {folder.parent.name}"


def _with_use(kept: Kept, oldest: float) -> Kept:
    # weights and models are opened again by whoever works with them, and nothing tells when
    in_use = oldest < float("inf") if kept.kind in ("weights", "models") else kept.used >= oldest - _SLACK_S
    return Kept(kept.kind, kept.path, kept.what, kept.n_bytes, kept.used, in_use)


def _oldest_user(cache: Path) -> float:
    """Return when the first of the processes that are at work began; infinity if none is. The traces of others go."""
    began = [float("inf")]
    for file in _entries(cache / _USERS):
        if not _USER.fullmatch(file.name) or not _is_own(file) or file.stat().st_size:
            continue
        try:
            with FileLock(file, timeout=0):
                pass
        except Timeout:
            began.append(int(file.name.split("-")[0]) / 1e9)
        except OSError:
            continue
        else:
            file.unlink(missing_ok=True)
    return min(began)


def _is_own(path: Path) -> bool:
    """Return whether something was put here, and is no link to what lies elsewhere and may be somebody's."""
    return path.exists() and not path.is_symlink()


def _left_over(cache: Path) -> list[Path]:
    """Return what a removal that was killed has left."""
    folders = [
        cache,
        cache / "weights",
        cache / "models",
        *(one for one in _entries(cache) if _STORE.fullmatch(one.name)),
    ]
    entries = [entry for folder in folders if _is_own(folder) for entry in _entries(folder)]
    return [entry for entry in entries if _GONE.fullmatch(entry.name) and _is_own(entry)]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
