import errno
import hashlib
import socket
from pathlib import Path

import pytest
import requests
import urllib3

from archive_server import HASTE, Site, noise, serving
from soundfold.data.fetch.download import Patience, download, part_bytes
from soundfold.data.fetch.transfer import cannot_write
from soundfold.errors import DownloadError, PathError

BODY = noise(400_000)
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fetch(site: Site, folder: Path, size: int | None = 400_000, digest: str | None = MD5, **more) -> Path:
    return download(site.url, folder / "set.bin", size=size, digest=digest, **{"patience": HASTE, **more})


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("known", [(len(BODY), MD5), (len(BODY), None), (None, MD5), (None, None)])
@pytest.mark.parametrize("etag", ['"one"', None])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("cuts", [[], [200_000], [200_000, 0, 70_000]])
def test_brings_exactly_the_servers_bytes(tmp_path, known, etag, ranges, cuts):
    with serving(Site(BODY, etag=etag, ranges=ranges, cuts=list(cuts))) as site:
        got = fetch(site, tmp_path, *known, patience=Patience(4, 0.0, 0.0, 0.25))
    assert got.read_bytes() == BODY
    assert left(tmp_path) == ["set.bin"]


def test_a_cut_connection_is_continued_not_repeated(tmp_path):
    with serving(Site(BODY, cuts=[200_000])) as site:
        fetch(site, tmp_path)
    assert site.asked[0] is None
    assert site.asked[1].startswith("bytes=")
    assert int(site.asked[1][6:-1]) > 200_000 - 70_000  # at most one block is lost


def test_giving_up_says_how_far_it_came_and_the_next_run_continues(tmp_path):
    with serving(Site(BODY, cuts=[150_000, 0, 0])) as site:
        with pytest.raises(
            DownloadError, match=r"broke off at 1\d\d,\d{3} of 400,000 bytes after 3 tries .*was cut.*to co"
        ):
            fetch(site, tmp_path)
        there = part_bytes(tmp_path / "set.bin")
        assert left(tmp_path) == ["set.bin.part", "set.bin.part.json"]
        assert fetch(site, tmp_path).read_bytes() == BODY
    assert site.asked[3] == f"bytes={there}-"


def test_progress_renews_patience(tmp_path):
    patience = Patience(2, 0.0, 0.0, 0.25, worthwhile_bytes=30_000)
    with serving(Site(BODY, always_cut=80_000)) as site:
        assert fetch(site, tmp_path, patience=patience).read_bytes() == BODY
    assert len(site.asked) > 4


def test_a_server_that_ignores_ranges_and_always_cuts_is_given_up(tmp_path):
    with (
        serving(Site(BODY, ranges=False, always_cut=300_000)) as site,
        pytest.raises(DownloadError, match=r"broke off at .* this server cannot continue, so it begins anew\.$"),
    ):
        fetch(site, tmp_path)
    assert len(site.asked) == 3


def test_without_mark_and_hash_nothing_is_continued(tmp_path):
    with serving(Site(BODY, etag=None, cuts=[200_000])) as site:
        fetch(site, tmp_path, digest=None)
    assert site.asked == [None, None]


def test_a_weak_etag_is_no_mark(tmp_path):
    with serving(Site(BODY, etag='W/"one"', cuts=[200_000])) as site:
        fetch(site, tmp_path, digest=None)
    assert site.asked == [None, None]


@pytest.mark.parametrize("digest", [MD5, None])
def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(tmp_path, digest):
    with serving(Site(noise(400_000, seed=1), etag='"old"', cuts=[200_000, 0, 0])) as site:
        with pytest.raises(DownloadError):
            fetch(site, tmp_path, digest=digest)
        site.body, site.etag = BODY, '"new"'
        assert fetch(site, tmp_path, digest=digest).read_bytes() == BODY


@pytest.mark.parametrize(
    "wrong", [{"ETag": '"two"'}, {"Content-Range": "bytes 5-399999/400000"}, {"Content-Range": "rubbish"}]
)
def test_a_partial_answer_that_does_not_fit_is_thrown_away(tmp_path, wrong):
    with serving(Site(BODY, cuts=[200_000], on_206=wrong)) as site:
        assert fetch(site, tmp_path, digest=None).read_bytes() == BODY
    assert site.asked[2] is None


def test_a_part_beyond_the_servers_file_is_thrown_away(tmp_path):
    (tmp_path / "set.bin.part").write_bytes(noise(500_000))
    with serving(Site(BODY)) as site:
        assert fetch(site, tmp_path, size=None).read_bytes() == BODY


def test_a_whole_part_is_only_checked(tmp_path):
    (tmp_path / "set.bin.part").write_bytes(BODY)
    with serving(Site(BODY)) as site:
        assert fetch(site, tmp_path).read_bytes() == BODY
        assert site.asked == []
        assert fetch(site, tmp_path).read_bytes() == BODY
    assert site.asked == []


def test_a_damaged_file_is_fetched_anew(tmp_path):
    (tmp_path / "set.bin").write_bytes(BODY[:-1] + b"?")
    with serving(Site(BODY[:-1] + b"!")) as site:
        assert fetch(site, tmp_path, digest=f"md5:{hashlib.md5(site.body).hexdigest()}").read_bytes() == site.body


def test_a_wrong_hash_removes_the_part_and_tells_both(tmp_path):
    other = noise(400_000, seed=1)
    got = hashlib.md5(other).hexdigest()
    with serving(Site(other)) as site, pytest.raises(DownloadError, match=f"md5 .* must be {MD5[4:]}, got {got}"):
        fetch(site, tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("claimed", [399_999, 400_001])
def test_a_server_with_another_length_is_refused_at_once(tmp_path, claimed):
    with (
        serving(Site(BODY, claimed=claimed)) as site,
        pytest.raises(DownloadError, match=f"offers {claimed:,} bytes, the published file has 400,000"),
    ):
        fetch(site, tmp_path)
    assert len(site.asked) == 1


def test_a_server_that_sends_too_much_is_refused(tmp_path):
    with (
        serving(Site(BODY + b"!", claimed=-1)) as site,
        pytest.raises(DownloadError, match="sends more than the file's 400,000 bytes"),
    ):
        fetch(site, tmp_path)
    assert left(tmp_path) == []


def test_a_server_that_stops_short_without_a_word_is_continued(tmp_path):
    with serving(Site(BODY, claimed=-1, cuts=[100_000])) as site:
        assert fetch(site, tmp_path).read_bytes() == BODY
    assert site.asked == [None, "bytes=100000-"]


def test_a_body_in_chunks_that_breaks_off_is_no_whole_file(tmp_path):
    with serving(Site(BODY, chunked=True, ranges=False, cuts=[200_000])) as site:
        assert fetch(site, tmp_path, None, None).read_bytes() == BODY
    assert len(site.asked) == 2


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_failure_is_tried_again(tmp_path, status):
    told = []
    with serving(Site(BODY, statuses=[status])) as site:
        fetch(site, tmp_path, on_progress=lambda *said: told.append(said))
    assert ("retrying", 2, 3) in told


@pytest.mark.parametrize(
    ("status", "says", "tries"),
    [
        (404, "the server has no such file (404 Not Found). See", 1),
        (403, "the server refuses (403 Forbidden). Check the proxy settings", 1),
        (400, "the server answers 400 Bad Request. Try again later.", 1),
        (500, "could not be fetched in 3 tries (the server answers 500 Internal Server Error). Run the same", 3),
    ],
)
def test_a_lasting_failure_is_one_line_with_the_mend(tmp_path, status, says, tries):
    with serving(Site(BODY, statuses=[status] * 9)) as site, pytest.raises(DownloadError) as caught:
        fetch(site, tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(site.asked) == tries


def test_a_silent_server_times_out(tmp_path):
    with (
        serving(Site(BODY, stall_after=0)) as site,
        pytest.raises(DownloadError, match=r"\(no answer for 0\.05 s\)"),
    ):
        fetch(site, tmp_path, patience=Patience(2, 0.0, 0.0, 0.05))


def test_a_slow_server_keeps_what_it_sent(tmp_path):
    with serving(Site(BODY, stall_after=200_000)) as site:
        with pytest.raises(DownloadError, match="broke off at"):
            fetch(site, tmp_path, patience=Patience(1, 0.0, 0.0, 0.05))
        site.stall_after = None
        assert fetch(site, tmp_path).read_bytes() == BODY
    assert site.asked[1] is not None


def test_a_refused_connection_keeps_the_part(tmp_path):
    (tmp_path / "set.bin.part").write_bytes(BODY[:1000])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/set.bin"
        with pytest.raises(
            DownloadError, match=r"broke off at 1,000 of 400,000 .*connection is refused.*to continue\.$"
        ):
            download(url, tmp_path / "set.bin", size=len(BODY), digest=MD5, patience=HASTE)
    assert part_bytes(tmp_path / "set.bin") == 1000


def test_an_unknown_host_points_at_the_network(tmp_path, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(urllib3.util.connection.socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"server's name is not found; check the network connection\)"):
        download("http://nowhere.invalid/x", tmp_path / "x", patience=HASTE)


def test_waits_grow_and_have_a_limit(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    with serving(Site(BODY, statuses=[500] * 9)) as site, pytest.raises(DownloadError):
        fetch(site, tmp_path, patience=Patience(6, 1.0, 5.0, 0.25))
    assert [wait for wait in waits if wait >= 1.0] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_ctrl_c_leaves_the_part(tmp_path):
    def stop(phase, done, total):
        if done > 200_000:
            raise KeyboardInterrupt

    with serving(Site(BODY)) as site:
        with pytest.raises(KeyboardInterrupt):
            fetch(site, tmp_path, on_progress=stop)
        there = part_bytes(tmp_path / "set.bin")
        assert there > 200_000
        assert fetch(site, tmp_path).read_bytes() == BODY
    assert site.asked[1] == f"bytes={there}-"


def test_progress_ends_at_the_whole(tmp_path):
    told = []
    with serving(Site(BODY)) as site:
        fetch(site, tmp_path, on_progress=lambda *said: told.append(said))
    assert told[0] == ("downloading", 0, 400_000)
    assert ("downloading", 400_000, 400_000) in told
    assert told[-1] == ("checking", 400_000, 400_000)


def test_a_full_disk_says_how_many_bytes_are_needed(tmp_path):
    full = cannot_write(tmp_path, OSError(errno.ENOSPC, "No space left on device"), 1_234_567)
    assert isinstance(full, DownloadError)
    assert "the disk is full; 1,234,567 more bytes are needed. Free some space" in str(full)
    denied = cannot_write(tmp_path, OSError(errno.EACCES, "Permission denied"), None)
    assert isinstance(denied, PathError)
    assert "cannot be written (Permission denied). Name a folder" in str(denied)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_while_downloading_is_one_line(tmp_path, monkeypatch):
    plain = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r", **more: plain(Path("/dev/full") if self.suffix == ".part" else self, mode, **more),
    )
    with (
        serving(Site(BODY)) as site,
        pytest.raises(DownloadError, match=r"set\.bin\.part: the disk is full; 400,000 more bytes are needed"),
    ):
        fetch(site, tmp_path)


def test_bytes_are_kept_as_sent_whatever_encoding_the_server_declares(tmp_path, monkeypatch):
    sent = {}
    request = requests.Session.get

    def spy(self, url, **more):
        response = request(self, url, **more)
        sent.update(response.request.headers)
        response.headers["Content-Encoding"] = "gzip"
        response.raw.headers["Content-Encoding"] = "gzip"
        return response

    monkeypatch.setattr(requests.Session, "get", spy)
    with serving(Site(BODY)) as site:
        assert fetch(site, tmp_path).read_bytes() == BODY
    assert sent["Accept-Encoding"] == "identity"
