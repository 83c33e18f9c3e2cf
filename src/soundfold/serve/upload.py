"""A request's body: read into memory, counted while it comes, and the sound taken out of it. Nothing touches the disk.

Starlette's own reader of forms puts files above 1 MB on the disk, so the form is taken apart here.
"""

import asyncio
from typing import TYPE_CHECKING

from fastapi import HTTPException, Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers

from soundfold.serve.bounds import Bounds

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["claimed_bytes", "read_body", "take_sound"]

# A form for one sound has a handful of parts; without a bound, a body of nothing but boundaries costs a minute.
_MOST_PARTS = 16


async def read_body(request: Request, bounds: Bounds) -> bytes:
    """Return the whole body.

    Raises:
        HTTPException: 413, it is larger than allowed, found out from what has come, or at once where the header admits
            it; 408, it comes too slowly or takes too long.
    """
    if claimed_bytes(request.headers) > bounds.max_bytes:
        raise _too_large(bounds.max_bytes)
    loop = asyncio.get_running_loop()
    began = loop.time()
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(min(bounds.max_head_s, bounds.max_read_s)) as patience:
            async for chunk in request.stream():
                size += len(chunk)
                if size > bounds.max_bytes:
                    raise _too_large(bounds.max_bytes)
                chunks.append(chunk)
                patience.reschedule(began + min(bounds.max_head_s + size / bounds.min_rate, bounds.max_read_s))
    except TimeoutError:
        told = (
            f"the upload took longer than {bounds.max_read_s:g} s, or came slower than {bounds.min_rate:,} bytes a "
            f"second. Send a smaller one, or over a faster line"
        )
        raise HTTPException(408, told) from None
    return b"".join(chunks)


def claimed_bytes(headers: Headers) -> int:
    """Return how long a body will be by its sender's own words; 0 where they are none."""
    claimed = headers.get("content-length", "")
    return int(claimed) if claimed.isdecimal() and len(claimed) < 20 else 0


def take_sound(body: bytes, content_type: str) -> tuple[bytes, str]:
    """Return the sound in a body, the one file of a form (`multipart/form-data`) or the body itself, and its name.

    The name is what messages and the answer call it, "" where the sender gave none.

    Raises:
        HTTPException: 400, the form is damaged, or holds no file or several.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return body, ""
    form = _Form()
    try:
        parser = MultipartParser(options.get(b"boundary", b""), form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        form.ended = False
    if not form.ended:
        raise HTTPException(400, "the form is damaged or broke off. Send it again, or the sound alone as the body")
    if len(form.files) != 1:
        raise HTTPException(400, f"the form must hold one file, got {len(form.files)}. Send one sound a request")
    name, pieces = form.files[0]
    return b"".join(pieces), name


class _Form:
    """The files among a form's parts, put together from the parser's events; other parts are passed over.

    Attributes:
        files: name and content of each file.
        ended: whether the form was there to its end.
    """

    def __init__(self) -> None:
        self.files: list[tuple[str, list[bytes]]] = []
        self.ended = False
        self._parts = 0
        self._field = b""
        self._value = b""
        self._disposition = b""
        self._content: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise HTTPException(400, f"the form must have at most {_MOST_PARTS} parts. Send one sound a request")
        self._field = self._value = self._disposition = b""

    def _header_field(self, data: bytes, start: int, stop: int) -> None:
        self._field += data[start:stop]

    def _header_value(self, data: bytes, start: int, stop: int) -> None:
        self._value += data[start:stop]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        self._content = []
        name = parse_options_header(self._disposition)[1].get(b"filename")
        if name:  # a browser sends an empty name where no file was chosen
            self.files.append((name.decode("utf-8", "replace"), self._content))

    def _data(self, data: bytes, start: int, stop: int) -> None:
        self._content.append(data[start:stop])

    def _end(self) -> None:
        self.ended = True


def _too_large(max_bytes: int) -> HTTPException:
    most = f"the upload is larger than {max_bytes:,} bytes, the most that is taken here"
    return HTTPException(413, f"{most}. Send a part, compress it, or start the server with more --max-bytes")
