"""The server keeps its bounds against slow, hostile and foreign senders, and counts what it does."""

import asyncio
import io
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("httpx")
import fastapi
import httpx

from model_files import MEL_MODEL, TINY_MODEL
from serving import Here, encoded, served, served_app
from soundfold.errors import SoundfoldError
from soundfold.runtime import load
from soundfold.serve import Bounds, build_app, names_of

pytestmark = pytest.mark.runtime
MODEL = load(TINY_MODEL)


def opened(where: str) -> socket.socket:
    to = urlsplit(where)
    return socket.create_connection((to.hostname, to.port), timeout=10)


def closed_after(connection: socket.socket) -> float:
    began = time.monotonic()
    while connection.recv(65_536):
        pass
    return time.monotonic() - began


# ---- slow and hostile senders


def test_heads_that_never_end_are_not_waited_for():
    with served(MODEL, Bounds(max_head_s=0.5)) as where:
        silent, dripping, second = opened(where), opened(where), opened(where)
        dripping.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-")
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.recv(65_536).startswith(b"HTTP/1.1 200")
        second.sendall(b"GET /healthz HT")  # a further request on a connection that was good
        began = time.monotonic()
        for connection in (silent, dripping, second):
            with connection:
                closed_after(connection)
        assert time.monotonic() - began < 3
        assert httpx.get(f"{where}/healthz").status_code == 200


def test_requests_whose_answers_nobody_waits_for_end_the_connection():
    ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with served(MODEL) as where, opened(where) as some, opened(where) as endless:
        some.sendall(5 * ask)
        answers = b""
        while answers.count(b"200 OK") < 5:
            answers += some.recv(65_536)
        sent = 0
        with suppress(OSError):
            while sent < 20_000_000:
                sent += endless.send(1_000 * ask)
        assert sent < 10_000_000
        assert httpx.get(f"{where}/healthz").status_code == 200


def test_a_head_without_an_end_does_not_fill_the_memory():
    with served(MODEL) as where, opened(where) as connection:
        sent = 0
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        with suppress(OSError):
            while sent < 50_000_000:
                sent += connection.send(b"X-Y: " + b"z" * 10_000 + b"\r\n")
        assert sent < 20_000_000


@pytest.mark.parametrize(
    "head",
    [
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Y: {}\r\n\r\n",
        "GET /healthz?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_a_head_has_its_bound_in_one_piece_too(head):
    with served(MODEL) as where:
        for n, answered in ((60_000, True), (66_000, False), (100_000, False)):
            with opened(where) as connection:
                connection.sendall(head.format("z" * n).encode())
                got = b""
                with suppress(ConnectionError):
                    got = connection.recv(65_536)
            assert got.startswith(b"HTTP/1.1 200 ") == answered, n
            assert bool(got) == answered, "who sends more is not answered at all"


def test_a_body_that_drips_loses_its_place():
    with served(MODEL, Bounds(max_head_s=0.3, concurrency=1, max_read_s=20.0)) as where, opened(where) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nRIFF")
        assert b" 408 " in connection.recv(65_536)
        assert httpx.post(f"{where}/v1/predict", content=encoded()).status_code == 200


def test_more_connections_than_allowed_are_sent_away():
    with served(MODEL, Bounds(connections=3)) as where:
        held = [opened(where) for _ in range(3)]
        upgrade = {"connection": "upgrade", "upgrade": "websocket"}
        for path, headers in (("/healthz", {}), ("/v1/predict", {}), ("/v1/stream", upgrade)):
            refused = httpx.get(f"{where}{path}", headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "as many connections are open as may be at once" in refused.json()["error"]
        for connection in held:
            connection.close()
        time.sleep(0.2)
        assert httpx.get(f"{where}/healthz").status_code == 200


@pytest.mark.parametrize(("waits_s", "whole"), [(2.0, False), (0.0, True)])
def test_who_does_not_read_loses_the_connection(waits_s, whole):
    size = 20_000_000  # more than any buffer between the two
    app = fastapi.FastAPI()
    app.get("/")(lambda: fastapi.Response(bytes(size)))
    with served_app(app, Bounds(max_idle_s=0.5)) as where:
        with opened(where) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            time.sleep(waits_s)
            got = 0
            with suppress(ConnectionError):
                while part := connection.recv(1_000_000):
                    got += len(part)
        assert (got > size) == whole


def test_fields_behind_a_body_are_not_kept():
    with served(MODEL) as where:
        connection = opened(where)
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
        sent = 0
        with suppress(ConnectionError):
            while sent < 8_000_000:
                sent += connection.send(b"Field: y\r\n" * 5_000)
        assert sent < 8_000_000
        connection.close()
        assert httpx.get(f"{where}/healthz").status_code == 200


def test_what_is_no_http_is_told_so():
    with served(MODEL) as where:
        connection = opened(where)
        connection.sendall(b"GET \x00 nonsense\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        connection.close()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert "not valid HTTP" in json.loads(body)["error"]


def test_an_address_with_a_slash_more_leads_nowhere_else():
    with served(MODEL, token="much secret") as where:
        told = httpx.get(f"{where}/v1/models/", headers={"authorization": "Bearer much secret"})
        assert told.status_code == 404
        assert "nothing at this address" in told.json()["error"]


def test_who_is_refused_gets_to_read_it_and_keeps_the_connection():
    slow = Here(MODEL, at_once=False)
    with served(MODEL, Bounds(concurrency=1), workers=slow) as where, httpx.Client(base_url=where) as client:
        first = threading.Thread(target=httpx.post, args=(f"{where}/v1/predict",), kwargs={"content": encoded()})
        first.start()
        assert slow.begun.acquire(timeout=10)
        assert httpx.get(f"{where}/readyz").status_code == 503
        for _ in range(20):
            refused = client.post("/v1/predict", content=bytes(900_000))
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
            assert "connection" not in refused.headers
        slow.let_go()
        first.join()
        assert client.post("/v1/predict", content=encoded()).status_code == 200
        assert client.get("/readyz").json() == {"status": "ready"}
        text = client.get("/metrics").text
    assert 'soundfold_requests_total{status="429"} 20.0' in text
    assert 'soundfold_requests_total{status="200"} 2.0' in text
    assert "soundfold_sound_seconds_total 5.0" in text
    assert "soundfold_working 0.0" in text


def test_an_answer_that_takes_too_long_is_given_up_and_keeps_its_place_until_it_ends():
    slow = Here(MODEL, at_once=False)
    with served(MODEL, Bounds(max_work_s=0.1, concurrency=1), workers=slow) as where:
        answer = httpx.post(f"{where}/v1/predict", content=encoded())
        assert answer.status_code == 503
        assert "took longer than 0.1 s" in answer.json()["error"]
        assert answer.headers["retry-after"] == "10"
        assert httpx.get(f"{where}/readyz").status_code == 503
        slow.let_go()
        time.sleep(0.3)
        assert httpx.get(f"{where}/readyz").status_code == 200


def test_a_fault_in_a_worker_gives_nothing_away(tmp_path, monkeypatch, capfd):
    (tmp_path / "sitecustomize.py").write_text(
        "import numpy\n"
        "def stack(*_): raise FileNotFoundError(2, 'gone', '/srv/secret/street.onnx')\n"
        "numpy.stack = stack"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with served(MODEL, workers="own") as where:
        answer = httpx.post(f"{where}/v1/predict", content=encoded(), timeout=30)
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "the server failed at this request; its log says why"},
    )
    assert "/srv/secret/street.onnx" in capfd.readouterr().err


def test_a_worker_gives_up_what_takes_too_long(monkeypatch):
    monkeypatch.setattr("soundfold.serve.desk.time", SimpleNamespace(monotonic=lambda: time.monotonic() - 100))
    with served(MODEL) as where:
        answer = httpx.post(f"{where}/v1/predict", content=encoded())
        assert answer.status_code == 503
        assert "took longer than 60 s" in answer.json()["error"]


def test_ready_is_said_once_a_worker_is(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.exit(3)")
    with served(MODEL, workers="own") as where:
        assert waited_for(lambda: httpx.get(f"{where}/readyz").status_code == 200)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with served(MODEL, workers="own") as where:
        time.sleep(1.0)
        told = httpx.get(f"{where}/readyz")
        assert (told.status_code, told.headers["retry-after"]) == (503, "1")
        assert "no worker has opened the models yet" in told.json()["error"]


def waited_for(condition) -> bool:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def test_own_processes_end_with_the_server_and_count_their_passes():
    before = set(threading.enumerate())
    with served({"tiny": MODEL, "mel": load(MEL_MODEL)}, workers="own") as where:
        for model in ("tiny", "mel"):
            (told,) = httpx.post(f"{where}/v1/predict?model={model}", content=encoded(), timeout=30).json()
            expected = load(TINY_MODEL if model == "tiny" else MEL_MODEL).predict(encoded())
            assert told["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        assert "soundfold_pass_windows_sum 8.0" in httpx.get(f"{where}/metrics").text
    assert set(threading.enumerate()) <= before


def test_ten_hours_in_a_small_flac_are_refused_at_once():
    file = io.BytesIO()
    part = np.zeros(360_000, np.int16)
    with soundfile.SoundFile(file, "w", 1_000, 1, format="FLAC") as writing:
        for _ in range(100):
            writing.write(part)
    content = file.getvalue()
    assert len(content) < 2_000_000
    with served(MODEL) as where:
        began = time.monotonic()
        answer = httpx.post(f"{where}/v1/predict", content=content)
        assert answer.status_code == 413
        assert time.monotonic() - began < 2


# ---- who may ask


def test_a_token_keeps_everybody_else_out():
    with served(MODEL, token="much secret") as where:
        for path in ("/v1/models", "/metrics"):
            assert httpx.get(where + path).status_code == 401
            assert httpx.get(where + path, headers={"authorization": "Bearer much secret"}).status_code == 200
        for wrong in ("Bearer much", "Basic much secret", "much secret", "Bearer", "bearer much secret2"):
            refused = httpx.post(f"{where}/v1/predict", content=encoded(), headers={"authorization": wrong})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert httpx.get(where + path).status_code == 200


@pytest.mark.parametrize(
    ("status", "headers", "asked"),
    [
        (401, {"authorization": "Bearer wrong"}, ""),
        (403, {"origin": "https://elsewhere.example"}, ""),
        (404, {}, "?model=none"),
        (422, {}, "?hop_s=0"),
    ],
)
def test_whoever_is_refused_gets_to_read_why_however_much_was_sent(status, headers, asked):
    content = bytes(8_000_000)  # more than any buffer between the two
    with served(MODEL, token="secret") as where:
        given = {"authorization": "Bearer secret", **headers}
        for _ in range(5):
            # unlike httpx, it takes a connection that is reset for the end of it
            with closing(HTTPConnection(urlsplit(where).netloc, timeout=20)) as client:
                client.request("POST", f"/v1/predict{asked}", content, given)
                refused = client.getresponse()
                assert (refused.status, list(json.load(refused))) == (status, ["error"])


@pytest.mark.parametrize("token", ["", "schlüssel", "🔑", " edge", "edge ", "two\nlines"])
def test_a_token_that_no_header_can_bring_is_refused(token):
    with pytest.raises(SoundfoldError, match="token must be printable ASCII"):
        build_app(MODEL, token=token)


def test_a_page_of_another_site_may_not_ask():
    with served(MODEL) as where:
        for origin in ("https://elsewhere.example", "null", f"{where}0", "http://["):
            refused = httpx.post(f"{where}/v1/predict", content=encoded(), headers={"origin": origin})
            assert refused.status_code == 403
        assert httpx.post(f"{where}/v1/predict", content=encoded(), headers={"origin": where}).status_code == 200


@pytest.mark.parametrize("names", [(), ("Sounds.example.org", "fd00::7")])
def test_a_name_that_is_made_to_lead_here_may_not_ask(names):
    with served(MODEL, host_names=names) as where:
        port = where.rpartition(":")[2]
        own = ["localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", "127.3.2.1", "[::1]:9"]
        other = ["evil.example", f"evil.example:{port}", "localhost.evil.example", "10.0.0.1", "localhost@evil.example",
                 "evil.example/localhost", "[::1", "", "x" * 5_000, "sounds.example.org.evil.example"]  # fmt: skip
        (own if names else other).extend(["sounds.example.org", f"sounds.example.org:{port}", "[fd00::7]:1"])
        for hosts, status in ((own, 200), (other, 403)):
            for host in hosts:
                headers = {"host": host, "origin": f"http://{host}"}
                refused = httpx.get(f"{where}/v1/models", headers=headers)
                assert refused.status_code == status, host
                if status == 403:
                    assert "may not be asked as" in refused.json()["error"]
                    assert len(refused.json()["error"]) < 250
        assert httpx.get(f"{where}/healthz", headers={"host": "evil.example"}).status_code == 200


@pytest.mark.parametrize("name", ["https://sounds.example.org", "sounds.example.org:443", "", "a b/c", "a@b"])
def test_a_host_name_is_a_name_alone(name):
    with pytest.raises(SoundfoldError, match="a host name must be a name or an address alone"):
        build_app(MODEL, host_names=[name])


def test_the_page_may_reach_nothing_but_its_server():
    with served(MODEL) as where:
        page = httpx.get(where)
        assert "connect-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        for path in ("/../app.py", "/page/index.html", "/%2e%2e/app.py", "/backend_browser.js", "/__init__.py"):
            assert httpx.get(where + path).status_code == 404


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_serving_others_without_a_token_is_warned_of(host, warned):
    command = [sys.executable, "-m", "soundfold", "serve", str(TINY_MODEL), "--host", host, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stderr.readline() for _ in range(3 if warned else 2)]
            port = lines[0].split()[1].rpartition(":")[2]
            asked = httpx.get(f"http://127.0.0.1:{port}/v1/models", headers={"host": "evil.example"})
            assert asked.status_code == (200 if warned else 403)
        finally:
            process.kill()
    assert ("no --token keeps anybody out" in "".join(lines)) == warned
    assert lines[-1].startswith("try: ")


# ---- models


def test_models_are_told_apart_by_name():
    mel = load(MEL_MODEL)
    with served({"tiny": MODEL, "mel": mel}) as where:
        assert [told["name"] for told in httpx.get(f"{where}/v1/models").json()] == ["tiny", "mel"]
        for query, model in (("", MODEL), ("?model=tiny", MODEL), ("?model=mel&hop_s=0.25", mel)):
            (answer,) = httpx.post(f"{where}/v1/predict{query}", content=encoded()).json()
            expected = model.predict(encoded(), hop_s=0.25 if "hop" in query else None)
            assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
        missing = httpx.post(f"{where}/v1/predict?model=mle", content=encoded())
        assert missing.status_code == 404
        assert missing.json()["error"] == "model must be one that is served, got 'mle'. Did you mean 'mel'?"
        for hop in ("0", "0.01", "nan", "inf", "1e308", "x", "9"):
            refused = httpx.post(f"{where}/v1/predict?hop_s={hop}", content=encoded())
            assert refused.status_code == 422
            assert list(refused.json()) == ["error"]
        twice = httpx.post(f"{where}/v1/predict?hop_s=0.25&hop_s=zzz&hop_s=0.5", content=encoded())
        assert (twice.status_code, "hop_s must be given once" in twice.json()["error"]) == (422, True)
        odd = httpx.post(f"{where}/v1/predict?hop=0.25", content=encoded())  # it would have no effect
        assert odd.status_code == 422
        assert odd.json()["error"] == "hop is no parameter of this address. Did you mean 'hop_s'?"


def test_names_tell_no_path():
    paths = [Path("/a/runs/street/model.onnx"), Path("/b/street"), Path("x.onnx"), Path("x.ONNX"), Path("/model.onnx")]
    assert names_of(paths) == ["street", "street-2", "x", "x-2", "model"]


# ---- the description


def test_description_names_every_refusal_and_no_path():
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(build_app(MODEL))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/openapi.json")

    told = asyncio.run(asked()).json()
    assert {"200", "400", "401", "403", "404", "408", "413", "422", "429", "503"} == set(
        told["paths"]["/v1/predict"]["post"]["responses"]
    )
    assert str(TINY_MODEL.parent) not in json.dumps(told)
