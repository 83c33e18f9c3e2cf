import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import soundfile

from archive_server import CLIPS, HASTE, Site, dataset_for, noise, serving, tarred, tiny_files, wait_until, zipped
from soundfold.data.fetch import fetching
from soundfold.data.fetch.catalogue import DATASETS, find_dataset, shortcomings
from soundfold.data.fetch.download import download
from soundfold.data.fetch.fetching import fetch_dataset, get_dataset
from soundfold.errors import DataError, DownloadError, PathError

FILES = tiny_files()
TAR = tarred(FILES)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def site():
    with serving(Site(TAR)) as running:
        yield running


def fetch(site: Site, dest: Path, changes: dict | None = None, **more):
    return fetch_dataset(dataset_for(site.url, site.body, **(changes or {})), dest, patience=HASTE, **more)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_catalogue_holds_what_the_sources_say():
    assert list(DATASETS) == ["urbansound8k", "esc50", "speech-commands"]
    assert DATASETS["urbansound8k"].digest == "md5:9aa69802bbf37fb986f71ec1483a196e"
    assert DATASETS["urbansound8k"].size == 6_023_741_708
    assert DATASETS["speech-commands"].size == 2_428_923_189
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert dataset.url.startswith("https://")
        assert "CC BY" in dataset.licence
        assert (dataset.size is None) == (dataset.digest is None) == (dataset.clip_rate is not None)


@pytest.mark.parametrize("name", ["esc50", "ESC-50", "Esc_50"])
def test_a_name_is_found_as_people_write_it(name):
    assert find_dataset(name) is DATASETS["esc50"]


def test_an_unknown_name_gets_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"published data set, got 'urbansound'\. Did you mean 'urbansound8k'\?"):
        get_dataset("urbansound", tmp_path / "x")


@pytest.mark.parametrize("pack", [tarred, zipped])
@pytest.mark.parametrize("known", [True, False])
def test_the_whole_job(tmp_path, pack, known):
    with serving(Site(pack(FILES))) as site:
        fetched = fetch(site, tmp_path / "deep" / "Tiny", {} if known else {"size": None, "digest": None})
    assert content(fetched.path) == FILES
    assert fetched.path == tmp_path / "deep" / "Tiny"
    assert not fetched.already_there
    place, *checked, licence = fetched.notes
    assert place == f"Tiny is complete: 12 clips in {fetched.path}."
    assert licence == "Tiny is under CC0: any use."
    assert [note.partition("; ")[2] for note in checked] == (
        [] if known else ["its content was checked instead: 12 clips, a row of meta/tiny.csv for each."]
    )
    assert left(tmp_path / "deep") == ["Tiny"]


def test_get_dataset_takes_the_catalogues_name(tmp_path, site, monkeypatch):
    monkeypatch.setitem(DATASETS, "tiny", dataset_for(site.url, TAR))
    told = []
    assert get_dataset("tiny", tmp_path / "Tiny", on_progress=lambda *said: told.append(said)) == tmp_path / "Tiny"
    assert list(dict.fromkeys(phase for phase, _, _ in told)) == ["downloading", "checking", "unpacking"]


def test_no_top_folder_and_no_table(tmp_path):
    files = {"_background_noise_/a.wav": b"n", "LICENSE": b"l"} | {f"yes/{clip}.wav": b"y" for clip in range(CLIPS)}
    changes = {"top_folder": None, "table": None, "columns": (), "clip_pattern": "[!_.]*/*.wav"}
    with serving(Site(tarred(files, "./"))) as site:
        assert content(fetch(site, tmp_path / "speech", changes).path) == files


def test_a_complete_set_is_left_alone(tmp_path, site):
    fetch(site, tmp_path / "Tiny")
    again = fetch(site, tmp_path / "Tiny")
    assert again.already_there
    assert "already complete" in again.notes[0]
    assert len(site.asked) == 1


def test_an_empty_folder_is_taken(tmp_path, site):
    (tmp_path / "Tiny").mkdir()
    assert content(fetch(site, tmp_path / "Tiny").path) == FILES


@pytest.mark.parametrize("spoil", ["clip", "empty clip", "table", "row", "column"])
def test_a_folder_in_use_is_not_touched(tmp_path, site, spoil):
    dest = fetch(site, tmp_path / "Tiny").path
    if spoil == "clip":
        (dest / "audio/3.wav").unlink()
    elif spoil == "empty clip":
        (dest / "audio/3.wav").write_bytes(b"")
    elif spoil == "table":
        (dest / "meta/tiny.csv").unlink()
    elif spoil == "row":
        (dest / "meta/tiny.csv").write_text("filename,fold\n1.wav,1\n")
    else:
        (dest / "meta/tiny.csv").write_text("name\n1.wav\n")
    before = content(dest)
    says = {
        "clip": "11 clips instead of 12",
        "empty clip": "11 clips instead of 12",
        "table": "no meta/tiny.csv",
        "row": "meta/tiny.csv has 1 row instead of 12",
        "column": "meta/tiny.csv has no columns filename, fold",
    }
    with pytest.raises(PathError) as caught:
        fetch(site, dest)
    assert str(caught.value) == (
        f"{dest}: is not empty, and not the complete Tiny ({says[spoil]}). Name a folder that is new or empty."
    )
    assert content(dest) == before


def test_a_file_in_the_way(tmp_path, site):
    (tmp_path / "Tiny").write_text("mine")
    with pytest.raises(PathError, match=r"Tiny: is a file\. Name a folder"):
        fetch(site, tmp_path / "Tiny")


def test_the_current_folder_cannot_become_the_set(tmp_path, site, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PathError, match=r"current folder or a disk of its own\. Name a folder inside it: .*Tiny$"):
        fetch(site, Path())
    assert left(tmp_path) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_parent_that_may_not_be_written(tmp_path, site):
    tmp_path.chmod(0o500)
    with pytest.raises(PathError, match="cannot be written"):
        fetch(site, tmp_path / "Tiny")


def test_a_file_as_parent(tmp_path, site):
    (tmp_path / "file").write_text("")
    with pytest.raises(PathError, match="cannot be written"):
        fetch(site, tmp_path / "file" / "Tiny")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which even root can make nothing")
@pytest.mark.timeout(20)
def test_a_folder_in_which_no_lock_can_be_made_is_told_and_not_waited_for(site):
    with pytest.raises(PathError, match=r"^/proc: cannot be written \(.*\)\. Name a folder that may be written\.$"):
        fetch(site, Path("/proc/Tiny"))
    assert site.asked == []


def test_a_download_that_brought_nothing_leaves_nothing(tmp_path, site):
    site.cuts = [0, 0, 0]
    with pytest.raises(DownloadError, match="could not be fetched in 3 tries"):
        fetch(site, tmp_path / "Tiny")
    assert left(tmp_path) == []


def test_a_broken_download_is_continued_by_the_next_run(tmp_path, site):
    site.cuts = [100_000, 0, 0]
    with pytest.raises(DownloadError, match="Run the same command again to continue"):
        fetch(site, tmp_path / "Tiny")
    assert left(tmp_path) == [".Tiny.soundfold-get", ".Tiny.soundfold-get.lock"]
    assert content(fetch(site, tmp_path / "Tiny").path) == FILES
    assert site.asked[3] is not None
    assert left(tmp_path) == ["Tiny"]


def test_a_wrong_hash_never_reaches_the_unpacking(tmp_path, site, monkeypatch):
    monkeypatch.setattr(fetching, "unpack", None)
    with pytest.raises(DownloadError, match="sha256 of what arrived must be 0000, got "):
        fetch(site, tmp_path / "Tiny", {"digest": "sha256:0000"})
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (tarred(tiny_files(clips=11)), "as published (11 clips instead of 12)"),
        (tarred(tiny_files(rows=11)), "as published (meta/tiny.csv has 11 rows instead of 12)"),
        (tarred(FILES, "Other/"), "as published (0 clips instead of 12, no meta/tiny.csv)"),
        (tarred(FILES, extra=(tarfile.TarInfo("../out"),)), "its member '../out' is refused"),
        (TAR[:-50_000], "is damaged"),
        (zipped(FILES)[:-50_000], "is damaged"),
        (noise(1000), "must be a zip or tar.gz archive"),
        (tarred({**FILES, "bomb": bytes(3_000_000)}), "must hold at most"),
    ],
)
def test_what_is_not_the_set_is_refused_and_nothing_stays(tmp_path, body, says):
    with serving(Site(body)) as site, pytest.raises(DownloadError) as caught:
        fetch(site, tmp_path / "Tiny", {"size": None, "digest": None})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == []


def wav(seconds: float, rate: int = 8_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(seconds * rate)), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        ({}, None),
        ({"audio/3.wav": noise(2000)}, "1 of 12 clips is not a WAV file of 0.1 s at 8,000 Hz, first 3.wav"),
        ({"audio/3.wav": wav(0.1)[:-200]}, "1 of 12 clips is not a WAV file of 0.1 s at 8,000 Hz, first 3.wav"),
        ({"audio/3.wav": wav(0.2), "audio/10.wav": wav(0.05, 16_000)}, "2 of 12 clips are not a WAV file of 0.1 s"),
        ({"meta/tiny.csv": tiny_files()["meta/tiny.csv"].replace(b"3.wav", b"4.wav")}, "has no row for 3.wav"),
    ],
)
def test_without_a_hash_each_clips_header_is_checked(tmp_path, spoilt, says):
    files = FILES | {f"audio/{clip}.wav": wav(0.1) for clip in range(CLIPS)} | spoilt
    changes = {"size": None, "digest": None, "clip_rate": 8_000, "clip_s": 0.1}
    with serving(Site(tarred(files))) as site:
        if says is None:
            note = fetch(site, tmp_path / "Tiny", changes).notes[1]
            assert note.startswith("The archive of Tiny is made on request, so nobody tells its size and hash; ")
            assert note.endswith("the header of each (0.1 s at 8,000 Hz).")
            return
        with pytest.raises(DownloadError) as caught:
            fetch(site, tmp_path / "Tiny", changes)
    assert says in str(caught.value)
    assert left(tmp_path) == []


def test_too_little_space_is_told_before_the_first_byte(tmp_path, site, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(0, 0, 1_000_000))
    needed = f"{len(TAR) + 1_000_000:,}"
    with pytest.raises(
        DownloadError, match=rf"{needed} bytes must be free for Tiny .*, got 1,000,000\. Free some space"
    ):
        fetch(site, tmp_path / "Tiny")
    assert site.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_unpacking_keeps_the_archive(tmp_path, site, monkeypatch):
    plain = Path.open
    with monkeypatch.context() as full:
        full.setattr(
            Path,
            "open",
            lambda self, mode="r", **more: plain(Path("/dev/full") if self.name == "3.wav" else self, mode, **more),
        )
        with pytest.raises(DownloadError, match="the disk is full; 1,000,000 more bytes are needed"):
            fetch(site, tmp_path / "Tiny")
    assert left(tmp_path / ".Tiny.soundfold-get") == ["tiny.archive"]
    assert content(fetch(site, tmp_path / "Tiny").path) == FILES
    assert len(site.asked) == 1


def test_ctrl_c_while_unpacking_keeps_the_archive(tmp_path, site):
    def stop(phase, done, total):
        if phase == "unpacking":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(site, tmp_path / "Tiny", on_progress=stop)
    assert left(tmp_path / ".Tiny.soundfold-get") == ["tiny.archive"]
    fetch(site, tmp_path / "Tiny")
    assert len(site.asked) == 1


def test_two_at_once_fetch_once(tmp_path, site):
    told: list[str] = []
    answers = []

    def job():
        answers.append(fetch(site, tmp_path / "Tiny", on_progress=lambda phase, *_: told.append(phase)))

    site.stall_after = 100_000
    threads = [threading.Thread(target=job) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: "waiting" in told)
    site.stall_after = None
    site.go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(answer.already_there for answer in answers) == [False, True]
    assert content(tmp_path / "Tiny") == FILES
    assert left(tmp_path) == ["Tiny"]


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from archive_server import HASTE, dataset_for
from dataclasses import replace
from soundfold.data.fetch.fetching import fetch_dataset

def told(phase, done, total):
    if phase == sys.argv[5] and done > int(sys.argv[6]):
        Path(sys.argv[4] + ".mark").touch()
        time.sleep(60)

dataset = dataset_for(sys.argv[2], Path(sys.argv[3]).read_bytes())
fetch_dataset(dataset, sys.argv[4], patience=HASTE, on_progress=told)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(("phase", "at"), [("downloading", 100_000), ("checking", 0), ("unpacking", 100_000)])
def test_a_killed_process_leaves_no_set_and_the_next_run_completes_it(tmp_path, site, phase, at):
    dest, body = tmp_path / "place" / "Tiny", tmp_path / "body"
    body.write_bytes(TAR)
    tests = str(Path(__file__).parent)
    arguments = [sys.executable, "-c", KILLED, tests, site.url, str(body), str(dest), phase, str(at)]
    with subprocess.Popen(arguments) as process:
        wait_until(lambda: Path(f"{dest}.mark").exists() or process.poll() is not None)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert left(dest.parent) == [".Tiny.soundfold-get", ".Tiny.soundfold-get.lock", "Tiny.mark"]
    assert content(fetch(site, dest).path) == FILES
    assert left(dest.parent) == ["Tiny", "Tiny.mark"]
    if phase == "downloading":
        assert int(site.asked[1].removeprefix("bytes=").removesuffix("-")) > at
    else:
        assert len(site.asked) == 1


def test_leftovers_of_a_run_killed_after_the_renaming_are_cleared(tmp_path, site):
    dest = fetch(site, tmp_path / "Tiny").path
    (tmp_path / ".Tiny.soundfold-get").mkdir()
    (tmp_path / ".Tiny.soundfold-get" / "tiny.archive").write_bytes(TAR)
    assert fetch(site, dest).already_there
    assert left(tmp_path) == ["Tiny"]


def test_a_part_of_the_real_set_is_found_incomplete(tmp_path):
    assert shortcomings(DATASETS["urbansound8k"], tmp_path) == [
        "0 clips instead of 8,732",
        "no metadata/UrbanSound8K.csv",
    ]


def test_download_alone_leaves_only_its_file(tmp_path, site):
    assert download(site.url, tmp_path / "x", patience=HASTE).read_bytes() == TAR
    assert left(tmp_path) == ["x"]
