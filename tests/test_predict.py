"""The verb predict: which sounds a person means, in which form the answers come, and where they go."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model_files import TINY_MODEL
from soundfold.cli import main
from soundfold.cli.console import _left
from soundfold.runtime import load

pytestmark = pytest.mark.runtime
RATE = 8_000


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["predict", str(TINY_MODEL), *map(str, words)])
    return status, *capsys.readouterr()


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    return err


def loud_from_three_to_six(seconds: int = 9) -> np.ndarray:
    waveform = np.zeros(seconds * RATE, np.float32)
    waveform[3 * RATE : 6 * RATE] = 1.0
    return waveform


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A long sound, a short one deeper down, one that is none, and what is no sound at all."""
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    soundfile.write(folder / "a.wav", loud_from_three_to_six(), RATE)
    soundfile.write(folder / "deep" / "b [1].flac", np.zeros(RATE // 2), RATE)
    (folder / "bad.wav").write_text("no sound")
    (folder / "notes.txt").write_text("no sound")
    return folder


def film(path: Path, with_sound: bool = True) -> None:
    import av

    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        track = container.add_stream("aac", rate=RATE, layout="mono") if with_sound else None
        for _ in range(90):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if track is not None:
            waveform = loud_from_three_to_six()
            for start in range(0, len(waveform) - 1_024, 1_024):
                block = av.AudioFrame.from_ndarray(waveform[None, start : start + 1_024], "fltp", "mono")
                block.sample_rate, block.pts = RATE, start
                container.mux(track.encode(block))
            container.mux(track.encode(None))


def test_long_sounds_get_events(capsys: pytest.CaptureFixture[str], sounds: Path) -> None:
    status, out, err = run(capsys, sounds / "a.wav", sounds / "deep")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"{sounds / 'a.wav'}\tlow\t0.667",
        "       0.00 –      3.00 s\tlow\t1.000",
        "       3.00 –      6.00 s\thigh\t1.000",
        "       6.00 –      9.00 s\tlow\t1.000",
        f"{sounds / 'deep' / 'b [1].flac'}\tlow\t1.000",
    ]
    _, out, _ = run(capsys, sounds / "a.wav", "--gap", 3, "--min-length", 4)
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [["0.00", "–", "9.00"]]
    _, out, _ = run(capsys, sounds / "a.wav", "--windows")
    assert len(out.splitlines()) == 1 + 9
    status, out, err = run(capsys, sounds / "a.wav", "--min-length", 10)
    assert (status, len(out.splitlines())) == (0, 1)
    told = "no event: nothing of 10 s reached the threshold. --min-length and --threshold lower it"
    assert err == f"{told}, --windows tells every window\n"


def test_python_and_every_format_tell_the_same_events(capsys: pytest.CaptureFixture[str], sounds: Path) -> None:
    sound = sounds / "a.wav"
    options = ("--hop", 0.25, "--threshold", 0.6, "--gap", 0.3, "--min-length", 1)
    events = load(TINY_MODEL).timeline(sound, hop_s=0.25, threshold=0.6, gap_s=0.3, min_s=1.0)
    assert len(events) == 3
    (told,) = json.loads(run(capsys, sound, *options, "--json")[1])
    assert told["events"] == [event.as_dict() for event in events]
    borders = [(event.start_s, event.end_s, event.label) for event in events]
    rows = list(csv.DictReader(io.StringIO(run(capsys, sound, *options, "--format", "csv")[1])))
    assert [(float(r["start_s"]), float(r["end_s"]), r["label"]) for r in rows if r["kind"] == "event"] == borders
    for name, columns in (("audacity", slice(0, 3)), ("raven", [3, 4, 9])):
        lines = [line.split("\t") for line in run(capsys, sound, *options, "--format", name)[1].splitlines()]
        cells = [np.array(line, object)[columns] for line in lines if line[0] != "Selection"]
        assert [(float(start), float(end), label) for start, end, label in cells] == borders


def test_patterns_that_no_shell_expanded(capsys: pytest.CaptureFixture[str], sounds: Path) -> None:
    def told(*patterns: object) -> list[str]:
        out = run(capsys, *patterns, "--format", "csv")[1]
        paths = [row["path"] for row in csv.DictReader(io.StringIO(out)) if row["kind"] in ("sound", "error")]
        return [os.path.relpath(path, sounds).replace(os.sep, "/") for path in paths]

    assert told(f"{sounds}/**/*.wav") == ["a.wav", "bad.wav"]
    assert told(f"{sounds}/**") == told(sounds) == ["a.wav", "bad.wav", "deep/b [1].flac"]
    assert told(f"{sounds}/d*") == ["deep/b [1].flac"]
    assert told(sounds / "deep" / "b [1].flac") == ["deep/b [1].flac"]
    err = refused(capsys, f"{sounds}/x*.wav")
    assert err.endswith("x*.wav: matches no sounds. Check the pattern\n")


def test_a_video_is_its_sound(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    film(tmp_path / "film.mp4")
    film(tmp_path / "silent.mkv", with_sound=False)
    status, out, err = run(capsys, tmp_path)
    assert status == 2
    assert [line.split("\t")[1] for line in out.splitlines()[1:]] == ["low", "high", "low"]
    assert "silent.mkv: holds no sound, only pictures" in err


@pytest.mark.skipif(os.name == "nt", reason="pipes have no paths there")
def test_a_pipe_is_heard(capsys: pytest.CaptureFixture[str], sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.cli.sounds._IN_MEMORY", 1_000)
    content, pipe = (sounds / "a.wav").read_bytes(), sounds / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    status, out, _ = run(capsys, pipe)
    writer.join()
    assert (status, out.split("\t")[0]) == (0, str(pipe))
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(content)})())
    assert run(capsys, "-")[1].splitlines()[1:] == out.splitlines()[1:]
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(b"text")})())
    assert refused(capsys, "-").startswith("soundfold: -: is not a sound that can be decoded")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_that_may_not_be_read_is_told(capsys: pytest.CaptureFixture[str], sounds: Path) -> None:
    (sounds / "deep").chmod(0)
    status, _, err = run(capsys, sounds)
    (sounds / "deep").chmod(0o700)
    assert status == 2
    assert "deep: the folder cannot be read" in err


def test_out_gets_a_file_or_one_a_sound(capsys: pytest.CaptureFixture[str], sounds: Path, tmp_path: Path) -> None:
    for name in ("x.csv", "x.json"):
        status, out, _ = run(capsys, sounds, "--out", tmp_path / name)
        assert (status, out) == (2, ""), "one sound is bad, and the file is whole all the same"
        plain = run(capsys, sounds, "--format", name[2:])[1]
        assert (tmp_path / name).read_text("utf-8") == plain
    for kind, ending in (("audacity", "txt"), ("raven", "selections.txt")):
        folder = tmp_path / kind
        assert run(capsys, sounds, "--format", kind, "--out", folder)[:2] == (2, "")
        written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
        assert written == [f"a.wav.{ending}", f"deep/b [1].flac.{ending}"]
        assert refused(capsys, sounds, "--format", kind, "--out", folder).endswith("or remove it first\n")
    alone = run(capsys, sounds / "a.wav", "--format", "audacity")[1]
    assert (tmp_path / "audacity" / "a.wav.txt").read_text("utf-8") == alone
    run(capsys, sounds / "a.wav", "--format", "audacity", "--out", tmp_path / "one.txt")
    assert (tmp_path / "one.txt").read_text("utf-8") == alone
    assert not list(tmp_path.rglob(".*")), "nothing half written is left"


@pytest.mark.parametrize("letters", [237, 251])
def test_a_name_too_long_for_a_file_of_its_own_is_told_before_the_first_sound(
    capsys: pytest.CaptureFixture[str], sounds: Path, tmp_path: Path, letters: int
) -> None:
    """The first is short enough for its label track, but not for the file that is written before it takes its place."""
    long = sounds / "deep" / f"{'n' * (letters - 4)}.wav"
    long.write_bytes((sounds / "a.wav").read_bytes())
    err = refused(capsys, sounds, "--format", "audacity", "--out", tmp_path / "tracks")
    assert err.startswith(f"soundfold: {long}: its name is too long for a file '{long.name}.txt'. Rename it, or choose")
    assert not (tmp_path / "tracks").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights of their own there")
def test_no_sound_gets_the_file_of_another(
    capsys: pytest.CaptureFixture[str], sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sounds / "elsewhere" / "inner").mkdir(parents=True)
    (sounds / "elsewhere" / "a.wav").write_bytes((sounds / "a.wav").read_bytes())
    (sounds / "link").symlink_to(sounds / "elsewhere" / "inner")
    other, out = f"{sounds}/link/../a.wav", ("--format", "raven", "--out", tmp_path / "tables")
    err = refused(capsys, sounds / "a.wav", other, *out)
    told = f"{other}: would get the same file in --out as another sound, {sounds}/a.wav. Ask for each by itself"
    assert err == f"soundfold: {told}\n"
    monkeypatch.chdir(sounds)
    (sounds / "stdin").write_bytes((sounds / "a.wav").read_bytes())
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO((sounds / "a.wav").read_bytes())})())
    assert "stdin: would get the same file in --out as another sound, -. Ask" in refused(capsys, "-", "stdin", *out)
    assert not (tmp_path / "tables").exists()
    assert run(capsys, sounds / "a.wav", f"{sounds}/deep/../a.wav", *out)[0] == 0, "two names of one sound are none"


def test_parquet_holds_what_csv_does(capsys: pytest.CaptureFixture[str], sounds: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run(capsys, sounds, "--out", tmp_path / "x.parquet")[:2] == (2, "")
    held = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    told = list(csv.DictReader(io.StringIO(run(capsys, sounds, "--format", "csv")[1])))
    assert [(row["path"], row["kind"], row["label"] or "") for row in held] == [
        (row["path"], row["kind"], row["label"]) for row in told
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "cvs"], "--format must be one of table, json, csv, parquet, audacity, raven, got 'cvs'. Did you"),
        (["--format", "xml"], "one of table, json, csv, parquet, audacity, raven, got 'xml'. Choose one of these\n"),
        (["--format", "csv", "--json"], "--json is short for --format json, got --format csv too. Say one of them"),
        (["--format", "parquet"], "--format parquet must be told a file, got none. Say --out FILE.parquet"),
        (["--format", "audacity"], "each of 3 sounds has a label track of its own. Say --out FOLDER"),
        (["--format", "audacity", "--out", "x.txt"], "--out must be a folder for 3 label tracks, got 'x.txt'. Name"),
        (["--out", "answers"], "--format must be named, as 'answers' does not tell it"),
        (["--out", "gone/x.csv"], "gone: there is no such folder"),
        (["--threshold", "1.5"], "threshold must be above 0 and at most 1, got 1.5"),
        (["--gap", "-1"], "gap must be a number of seconds from 0 on, got -1.0"),
        (["--min-length", "nan"], "shortest event must be a number of seconds from 0 on, got nan"),
        (["--hop", "9", "--json"], "hop must be more than 0"),
        (["--hop", "9", "--out", "x.csv"], "hop must be more than 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], sounds: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(sounds)
    before = sorted(sounds.rglob("*"))
    assert message in refused(capsys, sounds, *words)
    assert sorted(sounds.rglob("*")) == before


def test_time_left_is_told_in_its_size() -> None:
    assert [_left(10, 10, rest) for rest in (0, None, 20)] == ["", "", ", 20 s left"]
    assert [_left(10, 1, rest) for rest in (60, 1_000)] == [", 10 min left", ", 2 h 47 min left"]


def peak_megabytes(*words: object) -> float:
    code = "import resource, sys\nfrom soundfold.cli import main\nmain(sys.argv[1:])\n" \
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)"  # fmt: skip
    command = [sys.executable, "-c", code, "predict", str(TINY_MODEL), *map(str, words)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()[-1])


def long_sound(path: Path, minutes: int) -> Path:
    minute = np.random.default_rng(0).uniform(-0.4, 0.4, 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        for _ in range(minutes):
            file.write(minute)
    return path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is told in another unit elsewhere")
def test_memory_does_not_grow_with_the_sound(tmp_path: Path) -> None:
    short, long = long_sound(tmp_path / "1.wav", 1), long_sound(tmp_path / "30.wav", 30)  # 29 MB of it
    out = ("--format", "csv", "--out")
    assert peak_megabytes(long, *out, tmp_path / "b.csv") < peak_megabytes(short, *out, tmp_path / "a.csv") + 12


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is told in another unit elsewhere")
def test_fifteen_hours_take_less_than_300_mb(tmp_path: Path) -> None:
    sound = long_sound(tmp_path / "night.wav", 15 * 60)
    assert peak_megabytes(sound, "--hop", 0.5, "--json", "--out", tmp_path / "night.json") < 300
    (told,) = json.loads((tmp_path / "night.json").read_text("utf-8"))
    assert told["duration_s"] == 54_000
