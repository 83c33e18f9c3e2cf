"""The files that the store's clips come from: the stamp that tells at a glance that nothing changed, and the content.

A stamp is cheap, and may differ though the bytes are the same: after `touch`, `chmod`, a copy, a move. Then the content
decides. It is hashed at most once a file, however many clips are cut from it.
"""

import os
import stat
import threading

import xxhash

__all__ = ["GONE", "Source", "Stamp", "stamp_of"]

Stamp = tuple[int, int, int]
"""Size in bytes, time of the content's last change, time of any last change; both times in ns."""

GONE: Stamp = (-1, -1, -1)
"""The stamp of a file that is not there."""

_BLOCK_BYTES = 1 << 18  # what was read is still in the processor's cache when it is hashed
_AT_ONCE_BYTES = 1 << 24  # smaller files are read once for both, to be hashed and to be decoded
_TO_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # waits for no pipe's other end


class Source:
    """A file, with its stamp at the time of asking.

    Attributes:
        path: where it is.
        stamp: its stamp at the time of asking.
    """

    __slots__ = ("_hash", "_lock", "path", "stamp")

    def __init__(self, path: str, stamp: Stamp) -> None:
        self.path = path
        self.stamp = stamp
        self._lock = threading.Lock()
        self._hash: str | None = None

    def content(self) -> tuple[str, bytes | None]:
        """Return a hash of the file's bytes and its name's ending; "" for what cannot be read or is no regular file.

        The ending counts because libsndfile goes by it where the bytes do not say what they are. Who asks while another
        thread is hashing waits for the answer.

        Returns:
            The hash; and for the first who asks, the bytes themselves, unless there are too many to be held.
        """
        with self._lock:
            content = None
            if self._hash is None:
                self._hash, content = _read(self.path)
            return self._hash, content

    def is_as_stamped(self) -> bool:
        """Tell whether the file still is what it was at the time of asking."""
        return stamp_of(self.path) == self.stamp


def stamp_of(path: str) -> Stamp:
    """Return a file's present stamp."""
    try:
        status = os.stat(path)  # noqa: PTH116  a Path object a clip would cost more than the call
    except OSError:
        return GONE
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: str) -> tuple[str, bytes | None]:
    # XXH3 costs a twentieth of a cryptographic hash, and nobody gains from forging a kept result.
    digest = xxhash.xxh3_128(os.fsencode(os.path.splitext(path)[1].lower()) + b"\0")  # noqa: PTH122  as above
    blocks = []
    try:
        # A file object would make twice as many calls, and after each a thread may have to wait for the others.
        file = os.open(path, _TO_READ)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return "", None
            at_once = status.st_size <= _AT_ONCE_BYTES
            size = status.st_size + 1 if at_once else _BLOCK_BYTES
            block = None
            while block is None or len(block) == size:
                block = os.read(file, size)
                digest.update(block)
                if at_once:
                    blocks.append(block)
        finally:
            os.close(file)
    except OSError:
        return "", None
    return digest.hexdigest(), b"".join(blocks) if at_once else None
