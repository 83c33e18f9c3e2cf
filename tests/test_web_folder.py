"""The folder with the page and a model in it: what it replaces, what it leaves alone, what a broken export leaves."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from model_files import write_tiny_model
from soundfold.cli import main
from soundfold.serve.web_folder import ORT_FILES, _beside

IN_THE_WAY = "is in the way, and no earlier export of this kind"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """What exports to the path that is added; its own files stand apart."""
    apart = tmp_path / "apart"
    apart.mkdir()
    for name in ORT_FILES:
        (apart / name).write_bytes(b"x")
    model = write_tiny_model(apart / "tiny.onnx")
    return ["export", str(model), "--to", "web", "--onnxruntime-web", str(apart), "--out"]


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mark", ["{}", '{"modelTopology": {}, "name": "theirs"}', "[1]", "\x00", "[" * 9_000])
def test_a_folder_whose_model_json_is_anothers_is_left_alone(command, tmp_path, capsys, mark):
    own = tmp_path / "own"
    own.mkdir()
    (own / "model.json").write_text(mark)
    (own / "weights.bin").write_bytes(b"years of work")
    before = held(own)
    assert main([*command, str(own)]) == 2
    assert f"{own}: {IN_THE_WAY}. Name another --out" in capsys.readouterr().err
    assert held(own) == before


def test_an_export_to_which_files_were_added_is_left_alone(command, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*command, str(out)]) == 0
    for name in ("CNAME", "ort/notes.txt", "icon.svg/mine.txt"):
        if name.startswith("icon"):  # a folder in the place of a file of ours
            (out / "icon.svg").unlink()
            (out / "icon.svg").mkdir()
        (out / name).write_text("mine")
        assert main([*command, str(out)]) == 2
        assert f"{out}: {IN_THE_WAY} alone: it holds {name} too. Move that" in capsys.readouterr().err
        assert (out / name).read_text() == "mine"
        (out / name).unlink()
    assert main([*command, str(out)]) == 0


def test_a_folder_that_cannot_be_looked_into_is_left_alone(command, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert main([*command, str(out)]) == 0
    (out / "ort" / "deep").mkdir()  # empty, as far as can be seen
    before = held(out)
    scan = os.scandir

    def refused(path: object = ".") -> object:
        if str(path) in locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    locked: list[str] = []
    for folder in (out / "ort" / "deep", out / "ort", out):
        locked.append(str(folder))
        assert main([*command, str(out)]) == 2
        assert f"{out}: " in capsys.readouterr().err
    monkeypatch.undo()
    assert held(out) == before


def test_a_link_to_an_earlier_export_renews_what_it_leads_to(command, tmp_path):
    out, link = tmp_path / "out", tmp_path / "link"
    assert main([*command, str(out)]) == 0
    link.symlink_to("out")
    (out / "page.js").write_text("old")
    assert main([*command, str(link)]) == 0
    assert link.is_symlink()
    assert (out / "page.js").read_text() != "old"


def test_what_is_no_folder_is_in_the_way(command, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "loop").symlink_to("loop")
    names = ["file", "nowhere", "loop"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        names.append("pipe")
    before = sorted(tmp_path.iterdir())
    for name in names:
        assert main([*command, str(tmp_path / name)]) == 2
        assert f"{name}: {IN_THE_WAY}" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "file" / "below")]) == 2
    assert f"{tmp_path / 'file' / 'below'}: cannot be written" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_told_of_the_folder_and_not_of_the_model(command, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert main([*command, str(out)]) == 0
    before = held(out)

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    assert main([*command, str(out)]) == 2
    assert f"soundfold: {out}: cannot be written: {os.strerror(errno.ENOSPC)}" in capsys.readouterr().err
    assert held(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"apart", "out"}


def test_where_the_new_one_cannot_take_its_place_the_earlier_comes_back(command, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert main([*command, str(out)]) == 0
    before = held(out)
    replace = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if self.name == "web":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    assert main([*command, str(out)]) == 2
    assert f"{out}: cannot be written" in capsys.readouterr().err
    assert held(out) == before


@pytest.mark.skipif(os.name == "nt", reason="asks for a process as POSIX does")
def test_what_a_killed_export_left_goes_and_what_another_is_writing_stays(command, tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    with _beside(tmp_path / "out") as made:
        living = made.name
        dead = tmp_path / living.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
        (dead / "web").mkdir(parents=True)
        (tmp_path / ".out-mine").mkdir()
        assert main([*command, str(tmp_path / "out")]) == 0
        assert {path.name for path in tmp_path.iterdir()} == {"apart", "out", ".out-mine", living}
    assert {path.name for path in tmp_path.iterdir()} == {"apart", "out", ".out-mine"}


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_end_leaves_nothing_half_written(command, tmp_path, capsys, monkeypatch, number, status):
    assert threading.current_thread() is threading.main_thread()  # else the signal would end the tests
    handler = signal.getsignal(signal.SIGTERM)

    def told_to_end(*_: object) -> None:
        assert len(list(tmp_path.glob(".out-*"))) == 1
        signal.raise_signal(number)

    monkeypatch.setattr(shutil, "copyfile", told_to_end)
    assert main([*command, str(tmp_path / "out")]) == status
    assert capsys.readouterr().err.strip() == "soundfold: interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["apart"]
    assert signal.getsignal(signal.SIGTERM) == handler
