"""What uvicorn leaves without a bound, or refuses in words of its own: heads of requests, and connections."""

import asyncio
import json
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["patient_for"]

_MOST_HEAD_BYTES = 65_536
_MOST_AHEAD = 32  # requests that are sent before earlier ones are answered; no client of today sends any
_CROWDED = {"error": "as many connections are open as may be at once. Come again in a second"}
_NO_HTTP = {"error": "the request is not valid HTTP. Send it by a client that is"}


def patient_for(head_s: float, idle_s: float, connections: int) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol; it closes connections that send no whole head in time, read nothing, or are too many.

    Without it, connections that send a byte now and then stay for ever, as those do that do not read their answers, and
    a head without an end fills the memory, as requests do whose answers nobody waits for. What comes after the head is
    the application's to bound. Too many connections are told so in JSON, as every refusal is, and when to come again;
    uvicorn's own limit says neither.

    Args:
        head_s: seconds from a connection's beginning, or from the first byte of a further request.
        idle_s: seconds in which whoever is sent answers must have read some of them.
        connections: connections at once, live streams among them.
    """

    class PatientProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._head_bytes = 0
            self._head_timer: asyncio.TimerHandle | None = None
            self._upgraded = False
            self._read_timer: asyncio.TimerHandle | None = None
            self._has_head, self._field_bytes = False, 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            waiting = self._waits_for_head()
            super().data_received(data)
            if len(self.pipeline) > _MOST_AHEAD:  # uvicorn reads on for ever, and keeps them all
                self.transport.abort()
                return
            if not self._waits_for_head():
                self._stop_waiting()
                return
            self._head_bytes = self._head_bytes + len(data) if waiting else 0
            if self._head_bytes > _MOST_HEAD_BYTES:
                self.transport.abort()
            elif self._head_timer is None:
                self._wait_for_head()

        def on_message_begin(self) -> None:
            self._has_head, self._field_bytes = False, 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._count(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            # behind the pieces of a body may stand fields that nobody asks for, without end
            self._count(len(name) + len(value))
            if not self._has_head:
                super().on_header(name, value)

        def _count(self, n_bytes: int) -> None:
            """Close a connection whose head, or what stands behind its body, is too large, in one piece or in many."""
            self._field_bytes += n_bytes
            if self._field_bytes > _MOST_HEAD_BYTES:
                self.transport.abort()

        def on_headers_complete(self) -> None:
            self._has_head, self._field_bytes = True, 0
            if self._is_crowded():
                self.app = _refuse_crowd  # for good: the refusal closes the connection
            super().on_headers_complete()

        def handle_websocket_upgrade(self) -> None:
            self._upgraded = True
            if self._is_crowded():
                self._write_and_close("503 Service Unavailable", _CROWDED, "retry-after: 1\r\n")
            else:
                super().handle_websocket_upgrade()

        def send_400_response(self, _: str) -> None:
            self._write_and_close("400 Bad Request", _NO_HTTP)

        def _write_and_close(self, status: str, told: dict[str, str], more: str = "") -> None:
            body = json.dumps(told)
            head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
            self.transport.write(f"HTTP/1.1 {status}\r\n{head}{more}\r\n{body}".encode())
            self.transport.close()

        def _is_crowded(self) -> bool:
            return len(self.connections) > connections

        def pause_writing(self) -> None:
            super().pause_writing()
            self._read_timer = self.loop.call_later(idle_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._was_read()

        def _was_read(self) -> None:
            if self._read_timer is not None:
                self._read_timer.cancel()
                self._read_timer = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._was_read()
            super().connection_lost(exc)

        def _waits_for_head(self) -> bool:
            return not self._upgraded and (self.cycle is None or self.cycle.response_complete)

        def _wait_for_head(self) -> None:
            self._head_timer = self.loop.call_later(head_s, self.transport.close)

        def _stop_waiting(self) -> None:
            self._head_bytes = 0
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return PatientProtocol


async def _refuse_crowd(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(_CROWDED, 503, {"Retry-After": "1", "Connection": "close"})(scope, receive, send)
