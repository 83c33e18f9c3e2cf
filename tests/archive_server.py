"""A web server on 127.0.0.1 that misbehaves as told, and tiny data sets for it; only for the tests of downloads."""

import csv
import hashlib
import io
import random
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from soundfold.data.fetch.catalogue import Dataset
from soundfold.data.fetch.download import Patience

HASTE = Patience(tries=3, first_wait_s=0.0, longest_wait_s=0.0, timeout_s=0.25)
CLIPS = 12


@dataclass
class Site:
    """What the server does; the lists are used up, one entry a request, and then the server behaves.

    `cuts`: bytes of the body after which the connection is cut. `statuses`: what to answer instead of the file.
    `claimed`: Content-Length in place of the true one, -1 for none. `stall_after`: bytes after which it waits for
    `go_on`. `on_206`: headers that replace the right ones in a partial answer.
    """

    body: bytes
    ranges: bool = True
    etag: str | None = '"one"'
    chunked: bool = False
    claimed: int | None = None
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    stall_after: int | None = None
    on_206: dict[str, str] = field(default_factory=dict)
    always_cut: int | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve in a thread until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, site)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/set.bin"
    try:
        yield site
    finally:
        site.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    asked = handler.headers.get("Range")
    site.asked.append(asked)
    handler.close_connection = True
    if site.statuses and (status := site.statuses.pop(0)) != 200:
        handler.send_error(status)
        return
    start = 0
    if asked and site.ranges and handler.headers.get("If-Range", site.etag) == site.etag:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= len(site.body):
        handler.send_error(416)
        return
    body = site.body[start:]
    headers = {"Content-Length": str(len(body) if site.claimed is None else site.claimed)}
    if site.claimed == -1 or site.chunked:
        del headers["Content-Length"]
    if site.chunked:
        headers["Transfer-Encoding"] = "chunked"
    if site.etag:
        headers["ETag"] = site.etag
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(site.body) - 1}/{len(site.body)}"
        headers |= site.on_206
    handler.send_response(206 if start else 200)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    cut = site.cuts.pop(0) if site.cuts else site.always_cut
    if site.stall_after is not None:
        handler.wfile.write(body[: site.stall_after])
        handler.wfile.flush()
        site.go_on.wait(10)
        return
    if site.chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    handler.wfile.write(body[:cut])


def wait_until(condition: object, timeout_s: float = 10.0) -> None:
    """Wait until the callable returns something true."""
    end = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def noise(length: int, seed: int = 0) -> bytes:
    """Return bytes that no compression shortens."""
    return random.Random(seed).randbytes(length)


def tiny_files(clips: int = CLIPS, clip_bytes: int = 20_000, rows: int = CLIPS) -> dict[str, bytes]:
    """Return name → bytes of a data set in the layout of ESC-50, without its top folder."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["filename", "fold"])
    writer.writerows([f"{clip}.wav", 1 + clip % 5] for clip in range(rows))
    files = {f"audio/{clip}.wav": noise(clip_bytes, clip) for clip in range(clips)}
    return {"README.md": b"tiny", "meta/tiny.csv": table.getvalue().encode(), **files}


def zipped(files: dict[str, bytes], top: str = "Tiny-master/") -> bytes:
    """Return a zip archive of these files below a top folder."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(top + name, content)
    return packed.getvalue()


def tarred(files: dict[str, bytes], top: str = "Tiny-master/", extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    """Return a tar.gz archive of these files below a top folder, with further members at the end."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return packed.getvalue()


def dataset_for(url: str, body: bytes, **changes: object) -> Dataset:
    """Return the catalogue entry of the tiny data set at this address."""
    known = Dataset(
        name="tiny",
        title="Tiny",
        url=url,
        file_name="tiny.archive",
        size=len(body),
        digest=f"sha256:{hashlib.sha256(body).hexdigest()}",
        unpacked_bytes=1_000_000,
        top_folder="Tiny-master",
        clips=CLIPS,
        clip_pattern="audio/*.wav",
        table="meta/tiny.csv",
        columns=("filename", "fold"),
        licence="Tiny is under CC0: any use.",
        home="https://example.org/tiny",
    )
    return replace(known, **changes)  # type: ignore[arg-type]
