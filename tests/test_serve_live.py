"""Live streams are answered as the whole sound is, within their bounds; refusals are one message and a close."""

import io
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import av
import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("websockets")
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from model_files import TINY_MODEL
from serving import RATE, served, sine, webm
from soundfold.audio.arriving import ArrivingSound
from soundfold.errors import AudioError
from soundfold.runtime import load
from soundfold.serve import Bounds

pytestmark = pytest.mark.runtime
MODEL = load(TINY_MODEL)
SWELL = np.linspace(0, 1, 4 * RATE + 4_321).astype(np.float32) * sine((4 * RATE + 4_321) / RATE, 1.0).astype(np.float32)


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with served(
        {"tiny": MODEL, "twin": MODEL},
        Bounds(streams=2, max_stream_s=30.0, max_message_s=20.0, max_head_s=0.5, max_idle_s=0.5),
    ) as url:
        yield url.replace("http", "ws") + "/v1/stream"


def told(where: str, opening: object, pieces: list[bytes], end: bool = True, **options) -> list[dict]:
    """Send a stream and return all messages of the server."""
    with connect(where, **options) as socket:
        with suppress(ConnectionClosed):  # refused already; what it said is still to be read
            socket.send(opening if isinstance(opening, str | bytes) else json.dumps(opening))
            for piece in pieces:
                socket.send(piece)
            if end:
                socket.send('{"end": true}')
        messages: list[dict] = []
        with suppress(ConnectionClosed):
            while True:
                messages.append(json.loads(socket.recv(10)))
        return messages


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("hop_s", [None, 0.25])
@pytest.mark.parametrize(
    ("kind", "content", "size"),
    [
        ("f32le", SWELL.tobytes(), 4_099),
        ("s16le", (SWELL * 32_767).round().astype("<i2").tobytes(), 3_201),
        ("f32le", SWELL.tobytes(), 10**6),
    ],
)
def test_pcm_is_answered_as_the_whole_sound(where, kind, content, size, hop_s):
    opening = {"format": kind, "sample_rate": RATE} | ({} if hop_s is None else {"hop_s": hop_s})
    ready, *answers, end = told(where, opening, cut(content, size))
    assert ready == {"ready": True, "window_s": 1.0}
    assert end == {"end": True, "heard_s": len(SWELL) / RATE}
    expected = MODEL.predict(SWELL, RATE, hop_s=hop_s).timeline
    assert [(one["start_s"], one["end_s"]) for one in answers] == [(one.start_s, one.end_s) for one in expected]
    for answer, span in zip(answers, expected, strict=True):
        assert answer["label"] == span.label
        assert answer["probabilities"] == pytest.approx(span.probabilities, abs=1e-3)


def test_channels_lie_between_each_other(where):
    stereo = np.stack([SWELL, np.zeros_like(SWELL)], axis=1)  # (samples, channels)
    opening = {"format": "f32le", "sample_rate": RATE, "channels": 2, "model": "twin"}
    _, *answers, _ = told(where, opening, cut(stereo.tobytes(), 5_003))
    expected = MODEL.predict(stereo.T, RATE).timeline
    assert [one["probability"] for one in answers] == pytest.approx([one.probability for one in expected], abs=1e-4)


@pytest.mark.parametrize("size", [700, 10**6])
def test_webm_of_a_browser_is_answered_as_the_file(where, size):
    content = webm(sine(3.0, 0.8, 48_000))
    _, *answers, end = told(where, {"format": "webm"}, cut(content, size))
    expected = MODEL.predict(content)
    assert end["heard_s"] == pytest.approx(expected.duration_s, abs=0.03)  # the encoder's priming is not cut off
    assert [one["label"] for one in answers[:3]] == [one.label for one in expected.timeline[:3]]


def test_webm_comes_out_while_it_arrives():
    content = webm(sine(5.0, 0.8, 48_000))
    sound = ArrivingSound()
    came = [sum(block.shape[1] for block in sound.feed(piece)) for piece in cut(content, len(content) // 10)]
    rest = sum(block.shape[1] for block in sound.finish())
    assert sound.sample_rate == 48_000
    assert sum(came) + rest == pytest.approx(5.0 * 48_000, abs=1_500)
    assert sum(came[:6]) > 1.0 * 48_000
    sound.close()
    assert "arriving" not in {thread.name for thread in threading.enumerate()}


def flac_in_ogg(seconds: int) -> bytes:
    """Return silence that takes next to nothing."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        track = container.add_stream("flac", rate=48_000, layout="mono", options={"frame_size": "65535"})
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000 * seconds), np.int16), "s16", "mono")
        frame.sample_rate = 48_000
        frame.pts = 0
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return file.getvalue()


def test_a_small_message_does_not_fill_the_memory():
    content = flac_in_ogg(5 * 60)
    assert len(content) < 20_000
    sound = ArrivingSound()
    tracemalloc.start()
    try:
        assert sum(block.shape[1] for block in sound.feed(content)) > 4 * 60 * 48_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        sound.close()
    assert peak < 30e6  # all of it is 58 MB


def test_arriving_sound_can_be_dropped_anywhere():
    content = webm(sine(1.0, 0.8, 48_000))
    for size in (0, 10, len(content) // 2, len(content)):
        sound = ArrivingSound()
        sound.feed(content[:size])
        sound.close()
    assert "arriving" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("content", [b"no sound at all" * 1_000, bytes(10_000), b"\x1aE\xdf\xa3" + bytes(5_000)])
def test_arriving_nonsense_is_told(content):
    sound = ArrivingSound()
    with pytest.raises(AudioError, match="is not WebM or Ogg"):
        [*sound.feed(content), *sound.finish()]
    sound.close()


@pytest.mark.parametrize(
    ("opening", "pieces", "word"),
    [
        ({"format": "mp3"}, [], "format must be 's16le', 'f32le' or 'webm', got 'mp3'"),
        ({"sample_rate": 10}, [], "sample_rate must be greater than or equal to 1000, got 10"),
        ({"hop_s": 0.01}, [], "hop_s must be at least 0.1"),
        ({"hop_s": 2.0}, [], "hop must be more than 0"),
        ({"model": "none"}, [], "model must be one that is served"),
        ({"path": "/etc/passwd"}, [], "path is nothing that a stream can be opened with. Known: channels"),
        ({"model": "n" * 500_000}, [], f"got '{'n' * 80}…'"),
        ({"p" * 500_000: 1}, [], f"{'p' * 80}… is nothing that"),
        ("[1, 2", [], "the first message must be JSON with any of format"),
        ("[" * 100_000, [], "the first message must be JSON with any of format"),
        (b"\0" * 100, [], "the first message must be JSON with any of format"),
        ({"sample_rate": RATE}, [np.full(9_000, np.nan, "<f4").tobytes()], "must hold finite numbers"),
        ({"sample_rate": 1_000}, [np.zeros(16_000, "<f4").tobytes()] * 2, "lasts longer than 30 s"),
        ({"sample_rate": RATE}, ["more"], "must be {\"end\": true}"),
        ({"format": "webm"}, [b"no sound" * 1_000], "is not WebM or Ogg"),
        ({"format": "webm"}, [], "is not WebM or Ogg"),
    ],
)  # fmt: skip
def test_refusals(where, opening, pieces, word):
    *_, last = told(where, opening, pieces)
    assert list(last) == ["error"]
    assert word in last["error"]
    assert last["error"].isprintable()
    assert len(last["error"]) < 400, "an answer is not as long as what was asked"


def test_a_silent_stream_is_closed(where):
    assert "nothing came for 0.5 s" in told(where, {"sample_rate": RATE}, [], end=False)[-1]["error"]
    with connect(where) as socket:
        assert "nothing came for 0.5 s" in socket.recv(5)


def test_no_more_streams_than_allowed_and_the_place_is_free_again(where):
    for _ in range(2):
        with connect(where) as first, connect(where) as second:
            for socket in (first, second):
                socket.send("{}")
                assert json.loads(socket.recv(5))["ready"]
            with connect(where) as third:
                third.send("{}")
                assert "2 streams are open" in json.loads(third.recv(5))["error"]


def test_a_message_too_large_is_not_taken(where):
    with connect(where) as socket:
        socket.send("{}")
        socket.recv(5)
        socket.send(bytes(1_000_001))
        with pytest.raises(ConnectionClosed):
            socket.recv(5)


@pytest.mark.parametrize("kind", ["s16le", "webm"])
def test_a_message_that_holds_hours_is_not_taken(where, kind):
    content = bytes(2 * 21 * 1_000)
    if kind == "webm":
        content = flac_in_ogg(5 * 60)
        assert len(content) < 20_000
    with connect(where) as stream:
        stream.send(json.dumps({"format": kind, "sample_rate": 1_000}))
        assert json.loads(stream.recv(5))["ready"]
        stream.send(content)
        assert json.loads(stream.recv(20)) == {
            "error": "a message must hold at most 20 s of sound, got more. Send it in several"
        }
        with pytest.raises(ConnectionClosed) as closed:
            stream.recv(20)
    assert closed.value.rcvd.code == 1009


def test_a_page_of_another_site_may_not_listen(where):
    for origin in ("https://elsewhere.example", "http://["):
        with pytest.raises(InvalidStatus, match="403"):
            connect(where, origin=origin)
    own = where.replace("ws:", "http:").removesuffix("/v1/stream")
    assert told(where, "{}", [], origin=own)[0]["ready"]


def test_a_name_that_is_made_to_lead_here_may_not_listen():
    with served(MODEL, host_names=["sounds.example.org"]) as url:
        port = int(url.rpartition(":")[2])

        def as_if_at(name: str) -> dict:
            return {"sock": socket.create_connection(("127.0.0.1", port)), "origin": f"http://{name}:{port}"}

        with pytest.raises(InvalidStatus, match="403"):
            connect(f"ws://evil.example:{port}/v1/stream", **as_if_at("evil.example"))
        for name in ("localhost", "sounds.example.org"):
            assert told(f"ws://{name}:{port}/v1/stream", "{}", [], **as_if_at(name))[0]["ready"]


def test_streams_bring_their_token_in_the_first_message():
    with served(MODEL, token="much secret") as url:
        where = url.replace("http", "ws") + "/v1/stream"
        assert told(where, {"token": "much secret"}, [])[0]["ready"]
        for wrong in ({}, {"token": "Much secret"}, {"token": "ü"}):
            assert "token is missing or wrong" in told(where, wrong, [])[-1]["error"]


def test_nobody_without_the_token_takes_a_place():
    with served(MODEL, Bounds(streams=1), token="much secret") as url:
        where = url.replace("http", "ws") + "/v1/stream"
        with connect(where), connect(where):
            assert told(where, {"token": "much secret"}, [])[0] == {"ready": True, "window_s": MODEL.card.window_s}


def test_hanging_up_leaves_no_thread():
    before = {thread.name for thread in threading.enumerate()}
    with served(MODEL) as url, connect(url.replace("http", "ws") + "/v1/stream") as socket:
        socket.send('{"format": "webm"}')
        socket.recv(5)
        socket.send(webm(sine(1.0, 0.8, 48_000))[:3_000])
        socket.socket.shutdown(2)
    assert "arriving" not in {thread.name for thread in threading.enumerate()} - before
