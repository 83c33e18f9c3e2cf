"""The server answers as `predict --json` does, within its bounds, and tells errors as one line of JSON."""

import asyncio
import io
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")
pytest.importorskip("httpx")
import httpx
from fastapi import HTTPException

from model_files import TINY_MODEL, tiny_probabilities
from serving import Here, kept_workers
from soundfold.cli import main
from soundfold.errors import SoundfoldError
from soundfold.runtime import load
from soundfold.serve import Bounds, address, build_app, build_server, hears_all, is_loopback, listen
from soundfold.serve.upload import take_sound

pytestmark = pytest.mark.runtime

RATE = 8_000
MODEL = load(TINY_MODEL)


def sine(seconds: float = 2.5, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE)) / RATE)


def encoded(kind: str = "WAV", samples: np.ndarray | None = None, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sine() if samples is None else samples, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def m4a(seconds: float) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(sine(seconds)[np.newaxis].astype(np.float32), "fltp", "mono")
        frame.sample_rate = RATE
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return file.getvalue()


def flac_that_promises(frames: int) -> bytes:
    file = bytearray(encoded("FLAC"))
    rest = int.from_bytes(file[18:26], "big") >> 36 << 36
    file[18:26] = (rest | frames).to_bytes(8, "big")
    return bytes(file)


def form(*parts: tuple[str, bytes], boundary: str = "B") -> bytes:
    """A form of parts, each with its Content-Disposition's end."""
    pieces = [
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), head.encode(), content)
        for head, content in parts
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def app_of(model, workers=None, **bounds):
    return build_app(model, Bounds(**bounds), workers=workers or kept_workers(model.path))


def ask(app, method: str, path: str, **options) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with client_of(app) as client:
            return await client.request(method, path, **options)

    return asyncio.run(asked())


def client_of(app, **options) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, **options), base_url="http://test")


def post(content: bytes | AsyncIterator[bytes] | None = None, app=None, **options) -> httpx.Response:
    return ask(app or app_of(MODEL), "POST", "/v1/predict", content=content, **options)


def post_form(body: bytes, boundary: str = "boundary=B") -> httpx.Response:
    return post(body, headers={"content-type": f"multipart/form-data; {boundary}"})


async def in_chunks(content: bytes, size: int = 1_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def refused(answer: httpx.Response, status: int) -> str:
    """Check that it is one line of JSON that gives nothing away, and return the line."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    told: str = answer.json()["error"]
    assert told.isprintable()
    assert told
    assert "Traceback" not in told
    assert str(TINY_MODEL.parent) not in told
    return told


@contextmanager
def running(app) -> Iterator[tuple[str, object]]:
    """A real server in a thread, on a free port of the loopback."""
    server = build_server(app)
    with listen("127.0.0.1", 0) as listening:
        where = address(listening)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield where, server
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


# ---- the answer


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_answer_is_that_of_predict_json(tmp_path, capsys, kind):
    path = tmp_path / f"ein Ton ü.{kind.lower()}"
    path.write_bytes(encoded(kind))
    assert main(["predict", str(TINY_MODEL), str(path), "--json"]) == 0
    (printed,) = json.loads(capsys.readouterr().out)
    assert post(path.read_bytes()).json() == [{**printed, "path": ""}]
    sent = post(files={"any name": (path.name, path.read_bytes())}, data={"note": "passed over"})
    assert sent.json() == [{**printed, "path": path.name}]
    assert list(sent.json()[0]) == list(printed)


def test_answer_is_what_the_sound_gives():
    samples = sine(1.0, amplitude=0.7)
    (answer,) = post(encoded(samples=samples, subtype="FLOAT")).json()
    expected = tiny_probabilities(samples[np.newaxis, np.newaxis].astype(np.float32))[0]
    np.testing.assert_allclose(list(answer["probabilities"].values()), expected, atol=1e-6)
    assert answer["label"] == "high"
    assert answer["duration_s"] == 1.0
    assert "timeline" not in answer


@pytest.mark.parametrize("kind", ["", "audio/wav", "application/x-www-form-urlencoded", "nonsense"])
def test_content_type_of_a_bare_sound_does_not_matter(kind):
    assert post(encoded(), headers={"content-type": kind}).status_code == 200


def test_what_ffmpeg_decodes_is_taken_too():
    assert post(m4a(2.0)).json()[0]["label"] == "high"


def test_models_tells_what_the_card_says():
    (told,) = ask(app_of(MODEL), "GET", "/v1/models").json()
    assert told == {
        "name": "model",
        "labels": ["low", "high"],
        "answer": "one",
        "sample_rate": 8_000,
        "channels": 1,
        "downmix": MODEL.card.downmix,
        "window": 8_000,
        "window_s": 1.0,
        "scores": {"accuracy": 0.75},
        "thresholds": {},
        "rejection": None,
        "silence_is_unknown": False,
    }


def test_health_and_description():
    app = app_of(MODEL)
    assert ask(app, "GET", "/healthz").json() == {"status": "ok"}
    assert set(ask(app, "GET", "/openapi.json").json()["paths"]) == {
        "/v1/predict",
        "/v1/models",
        "/healthz",
        "/readyz",
        "/metrics",
    }


# ---- bounds


def test_body_may_have_just_the_largest_size():
    content = encoded()
    app = app_of(MODEL, max_bytes=len(content))
    assert post(content, app).status_code == 200
    assert post(in_chunks(content), app).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_body_too_large(chunked):
    content = encoded()
    app = app_of(MODEL, max_bytes=len(content) - 1)
    told = refused(post(in_chunks(content) if chunked else content, app), 413)
    assert told.startswith(f"the upload is larger than {len(content) - 1:,} bytes")


def test_endless_body_is_not_read_on():
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1_000
            yield bytes(1_000)

    refused(post(endless(), app_of(MODEL, max_bytes=10_000)), 413)
    assert sent <= 12_000


def test_long_sound_in_a_small_file_is_refused_in_words():
    hour = encoded("FLAC", np.zeros(3_600 * RATE, np.int16))
    assert len(hour) < 1_000_000
    told = refused(post(files={"file": ("night.flac", hour)}), 413)
    assert told == (
        "night.flac: lasts longer than 600 s, the most that is taken here. Send a part, start the server with more "
        "--max-seconds, or ask soundfold predict, which has no limit"
    )


@pytest.mark.parametrize(
    "content", [m4a(3.0), encoded("MP3", sine(3.0)), flac_that_promises(0)], ids=["M4A", "MP3", "FLAC"]
)
def test_long_sound_whose_header_gives_no_exact_number(content):
    assert refused(post(content, app_of(MODEL, max_s=2.0)), 413).startswith("the sound: lasts longer than 2 s")
    assert post(content, app_of(MODEL, max_s=4.0)).status_code == 200


def test_sound_may_last_just_as_long_as_allowed():
    assert post(encoded(), app_of(MODEL, max_s=2.5)).status_code == 200
    refused(post(encoded(), app_of(MODEL, max_s=2.499)), 413)


def test_header_that_promises_hours_is_not_believed():
    assert post(flac_that_promises(36_000 * RATE)).json()[0]["duration_s"] == 2.5


def test_too_many_at_once_are_sent_away_and_others_still_heard():
    slow = Here(MODEL, at_once=False)
    app = app_of(MODEL, slow, concurrency=2)

    async def crowd() -> None:
        async with client_of(app) as client:
            first = [asyncio.create_task(client.post("/v1/predict", content=encoded())) for _ in range(2)]
            for _ in range(2):
                assert await asyncio.to_thread(slow.begun.acquire, timeout=20)
            third = await client.post("/v1/predict", content=encoded())
            assert refused(third, 429).startswith("2 sounds are being worked on")
            assert third.headers["retry-after"] == "1"
            assert (await client.get("/healthz")).status_code == 200
            slow.let_go()
            assert [answer.status_code for answer in await asyncio.gather(*first)] == [200, 200]
            assert (await client.post("/v1/predict", content=encoded())).status_code == 200

    asyncio.run(crowd())


def test_place_is_free_again_after_an_error():
    app = app_of(MODEL, concurrency=1, max_bytes=1_000)
    for _ in range(3):
        refused(post(b"no sound", app), 422)
        refused(post(bytes(1_001), app), 413)


def test_slow_sender_loses_its_place():
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    app = app_of(MODEL, concurrency=1, max_read_s=0.1)
    for _ in range(2):
        assert refused(post(dripping(), app), 408).startswith("the upload took longer than 0.1 s")


def test_sender_who_hangs_up_is_no_failure():
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": [], "query_string": b""}
    asyncio.run(app_of(MODEL)(scope, receive, send))
    assert sent[0]["status"] == 400


def test_nothing_is_written_to_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "is not there"))
    with pytest.raises(FileNotFoundError), tempfile.TemporaryFile():
        pass
    content = encoded(samples=sine(200.0))
    assert len(content) > 3_000_000
    assert post(files={"file": ("large.wav", content)}).status_code == 200


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"max_bytes": 0}, "max_bytes must be at least 1, got 0"),
        ({"concurrency": 0}, "concurrency must be at least 1, got 0"),
        ({"max_s": float("nan")}, "max_s must be above 0 s, got nan"),
        ({"max_read_s": -1.0}, r"max_read_s must be above 0 s, got -1\.0"),
    ],
)
def test_bounds_must_make_sense(bounds, told):
    with pytest.raises(SoundfoldError, match=told):
        app_of(MODEL, **bounds)


# ---- errors


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"once upon a time", "is not a sound that can be decoded: it begins with text"),
        (encoded()[:30], "is not a sound that can be decoded"),
        (encoded(samples=np.array([0.0, np.nan]), subtype="FLOAT"), "holds NaN"),
        (encoded(samples=np.full(8_000, 1e38), subtype="FLOAT"), "samples are too large for an answer"),
        (b"/etc/hosts", "begins with text ('/etc/hosts')"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",  # the same in every process
)
def test_what_is_no_sound(content, told):
    answer = post(files={"file": ("x.wav", content)})
    assert refused(answer, 422).startswith("x.wav: ") or "too large" in told
    assert told in answer.text
    assert told in post(content).text


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "is damaged or broke off"),
        (b"no form", "is damaged or broke off"),
        (form(('name="f"; filename="x.wav"', encoded()))[:-8], "is damaged or broke off"),
        (form(), "must hold one file, got 0"),
        (form(('name="f"', encoded())), "must hold one file, got 0"),
        (form(('name="f"; filename=""', b"")), "must hold one file, got 0"),
        (form(*[('name="f"; filename="x"', b"x")] * 2), "must hold one file, got 2"),
        (form(*[('name="f"', b"x")] * 17), "must have at most 16 parts"),
    ],
)
def test_form_that_does_not_hold_one_sound(body, told):
    assert told in refused(post_form(body), 400)


@pytest.mark.parametrize("boundary", ["", "boundary=", "boundary=C", f"boundary={'B' * 300}"])
def test_form_with_a_wrong_boundary(boundary):
    refused(post_form(form(('name="f"; filename="x.wav"', encoded())), boundary), 400)


def taken_or_refused(body: bytes, kind: str) -> bool:
    try:
        take_sound(body, kind)
    except HTTPException as error:
        return error.status_code == 400
    return True


@given(content=st.binary(max_size=200), cut=st.integers(0, 300), name=st.text(min_size=1, max_size=20))
def test_form_gives_back_what_was_put_in_or_is_refused(content, cut, name):
    request = httpx.Request("POST", "http://test", files={"file": (name, content)})
    body, kind = request.read(), request.headers["content-type"]
    sound, called = take_sound(body, kind)
    assert sound == content
    if not set(name) & set('"\\\r\n') and name.isprintable():
        assert called == name
    assert taken_or_refused(body[:cut], kind)


@given(st.binary(max_size=100))
def test_form_of_any_bytes_is_taken_or_refused(body):
    assert taken_or_refused(b"--B\r\n" + body + b"\r\n--B--\r\n", "multipart/form-data; boundary=B")


def test_other_addresses_and_methods():
    app = app_of(MODEL)
    assert "there is nothing at this address" in refused(ask(app, "GET", "/etc/passwd"), 404)
    wrong = ask(app, "GET", "/v1/predict")
    assert "takes another method" in refused(wrong, 405)
    assert wrong.headers["allow"] == "POST"


def test_fault_of_ours_gives_nothing_away():
    class Failing:
        def submit(self, *_, **__):
            asked = Future()
            asked.set_exception(RuntimeError(f"cannot open {TINY_MODEL}"))
            return asked

    async def asked() -> httpx.Response:
        app = app_of(MODEL, Failing())
        async with client_of(app, raise_app_exceptions=False) as client:
            return await client.post("/v1/predict", content=b"x")

    assert refused(asyncio.run(asked()), 500) == "the server failed at this request; its log says why"


# ---- the server


def test_real_server_answers_and_lets_the_last_request_end():
    slow = Here(MODEL, at_once=False)
    with running(app_of(MODEL, slow)) as (where, server):
        assert httpx.get(f"{where}/healthz").json() == {"status": "ok"}
        answers: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{where}/v1/predict", content=encoded(), timeout=20))
        )
        asking.start()
        assert slow.begun.acquire(timeout=20)
        server.should_exit = True
        time.sleep(0.3)
        slow.let_go()
        asking.join(20)
    assert answers[0].json()[0]["label"] == "high"


def test_real_server_refuses_while_the_sender_still_sends():
    with running(app_of(MODEL, max_bytes=100_000)) as (where, _):
        refused(httpx.post(f"{where}/v1/predict", content=bytes(5_000_000)), 413)
        refused(httpx.post(f"{where}/v1/predict", content=(bytes(50_000) for _ in range(100))), 413)


def test_listening():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(
            SoundfoldError, match=rf"^127\.0\.0\.1:{port}: cannot be listened on \(address already in use"
        ):
            listen("127.0.0.1", port)
    with pytest.raises(SoundfoldError, match=r"^a\.\.b:1: cannot be listened on \("):
        listen("a..b", 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_that_all_addresses_lead_to_names_one_that_can_be_asked(host):
    try:
        listening = listen(host, 0)
    except SoundfoldError:
        pytest.skip("this machine has no such addresses")
    with listening:
        assert hears_all(listening)
        assert address(listening).startswith("http://127.0.0.1:" if host == "0.0.0.0" else "http://[::1]:")
        assert not is_loopback(listening)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_listening_on_ipv6():
    try:
        listening = listen("::1", 0)
    except SoundfoldError:
        pytest.skip("no IPv6 loopback")
    with listening:
        assert address(listening).startswith("http://[::1]:")


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_verb_serves_without_torch_until_it_is_stopped(way):
    blocked = "torch pandas pyarrow sklearn matplotlib onnx lightning_fabric requests"
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"sys.modules.update(dict.fromkeys('{blocked}'.split())); "
        f"from soundfold.cli import main; sys.exit(main(['serve', {str(TINY_MODEL)!r}, '--port', '0']))"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            where = process.stderr.readline().split()[1]
            assert where.startswith("http://127.0.0.1:")
            assert httpx.post(f"{where}/v1/predict", content=encoded(), timeout=30).json()[0]["label"] == "high"
            process.send_signal(way)
            out, told = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out == ""
    assert told.splitlines()[-1] == "stopped"


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "python_multipart"])
def test_missing_extra_names_its_command(monkeypatch, capsys, package):
    for name in [
        name for name in sys.modules if name.partition(".")[0] == package or name.startswith("soundfold.serve")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve", str(TINY_MODEL)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"soundfold: soundfold serve needs the package '{package}', which is not installed. Install")
    assert told.endswith('[serve]"\n')
