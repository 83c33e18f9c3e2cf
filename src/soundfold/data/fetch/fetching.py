"""Fetch a published data set: the whole job from its name to a complete folder, in an order that survives any end.

Beside DEST stands a hidden folder `.<name>.soundfold-get` while the job runs, on the same disk, with the archive (or
its part) and a folder that is being unpacked. Only when the content is counted does one rename give it DEST's name, so
DEST is either complete or not there. What a killed process leaves is that hidden folder: the next run continues its
part, and unpacks anew. A run that fails before it has a part leaves nothing. A lock file lets one process at a time do
this for one DEST; the others wait and then find it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from soundfold.data.fetch.archive import unpack
from soundfold.data.fetch.catalogue import Dataset, find_dataset, shortcomings
from soundfold.data.fetch.download import PATIENCE, Patience, download, part_bytes
from soundfold.data.fetch.transfer import OnProgress, cannot_write
from soundfold.errors import DownloadError, PathError, needs_extra

__all__ = ["Fetched", "fetch_dataset", "get_dataset"]


@dataclass(frozen=True)
class Fetched:
    """A complete data set on the disk.

    Attributes:
        path: its folder, as `read_clips` takes it.
        dataset: what it is.
        already_there: True if nothing had to be done.
        notes: sentences for the user: where it is, what was checked where that is less than a hash, and its licence.
    """

    path: Path
    dataset: Dataset
    already_there: bool

    @property
    def notes(self) -> tuple[str, ...]:
        done = "is already complete" if self.already_there else "is complete"
        place = f"{self.dataset.title} {done}: {self.dataset.clips:,} clips in {self.path}."
        unsigned = "" if self.already_there else self.dataset.unsigned
        return tuple(note for note in (place, unsigned, self.dataset.licence) if note)


def get_dataset(name: str, dest: str | os.PathLike[str], *, on_progress: OnProgress | None = None) -> Path:
    """Fetch a published data set by its name; `fetch_dataset` is the same with everything it has to say.

    Args:
        name: `urbansound8k`, `esc50` or `speech-commands`.
        dest: folder that becomes the data set, for instance `data/UrbanSound8K`; new, empty, or complete already.
        on_progress: called as `(phase, done, total or None)`; the phases are told at `transfer.OnProgress`.

    Returns:
        The data set's folder, absolute, as `read_clips` takes it.

    Raises:
        DataError: no published data set has this name.
        DownloadError: the download failed, or brought something else. Running the same again continues.
        PathError: dest is in use for something else, or may not be written.
        MissingExtraError: a package of the extra `train` is not installed.
    """
    return fetch_dataset(find_dataset(name), dest, on_progress=on_progress).path


def fetch_dataset(
    dataset: Dataset,
    dest: str | os.PathLike[str],
    *,
    patience: Patience = PATIENCE,
    on_progress: OnProgress | None = None,
) -> Fetched:
    """Fetch, check, unpack and count a data set, and only then give it its name.

    Args:
        dataset: an entry of `DATASETS`, or one of your own.
        dest: folder that becomes the data set; new, empty, or complete already.
        patience: tries, waits and timeouts of the download.
        on_progress: called as `(phase, done, total or None)`.

    Returns:
        Where it is, whether it was there before, and its licence.

    Raises:
        DownloadError: see `get_dataset`.
        PathError: see `get_dataset`.
    """
    folder = Path(dest).expanduser().resolve()
    work = folder.parent / f".{folder.name}.soundfold-get"
    try:
        if _complete(dataset, folder) and not work.exists():
            return Fetched(folder, dataset, already_there=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(work, on_progress):
            there = _complete(dataset, folder)
            if not there:
                work.mkdir(exist_ok=True)
                try:
                    _fetch(dataset, folder, work, patience, on_progress)
                except BaseException:
                    if not part_bytes(work / dataset.file_name):  # nothing that the next run could go on from
                        shutil.rmtree(work, ignore_errors=True)
                    raise
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise cannot_write(folder.parent, error, None) from error
    return Fetched(folder, dataset, already_there=there)


def _fetch(dataset: Dataset, folder: Path, work: Path, patience: Patience, on_progress: OnProgress | None) -> None:
    """Bring the archive into the work folder, unpack it there, count, and rename."""
    unpacked = work / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    archive = work / dataset.file_name
    _check_space(dataset, folder, part_bytes(archive))
    download(dataset.url, archive, size=dataset.size, digest=dataset.digest, patience=patience, on_progress=on_progress)
    try:
        unpack(
            archive,
            unpacked,
            most_bytes=dataset.most_bytes,
            most_members=dataset.most_members,
            top_folder=dataset.top_folder,
            on_progress=on_progress,
        )
        if lacks := shortcomings(dataset, unpacked):
            raise DownloadError(
                f"{dataset.url}: brought something else than {dataset.title} as published ({', '.join(lacks)}). "
                f"Look at {dataset.home}, and whether soundfold has an update."
            )
    except DownloadError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    except OSError as error:
        raise cannot_write(folder.parent, error, dataset.unpacked_bytes) from error
    with suppress(FileNotFoundError):
        folder.rmdir()  # only an empty folder goes; renaming onto it is not possible on every system
    unpacked.rename(folder)


def _complete(dataset: Dataset, folder: Path) -> bool:
    """Tell whether the folder is the complete data set (True) or free for it (False).

    Raises:
        PathError: it is neither.
    """
    if folder.exists() and not folder.is_dir():
        raise PathError(f"{folder}: is a file. Name a folder that is new or empty.")
    if not folder.exists() or not any(folder.iterdir()):
        inside = folder / dataset.title.replace(" ", "-")
        if folder == Path.cwd() or os.path.ismount(folder):
            raise PathError(
                f"{folder}: cannot be replaced as a whole, because it is the current folder or a disk of its own. "
                f"Name a folder inside it: {inside}"
            )
        return False
    if lacks := shortcomings(dataset, folder):
        raise PathError(
            f"{folder}: is not empty, and not the complete {dataset.title} ({', '.join(lacks)}). "
            "Name a folder that is new or empty."
        )
    return True


def _check_space(dataset: Dataset, folder: Path, there: int) -> None:
    """Raise before the first byte if archive and unpacked files will not both fit."""
    needed = max(0, dataset.archive_bytes - there) + dataset.unpacked_bytes
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise DownloadError(
            f"{folder.parent}: {needed:,} bytes must be free for {dataset.title} (archive and unpacked files), "
            f"got {free:,}. Free some space, or name a folder on another disk."
        )


@contextmanager
def _alone(work: Path, on_progress: OnProgress | None) -> Iterator[None]:
    """Hold the lock for this destination, waiting for another process if need be."""
    with needs_extra("train", "Fetching data sets"):
        from filelock import FileLock, Timeout
    path = work.with_name(f"{work.name}.lock")
    path.touch()  # where none can be made, the lock itself would wait for ever, as for another process
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_progress is not None:
            on_progress("waiting", 0, None)
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        # Only where nothing is left to continue: the data set is in place, or the next process begins anew anyway.
        if not work.exists():
            with suppress(OSError):
                path.unlink()
        lock.release()
