"""How long, and how much, a request's head may take: what uvicorn leaves without a bound."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["patient_for"]

_MOST_HEAD_BYTES = 65_536


def patient_for(head_s: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, with connections closed that send no whole head in time, or a huge one.

    Without it, connections that send a byte now and then stay for ever, and a head without an end fills the memory.
    What comes after the head is the application's to bound.

    Args:
        head_s: seconds from a connection's beginning, or from the first byte of a further request.
    """

    class PatientProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._head_bytes = 0
            self._head_timer: asyncio.TimerHandle | None = None
            self._upgraded = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            waiting = self._waits_for_head()
            super().data_received(data)
            if not self._waits_for_head():
                self._stop_waiting()
                return
            self._head_bytes = self._head_bytes + len(data) if waiting else 0
            if self._head_bytes > _MOST_HEAD_BYTES:
                self.transport.abort()
            elif self._head_timer is None:
                self._wait_for_head()

        def handle_websocket_upgrade(self) -> None:
            self._upgraded = True
            super().handle_websocket_upgrade()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
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
