"""The files of the folder deploy: they name what exists, and nginx with TLS in front of the server passes all on."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_files import TINY_MODEL
from soundfold.runtime import load

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
TONE = TINY_MODEL.with_name("tone.wav")


def test_image_copies_what_exists_and_runs_as_nobody_who_matters() -> None:
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert copied
    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []
    assert max(map(lines.index, ["USER soundfold"])) < min(k for k, line in enumerate(lines) if "ENTRYPOINT" in line)


def test_health_check_tells_a_server_from_none() -> None:
    (command,) = re.findall(r"CMD (\[\"python.*\])", (DEPLOY / "Dockerfile").read_text("utf-8"))
    port = free_port()
    words = [sys.executable, *json.loads(command.replace(":8000", f":{port}"))[1:]]
    assert subprocess.run(words, capture_output=True).returncode != 0
    answering = "import http.server as h; H = h.BaseHTTPRequestHandler; H.do_GET = lambda s: s.send_response(200) or "
    answering += f"s.end_headers(); h.HTTPServer(('127.0.0.1', {port}), H).handle_request()"
    with subprocess.Popen([sys.executable, "-c", answering], stderr=subprocess.DEVNULL):
        assert until(lambda: subprocess.run(words, capture_output=True).returncode == 0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    unit = tmp_path / "soundfold.service"
    unit.write_text((DEPLOY / "soundfold.service").read_text().replace("/opt/soundfold/bin/soundfold", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def until(true: object, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def behind_nginx(tmp_path: Path) -> Iterator[tuple[int, int, ssl.SSLContext, Path]]:
    """The example as it is, but for ports, certificate and the places that only root may write to."""
    nginx, openssl = (shutil.which(name, path="/usr/sbin:/usr/bin:/bin") for name in ("nginx", "openssl"))
    if nginx is None or openssl is None:
        pytest.skip("nginx or openssl is not installed")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    server_port, http, https = free_port(), free_port(), free_port()
    site = (DEPLOY / "nginx.conf").read_text()
    for old, new in {
        "127.0.0.1:8000": f"127.0.0.1:{server_port}", "listen 80": f"listen 127.0.0.1:{http}",
        "listen 443": f"listen 127.0.0.1:{https}", "/etc/letsencrypt/live/sounds.example.org": str(tmp_path),
        "sounds.example.org": "localhost",
    }.items():  # fmt: skip
        assert old in site
        site = site.replace(old, new)
    site = re.sub(r"^ *listen \[::\].*\n", "", site, flags=re.MULTILINE)
    folders = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; {folders}\n{site}\n}}\n"
    )
    served = subprocess.Popen(
        [sys.executable, "-m", "soundfold", "serve", str(TINY_MODEL), "--port", str(server_port)],
        stderr=subprocess.DEVNULL,
    )
    proxied = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(conf)], stderr=subprocess.PIPE, text=True)
    try:
        trusted = ssl.create_default_context(cafile=str(certificate))
        assert until(lambda: status(f"https://localhost:{https}/healthz", trusted) == 200), conf.read_text()
        yield http, https, trusted, tmp_path
    finally:
        for process in (proxied, served):
            process.terminate()
            process.communicate(timeout=30)


def status(url: str, trusted: ssl.SSLContext, data: bytes | None = None) -> int | None:
    try:
        with urllib.request.urlopen(url, data, timeout=60, context=trusted) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@pytest.mark.long
def test_nginx_with_tls_passes_on_what_the_server_takes(
    behind_nginx: tuple[int, int, ssl.SSLContext, Path],
) -> None:
    http, https, trusted, folder = behind_nginx
    where = f"https://localhost:{https}"
    with urllib.request.urlopen(f"{where}/v1/predict", TONE.read_bytes(), context=trusted) as answer:
        (told,) = json.loads(answer.read())
        assert answer.headers["Strict-Transport-Security"]
    expected = load(TINY_MODEL).predict(TONE)
    assert told["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
    assert status(f"{where}/v1/predict", trusted, bytes(50_000_001)) == 413
    assert status(f"{where}/metrics", trusted) == 200, "this machine may"

    plain = socket.create_connection(("127.0.0.1", http))
    with plain:
        plain.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head = plain.makefile("rb").read().decode()
    assert head.startswith("HTTP/1.1 301")
    assert "Location: https://localhost/x" in head

    client = pytest.importorskip("websockets.sync.client")
    with client.connect(f"wss://localhost:{https}/v1/stream", ssl=trusted, origin=where) as stream:
        stream.send(json.dumps({"format": "f32le", "sample_rate": 8_000}))
        stream.send(bytes(4 * 8_000))
        kinds = [json.loads(stream.recv(timeout=30)) for _ in range(2)]
    assert any("label" in kind for kind in kinds), kinds
    assert [path for path in (folder / "client_body").rglob("*") if path.is_file()] == []
