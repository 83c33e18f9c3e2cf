"""The socket that is listened on, and uvicorn upon it. Nothing here knows what is served."""

import ipaddress
import math
import socket

import uvicorn
from fastapi import FastAPI

from soundfold.errors import SoundfoldError
from soundfold.serve.bounds import Bounds
from soundfold.serve.live import MOST_MESSAGE
from soundfold.serve.patience import patient_for

__all__ = ["address", "build_server", "hears_all", "is_loopback", "listen"]


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; uvicorn itself would end the process where it cannot.

    Args:
        host: a name or an IPv4 or IPv6 address of this machine; "127.0.0.1" is heard by this machine alone.
        port: 0 to 65535; 0 takes any that is free.

    Raises:
        SoundfoldError: the address is not this machine's, is taken, or may not be used.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(where[:2], family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        # of "Address already in use (while attempting to bind …)" the beginning is enough
        reason = (getattr(error, "strerror", None) or str(error)).split(" (")[0].lower()
        raise SoundfoldError(
            f"{host}:{port}: cannot be listened on ({reason}). Choose others with --host and --port"
        ) from error


def address(listening: socket.socket) -> str:
    """Return where a socket is heard, as `http://127.0.0.1:8000`; one that all addresses lead to, from this machine."""
    host, port = listening.getsockname()[:2]
    heard = ipaddress.ip_address(host)
    if hears_all(listening):
        host = "127.0.0.1" if heard.version == 4 else "::1"
    return f"http://[{host}]:{port}" if heard.version == 6 else f"http://{host}:{port}"


def hears_all(listening: socket.socket) -> bool:
    """Tell whether every address of this machine leads to a socket."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_unspecified


def build_server(app: FastAPI, bounds: Bounds | None = None) -> uvicorn.Server:
    """Return a server to be started with `run(sockets=[listen(…)])`.

    It runs until a signal comes or its `should_exit` is set, and then answers all that it has accepted. Complaints go
    to stderr; stdout stays empty.
    """
    bounds = bounds or Bounds()
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            # whoever was accepted may take this long to send, and we to answer
            timeout_graceful_shutdown=math.ceil(bounds.max_read_s + bounds.max_work_s),
            timeout_keep_alive=math.ceil(bounds.max_head_s),
            http=patient_for(bounds.max_head_s, bounds.max_idle_s, bounds.connections),
            ws="websockets-sansio",
            ws_max_size=MOST_MESSAGE,
            ws_ping_interval=None,  # streams have a bound of their own on silence
        )
    )


def is_loopback(listening: socket.socket) -> bool:
    """Tell whether a socket is heard by this machine alone."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback
