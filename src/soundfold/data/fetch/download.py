"""Fetch one file so that nothing that has arrived is lost: parts, retries with growing waits, size and hash.

Why requests and not pooch. pooch 1.9 cannot resume: it writes each try to a new temporary file (`stream_download`)
and removes that file when the try fails. A downloader of our own, hung into `pooch.retrieve`, would have to keep its
part elsewhere and hand it over to that temporary file before the hash is known, so a process killed while six
gigabytes are hashed would lose them all. With resuming, naming and moving being ours, pooch's share would be one call
of `hashlib`; the errors, the check of the size and the progress of hashing would still be written here. So soundfold
uses requests (as pooch itself does) for redirects, proxies, certificates and timeouts; `transfer` makes one try.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from soundfold.data.fetch.transfer import BrokenOffError, OnProgress, discard, fetch_rest, file_bytes
from soundfold.errors import DownloadError, needs_extra
from soundfold.wording import counted

if TYPE_CHECKING:
    import requests

__all__ = ["PATIENCE", "Patience", "download", "part_bytes"]


@dataclass(frozen=True)
class Patience:
    """How long to go on when the network fails.

    Attributes:
        tries: tries without worthwhile progress before giving up, at least 1.
        first_wait_s: wait after the first failure, in seconds; each further one is twice as long.
        longest_wait_s: longest wait, in seconds; also the longest that a server's `Retry-After` is obeyed.
        timeout_s: seconds without a connection, or without a byte, until a try counts as failed.
        worthwhile_bytes: a try that came this much further starts the counting anew.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    timeout_s: float = 30.0
    worthwhile_bytes: int = 1 << 20


PATIENCE = Patience()


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    digest: str | None = None,
    patience: Patience = PATIENCE,
    on_progress: OnProgress | None = None,
) -> Path:
    """Fetch a file, going on where an earlier call or process broke off.

    A target that is there already is checked again, and fetched anew only if it is not what it should be. Two
    processes must not fetch to the same target at once; `fetching` sees to that with a lock.

    Args:
        url: http or https address.
        target: where the file goes; its folder must exist. `<name>.part` and `<name>.part.json` stand beside it
            until it is complete.
        size: published length in bytes, or None where nobody knows it beforehand.
        digest: published hash, `md5:…` or `sha256:…`, or None.
        patience: tries, waits and timeouts.
        on_progress: told about `downloading`, `retrying` and `checking`.

    Returns:
        target.

    Raises:
        DownloadError: the server cannot be reached, refuses, or offers something else than the published file; or the
            disk is full. A part that may be continued stays, one with the wrong hash goes.
        PathError: the part may not be written.
        MissingExtraError: requests is not installed.
    """
    with needs_extra("train", "Fetching data sets"):
        import requests
    tell = on_progress or _silent
    if target.is_file() and not _fault(target, size, digest, tell):
        return target
    part = _part(target)
    with requests.Session() as session:
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "soundfold"})
        _fetch_all(session, url, part, size, digest is not None, patience, tell)
    if fault := _fault(part, size, digest, tell):
        discard(part)
        raise DownloadError(f"{url}: {fault}. What arrived is removed; run the same command again to fetch it anew.")
    part.replace(target)
    discard(part)
    return target


def part_bytes(target: Path) -> int:
    """Return how many bytes of this download lie on the disk already, finished or not."""
    return file_bytes(target) or file_bytes(_part(target))


def _fetch_all(
    session: "requests.Session",
    url: str,
    part: Path,
    size: int | None,
    proven: bool,
    patience: Patience,
    tell: OnProgress,
) -> None:
    """Repeat tries until the part is complete or patience ends."""
    if size is not None and file_bytes(part) > size:
        discard(part)
    failures, reached = 0, file_bytes(part)
    while size is None or file_bytes(part) < size:
        try:
            fetch_rest(session, url, part, size=size, proven=proven, timeout_s=patience.timeout_s, tell=tell)
            return
        except BrokenOffError as broken:
            here = file_bytes(part)
            failures = 1 if here - reached >= patience.worthwhile_bytes else failures + 1
            reached = max(reached, here)
            if failures >= patience.tries:
                raise DownloadError(_gave_up(url, here, size, failures, broken)) from broken
            tell("retrying", failures + 1, patience.tries)
            time.sleep(min(patience.longest_wait_s, max(broken.wait_s, patience.first_wait_s * 2 ** (failures - 1))))


def _fault(path: Path, size: int | None, digest: str | None, tell: OnProgress) -> str:
    """Return what is wrong with a file that should be the published one, or nothing."""
    found = file_bytes(path)
    if size is not None and found != size:
        return f"the length of what arrived must be {size:,} bytes, got {found:,}"
    if digest is None:
        return ""
    kind, _, expected = digest.partition(":")
    hasher = hashlib.new(kind, usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
            done += len(block)
            tell("checking", done, found)
    got = hasher.hexdigest()
    return "" if got == expected.lower() else f"the {kind} of what arrived must be {expected}, got {got}"


def _gave_up(url: str, here: int, size: int | None, tries: int, broken: BrokenOffError) -> str:
    count = counted(tries, "try", "tries")
    if not here:
        return f"{url}: could not be fetched in {count} ({broken}). Run the same command again later."
    of = "" if size is None else f" of {size:,}"
    mend = "to continue" if broken.continues else "later; this server cannot continue, so it begins anew"
    return f"{url}: broke off at {here:,}{of} bytes after {count} ({broken}). Run the same command again {mend}."


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _silent(phase: str, done: int, total: int | None) -> None:
    """Tell nobody."""
