"""What the server tells Prometheus. Each application counts for itself, so that several may live in one process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters.

    Attributes:
        content_type: of `text`.
        requests: answered requests to `/v1/predict`, by status.
        seconds: from a request's head to its answer, of answered sounds.
        sound: seconds of sound that were answered for.
        working: requests that are read or worked on.
        passes: windows in a pass of the network, of uploads.
        streams, streamed: live streams that are open, and all that were.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        of = self._registry
        self.requests = Counter(
            "soundfold_requests", "Requests to /v1/predict that were answered", ["status"], registry=of
        )
        self.seconds = Histogram(
            "soundfold_request_seconds", "Seconds to the answer for a sound", buckets=_SECONDS, registry=of
        )
        self.sound = Counter("soundfold_sound_seconds", "Seconds of sound that were answered for", registry=of)
        self.working = Gauge("soundfold_working", "Requests that are read or worked on", registry=of)
        self.passes = Histogram(
            "soundfold_pass_windows", "Windows in a pass of the network, of uploads", buckets=(1, 2, 3, 4), registry=of
        )
        self.streams = Gauge("soundfold_streams", "Live streams that are open", registry=of)
        self.streamed = Counter("soundfold_streams_opened", "Live streams that were opened", registry=of)

    def passed(self, windows: list[int]) -> None:
        """Count passes of a network by the windows in each."""
        for each in windows:
            self.passes.observe(each)

    def text(self) -> bytes:
        """Return all of them in Prometheus's text format."""
        return generate_latest(self._registry)
