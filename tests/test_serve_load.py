"""The server under load, stopped, killed and fed with nonsense: what it accepts it answers, and nothing leaks."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("httpx")
import httpx

from model_files import MEL_MODEL
from serving import encoded, kept_workers, served, webm
from soundfold.runtime import Model, load
from soundfold.serve import Bounds, build_app

pytestmark = pytest.mark.runtime
# a model as people have them, where one is named; the fixture's is so small that HTTP would be most of the work
LOADED = Path(os.environ.get("SOUNDFOLD_LOAD_MODEL", MEL_MODEL))
LOAD_S = float(os.environ.get("SOUNDFOLD_LOAD_S", "300"))


@contextmanager
def process(model: Path, tmp: Path, *options: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Give a server in a process of its own, its temporary folder being `tmp`."""
    command = [sys.executable, "-m", "soundfold", "serve", str(model), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp)}) as run:
        try:
            assert run.stderr is not None
            where = run.stderr.readline().split()[1]
            run.stderr.readline()
            yield run, where
        finally:
            run.kill()


def noise(seconds: float, seed: int, rate: int = 8_000) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).normal(size=round(seconds * rate))).clip(-1, 1)


def metric(where: str, name: str) -> float:
    lines = httpx.get(f"{where}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


@pytest.mark.parametrize("way", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_stop_in_the_middle_loses_no_accepted_request(tmp_path, way):
    content = encoded("FLAC", noise(200.0, 0))
    expected = load(MEL_MODEL).predict(content).probabilities
    answers: list[httpx.Response] = []
    with process(MEL_MODEL, tmp_path) as (run, where):
        asking = [
            threading.Thread(
                target=lambda: answers.append(httpx.post(f"{where}/v1/predict", content=content, timeout=60))
            )
            for _ in range(6)
        ]
        for thread in asking:
            thread.start()
        while metric(where, "soundfold_working") < 6 and not answers:
            time.sleep(0.005)
        accepted = int(metric(where, "soundfold_working")) + len(answers)
        run.send_signal(way)
        for thread in asking:
            thread.join()
        run.wait(30)
    assert accepted == len(answers) == 6
    for answer in answers:
        assert answer.json()[0]["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_kill_leaves_nothing_behind_and_the_next_start_is_as_the_first(tmp_path):
    content = encoded("FLAC", noise(300.0, 0))
    port = "0"
    for _ in range(2):
        with process(MEL_MODEL, tmp_path, "--port", port) as (run, where):
            port = str(urlsplit(where).port)
            assert httpx.post(f"{where}/v1/predict", content=encoded()).status_code == 200
            cut = threading.Thread(target=_try, args=(where, content))
            cut.start()
            time.sleep(0.1)
            run.kill()
            cut.join()
    assert list(tmp_path.iterdir()) == []


def children(run: subprocess.Popen) -> list[int]:
    """Return the processes that a server answers by."""
    tasks = Path(f"/proc/{run.pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to find the processes")
def test_a_worker_that_is_killed_costs_nobody_an_answer(tmp_path):
    content = encoded("FLAC", noise(300.0, 0))
    expected = load(MEL_MODEL).predict(content).probabilities
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(f"{where}/v1/predict", content=content, timeout=60))

    with process(MEL_MODEL, tmp_path) as (run, where):
        ask()
        workers = children(run)
        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        while metric(where, "soundfold_working") < 4 and len(answers) < 2:
            time.sleep(0.005)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        for thread in asking:
            thread.join()
        ask()
    assert workers
    for answer in answers:
        assert answer.json()[0]["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert len(answers) == 6


def _try(where: str, content: bytes) -> None:
    try:
        httpx.post(f"{where}/v1/predict", content=content, timeout=20)
    except httpx.TransportError:
        return


# ---- nonsense


def hostile(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    """Return a body and headers that somebody might send who means no good."""
    good = draw.choice(GOOD)
    body = bytearray(good)
    for _ in range(draw.randrange(1, 20)):
        place = draw.randrange(len(body))
        body[place : place + draw.randrange(1, 9)] = draw.randbytes(draw.randrange(0, 9))
    if draw.random() < 0.3:
        body = body[: draw.randrange(len(body) + 1)]
    kind = draw.choice(["", "audio/wav", "multipart/form-data; boundary=B", "multipart/form-data", "\x7f", "text/html"])
    if draw.random() < 0.3:
        name = draw.choice(["../../etc/passwd", "/dev/stdin", "a\\u0000b", "🎵", "x" * 3_000])
        head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        body = bytearray(head + bytes(body) + b"\r\n--B--\r\n")
    return bytes(body), {"content-type": kind.replace("\x7f", "nonsense")}


GOOD = [encoded(kind, noise(1.0, 1)) for kind in ("WAV", "FLAC", "OGG", "MP3")] + [webm(noise(1.0, 1, 48_000))]


def attack(times: int, seed: int) -> None:
    draw = random.Random(seed)
    with served({"mel": load(MEL_MODEL)}) as where, httpx.Client(base_url=where, timeout=20) as client:
        for _ in range(times):
            body, headers = hostile(draw)
            answer = client.post("/v1/predict", content=body, headers=headers)
            assert answer.status_code in (200, 400, 413, 422), (answer.status_code, seed)
            for path in (str(MEL_MODEL.parent), str(Path.home()), "site-packages", "Traceback"):
                assert path not in answer.text
            assert "ended the process" not in answer.text, seed


def test_damaged_uploads_are_answered_or_refused():
    attack(60, 3)


@pytest.mark.long
def test_thousands_of_damaged_uploads_leak_no_memory():
    def resident() -> float:
        return _resident() + sum(_resident(worker._process.pid) for worker in kept_workers(MEL_MODEL)._workers)

    def processes() -> list[int]:
        return [worker._process.pid for worker in kept_workers(MEL_MODEL)._workers]

    attack(300, 5)
    before, of = resident(), processes()
    attack(3_000, 7)
    assert processes() == of
    assert resident() - before < 30e6


def _resident(process: int | str = "self") -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_everything_that_the_description_allows_is_answered_as_it_says():
    schemathesis = pytest.importorskip("schemathesis")
    app = build_app({"mel": load(MEL_MODEL)}, Bounds(max_bytes=100_000))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    ran = []

    from hypothesis import HealthCheck, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    for operation in (result.ok() for result in schema.get_all_operations()):

        @given(case=operation.as_strategy())
        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def ask(case):
            case.call_and_validate(excluded_checks=[positive_data_acceptance])  # most bytes are no sound
            ran.append(case)

        ask()
    assert len(ran) > 100


# ---- load


def own_rate(model: Model, sounds: list[bytes], seconds: float) -> float:
    """Return how many sounds a second the runtime answers by itself, two at once, when its processes have begun."""
    begun: list[float] = []

    def endless() -> Iterator[bytes]:
        while not begun or time.perf_counter() - begun[0] < seconds:
            yield from sounds

    done = 0
    for number, _ in enumerate(model.predict_many(endless(), workers=2)):
        if number == 20:
            begun.append(time.perf_counter())
        if begun and time.perf_counter() - begun[0] < seconds:
            done += 1
    return done / seconds


async def ask_for(where: str, bodies: list[bytes], rate: float, seconds: float) -> list[tuple[int, int, float, bytes]]:
    """Ask at a rate, whatever comes back; return (which, status, seconds, answer) of each request."""
    to = urlsplit(where)
    told: list[tuple[int, int, float, bytes]] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    turn = iter(range(10**9))

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(to.hostname, to.port)
        while True:
            place = next(turn)
            due = began + place / rate
            if due > began + seconds:
                break
            await asyncio.sleep(due - loop.time())
            sent = loop.time()
            writer.write(bodies[place % len(bodies)])
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            content = await reader.readexactly(length)
            told.append((place % len(bodies), int(head.split()[1]), loop.time() - sent, content))
        writer.close()

    await asyncio.gather(*(ask() for _ in range(32)))
    return told


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twice_what_two_cores_can_answer(tmp_path):
    model = load(LOADED)
    sounds = [encoded("FLAC", noise(20.0 if LOADED == MEL_MODEL else 32.0, seed)) for seed in range(5)]
    expected = [list(model.predict(sound).probabilities.values()) for sound in sounds]
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    bodies = [head % len(sound) + sound for sound in sounds]
    before = own_rate(model, sounds, 10.0)
    with process(LOADED, tmp_path) as (run, where):
        asyncio.run(ask_for(where, bodies, 2 * before, 0.1 * LOAD_S))
        of = [run.pid, *children(run)]
        memory = sum(map(_resident, of))
        began = time.perf_counter()
        told = asyncio.run(ask_for(where, bodies, 2 * before, 0.9 * LOAD_S))
        took = time.perf_counter() - began
        assert of == [run.pid, *children(run)]
        grown = sum(map(_resident, of)) - memory
    after = own_rate(model, sounds, 10.0)
    accepted = [one for one in told if one[1] == 200]
    times = np.array([one[2] for one in accepted]) * 1e3
    share = len(accepted) / took / np.mean([before, after])
    print(
        f"\nmodel {LOADED.name}: runtime {before:.1f}, {after:.1f} sounds/s; asked {len(told) / took:.1f}/s, answered "
        f"{len(accepted) / took:.1f}/s ({100 * share:.1f} %), refused {(len(told) - len(accepted)) / took:.1f}/s; "
        f"p50 {np.percentile(times, 50):.0f} ms, p99 {np.percentile(times, 99):.0f} ms; memory of {len(of)} processes "
        f"{memory / 1e6:.0f} MB, grown {grown / 1e6:.1f} MB"
    )
    assert {status for _, status, _, _ in told} == {200, 429}
    for which, _, _, content in accepted:
        (answer,) = json.loads(content)
        np.testing.assert_allclose(list(answer["probabilities"].values()), expected[which], atol=1e-5)
    assert grown < 20e6
    assert share > 0.85
