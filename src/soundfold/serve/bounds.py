"""What a request may cost: one record of bounds, checked once."""

from dataclasses import dataclass, fields

from soundfold.errors import SoundfoldError

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """Bounds of a server.

    Attributes:
        max_bytes: largest body; beyond it 413.
        max_s: longest sound in seconds; beyond it 413, before it is decoded where its header tells.
        concurrency: requests that may be read and worked on at once; beyond it 429.
        max_read_s: seconds that a body may take to arrive; beyond it 408.
        max_head_s: seconds that a request's head may take, and what a body gets before it must keep up `min_rate`.
        min_rate: bytes a second that a body must keep up on the whole; slower ones would hold the places: 408.
        max_work_s: seconds that an answer may take; beyond it 503.
        min_hop_s: least seconds from one window to the next that may be asked for.
        streams: live streams at once; beyond it they are told to come again.
        max_stream_s: seconds of sound that one stream may bring.
        max_message_s: seconds of sound that one of its messages may hold.
        max_idle_s: seconds that a stream may be silent, and that anybody may take to read some of what is sent.
        connections: connections at once, streams among them; beyond it 503.
    """

    max_bytes: int = 50_000_000
    max_s: float = 600.0
    concurrency: int = 8
    max_read_s: float = 60.0
    max_head_s: float = 10.0
    min_rate: int = 10_000
    max_work_s: float = 60.0
    min_hop_s: float = 0.1
    streams: int = 4
    max_stream_s: float = 4 * 3_600.0
    max_message_s: float = 60.0
    max_idle_s: float = 20.0
    connections: int = 256

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_s"):
                if not value > 0:
                    raise SoundfoldError(f"{field.name} must be above 0 s, got {value}. Give a larger one")
            elif value < 1:
                raise SoundfoldError(f"{field.name} must be at least 1, got {value}. Give a larger one")
