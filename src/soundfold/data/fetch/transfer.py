"""One try to fetch the rest of a file over HTTP, appended to its part on the disk; repeating is `download`'s business.

How a part survives. Bytes go to `<name>.part`; `<name>.part.json` holds the address and the server's mark for this
version of the file (a strong ETag, else Last-Modified). The next try asks for the rest with `Range` and, where there
is a mark, `If-Range`, and takes the answer only if it is 206, begins where the part ends and carries no other mark.
Any other answer begins anew. The part is emptied only once the server is sending.
"""

import errno
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from soundfold.errors import DownloadError, PathError

if TYPE_CHECKING:
    import requests

__all__ = ["BrokenOffError", "OnProgress", "cannot_write", "discard", "fetch_rest", "file_bytes"]

OnProgress = Callable[[str, int, int | None], None]
"""Told while something long goes on: the phase, how far it is, and how far it goes if that is known.

Phases: `waiting` (for another process), `downloading` (bytes), `retrying` (the try that begins, of all), `checking`
(bytes hashed), `unpacking` (bytes of the archive).
"""

_BLOCK = 1 << 16
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class BrokenOffError(Exception):
    """A try that failed and may be repeated; the message is the reason.

    Attributes:
        wait_s: how long the server asks to be left alone, in seconds.
        continues: whether the next try can go on from the part, as far as is known.
    """

    def __init__(self, reason: str, *, wait_s: float = 0.0, continues: bool = True) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.continues = continues


def fetch_rest(
    session: "requests.Session",
    url: str,
    part: Path,
    *,
    size: int | None,
    proven: bool,
    timeout_s: float,
    tell: OnProgress,
) -> None:
    """Ask once for what is missing and append it to the part.

    Args:
        session: carries headers, proxies and certificates.
        url: http or https address.
        part: file to append to; it may be missing.
        size: published length of the whole file in bytes, or None.
        proven: whether a published hash will tell if two halves belong together. Without it a part is continued
            only under the server's mark.
        timeout_s: seconds without a connection or a byte.
        tell: told about `downloading`.

    Raises:
        BrokenOffError: the try failed, and another may do better.
        DownloadError: another try would not help, or the disk is full.
        PathError: the part may not be written.
    """
    done, mark = _resume_point(part, url, proven)
    with _ask(session, url, done, mark, timeout_s) as response:
        _refuse_status(response, url, part)
        start, total = _extent(response, url, part, done, mark, size)
        asked_in_vain = done > 0 and start == 0
        continues = not asked_in_vain and (proven or _mark(response) is not None)
        try:
            here = _append(response, url, part, start, total, timeout_s, continues, tell)
        except OSError as error:
            raise cannot_write(part, error, None if total is None else total - file_bytes(part)) from error
    if total is not None and here > total:
        discard(part)
        raise DownloadError(f"{url}: the server sends more than the file's {total:,} bytes. Try again later.")
    if total is not None and here < total:
        raise BrokenOffError("the server stopped sending", continues=continues)


def _ask(session: "requests.Session", url: str, done: int, mark: str | None, timeout_s: float) -> "requests.Response":
    """Send the request for everything from byte `done` on."""
    import requests

    headers = {"Range": f"bytes={done}-"} if done else {}
    if done and mark is not None:
        headers["If-Range"] = mark
    try:
        return session.get(url, headers=headers, stream=True, timeout=timeout_s)
    except requests.RequestException as error:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            raise DownloadError(
                f"{url}: the server's certificate is not trusted. Check this computer's clock, and ask whoever runs "
                "the network whether it inspects connections."
            ) from error
        raise BrokenOffError(_reason(error, timeout_s)) from error


def _append(
    response: "requests.Response",
    url: str,
    part: Path,
    start: int,
    total: int | None,
    timeout_s: float,
    continues: bool,
    tell: OnProgress,
) -> int:
    """Write the body to the part, from byte `start` on, and return where it ended; nothing is written past `total`."""
    done = start
    with part.open("ab" if start else "wb") as file:
        if not start:
            _mark_file(part).write_text(json.dumps({"url": url, "mark": _mark(response)}), encoding="utf-8")
        tell("downloading", done, total)
        for block in _blocks(response, timeout_s, continues):
            done += len(block)
            if total is not None and done > total:
                break
            file.write(block)
            file.flush()
            tell("downloading", done, total)
    return done


def cannot_write(path: Path, error: OSError, needed: int | None) -> DownloadError | PathError:
    """Return the one-line error for a write that failed; for a full disk it says how many bytes are needed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        more = "more bytes are needed" if needed is None else f"{needed:,} more bytes are needed"
        return DownloadError(
            f"{path}: the disk is full; {more}. Free some space, then run the same command again to continue."
        )
    return PathError(f"{path}: cannot be written ({error.strerror or error}). Name a folder that may be written.")


def discard(part: Path) -> None:
    """Remove a part and the mark beside it."""
    part.unlink(missing_ok=True)
    _mark_file(part).unlink(missing_ok=True)


def file_bytes(path: Path) -> int:
    """Return the length of a file in bytes, 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def _resume_point(part: Path, url: str, proven: bool) -> tuple[int, str | None]:
    """Return how many bytes may be kept, and the mark under which the server gave them."""
    mark = None
    try:
        noted = json.loads(_mark_file(part).read_text(encoding="utf-8"))
        if noted["url"] == url and isinstance(noted["mark"], str):
            mark = noted["mark"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a mark that a killed process left half-written is no mark
    return (0, None) if mark is None and not proven else (file_bytes(part), mark)


def _refuse_status(response: "requests.Response", url: str, part: Path) -> None:
    """Raise unless the answer brings bytes of the file."""
    status = response.status_code
    if status in (200, 206):
        return
    said = f"{status} {response.reason or ''}".strip()
    if status in _AGAIN:
        wait = response.headers.get("Retry-After", "")
        raise BrokenOffError(f"the server answers {said}", wait_s=float(wait) if wait.isdecimal() else 0.0)
    if status == 416:
        discard(part)
        raise BrokenOffError("the part on the disk does not fit the server's file")
    if status in (404, 410):
        raise DownloadError(f"{url}: the server has no such file ({said}). See whether soundfold has an update.")
    if status in (401, 403, 407, 451):
        raise DownloadError(f"{url}: the server refuses ({said}). Check the proxy settings, or try another network.")
    raise DownloadError(f"{url}: the server answers {said}. Try again later.")


def _extent(
    response: "requests.Response", url: str, part: Path, done: int, mark: str | None, size: int | None
) -> tuple[int, int | None]:
    """Return where the bytes of this answer begin in the file, and how long the whole file is if that is known."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    start = 0
    if response.status_code == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if span is None or not done or int(span[1]) != done or _other_version(response, mark):
            discard(part)
            raise BrokenOffError("the server gave another piece than it was asked for")
        start = done
        total = int(span[2]) if span[2] != "*" else size
    if size is not None and total is not None and total != size:
        raise DownloadError(
            f"{url}: the server offers {total:,} bytes, the published file has {size:,}. "
            "Check that no login page of the network stands in between, and try again later."
        )
    return start, total if size is None else size


def _blocks(response: "requests.Response", timeout_s: float, continues: bool) -> Iterator[bytes]:
    """Yield the body as it was sent, never decoded: some servers declare an archive's own gzip as an encoding."""
    import requests
    import urllib3

    try:
        yield from response.raw.stream(_BLOCK, decode_content=False)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise BrokenOffError(_reason(error, timeout_s), continues=continues) from error


def _mark(response: "requests.Response") -> str | None:
    """Return what names this version of the file for `If-Range`; a weak ETag does not promise equal bytes."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _other_version(response: "requests.Response", mark: str | None) -> bool:
    """Tell whether a 206 contradicts the mark; servers may leave out either header there."""
    if mark is None:
        return False
    return response.headers.get("ETag" if mark.startswith('"') else "Last-Modified", mark) != mark


def _reason(error: BaseException, timeout_s: float) -> str:
    """Return in a few words why the network failed; the true cause hides below several layers of wrapping."""
    import requests
    import urllib3

    causes = list(_causes(error))

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if among(urllib3.exceptions.ProxyError):
        return "the proxy cannot be reached; check HTTPS_PROXY and HTTP_PROXY"
    if among(socket.gaierror):
        return "the server's name is not found; check the network connection"
    if among(ConnectionRefusedError):
        return "the connection is refused"
    if among(requests.exceptions.ConnectTimeout):
        return f"no connection within {timeout_s:g} s; check the network connection"
    if among(requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError):
        return f"no answer for {timeout_s:g} s"
    if among(urllib3.exceptions.ProtocolError, ConnectionError):
        return "the connection was cut"
    return f"no connection: {' '.join(str(causes[-1]).split())[:200]}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and not any(cause is other for other in seen):
            seen.append(cause)
            yield cause
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]


def _mark_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
