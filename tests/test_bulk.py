"""Bulk answers: every sound stands in the parts once, whatever ended the work, and as `predict` answers for it."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bad_decoders import spoil
from model_files import MEL_MODEL, TINY_MODEL
from soundfold.bulk.journal import Journal
from soundfold.cli import main
from soundfold.errors import PathError, RunError
from soundfold.runtime import load

pytestmark = pytest.mark.runtime
pa = pytest.importorskip("pyarrow", reason="bulk writes Parquet")
parquet = pytest.importorskip("pyarrow.parquet")

RATE = 8_000


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of 30 sounds of up to 2.5 s, with one that is none, hidden ones and other files."""
    root = tmp_path_factory.mktemp("bulk") / "klänge 音"
    generator = np.random.default_rng(0)
    for number in range(30):
        folder = root / f"{number % 3}" / f"{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        sound = generator.uniform(-number / 30, number / 30, 500 + 650 * number)
        soundfile.write(folder / f"{number}.wav", sound, RATE)
    (root / "0" / "bad.wav").write_text("no sound")
    (root / "0" / ".hidden.wav").write_text("no sound")
    (root / "1" / "readme.txt").write_text("no sound")
    (root / "2" / "again").symlink_to(root / "1")
    return root


def rows_of(out: Path) -> "list[dict[str, object]]":
    """Read a folder as a user would; hidden files and the journal are passed over."""
    rows: list[dict[str, object]] = parquet.read_table(out).to_pylist()
    return rows


def heard_once(out: Path) -> Counter[str]:
    """Return how many parts each sound stands in."""
    return Counter(
        path for part in out.glob("part-*.parquet") for path in set(parquet.read_table(part)["path"].to_pylist())
    )


def say(*words: object) -> int:
    return main(["bulk", *map(str, words)])


@pytest.mark.parametrize("path", [TINY_MODEL, MEL_MODEL], ids=["tiny", "mel"])
def test_rows_are_what_predict_answers(
    path: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert say(path, sounds, "--out", out, "--hop", "0.25", "--workers", 2, "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["sounds"], told["failed"], told["new"]) == (31, 1, 31)
    model, rows = load(path), rows_of(out)
    assert len(rows) == told["rows"]
    paths = [str(entry) for entry in sorted(sounds.rglob("[!.]*.wav"))]
    assert heard_once(out) == Counter(paths)
    for name in paths:
        mine = sorted((row for row in rows if row["path"] == name), key=lambda row: row["start_s"] or 0)
        if name.endswith("bad.wav"):
            (row,) = mine
            assert "bad.wav: is not a sound that can be decoded" in str(row.pop("error"))
            assert {value for key, value in row.items() if key != "path"} == {None}
            continue
        spans = model.predict(name, hop_s=0.25).timeline
        assert [(row["start_s"], row["end_s"], row["label"]) for row in mine] == [
            (span.start_s, span.end_s, span.label) for span in spans
        ]
        for row, span in zip(mine, spans, strict=True):
            assert [row[f"p:{label}"] for label in model.labels] == [
                np.float32(value) for value in span.probabilities.values()
            ]
            assert row["probability"] == np.float32(span.probability)
            assert row["error"] is None


def test_the_same_again_hears_only_what_is_new(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = tmp_path / "sounds", tmp_path / "out"
    shutil.copytree(sounds / "1", root)
    monkeypatch.chdir(tmp_path)
    assert say(TINY_MODEL, "sounds", "--out", "out", "--labels-only", "--workers", 1) == 0
    assert say(TINY_MODEL, root, "--out", out, "--labels-only") == 0
    assert "nothing was left to hear" in capsys.readouterr().out
    shutil.copy(root / "1" / "1.wav", root / "later.wav")
    assert say(TINY_MODEL, root, "--out", out, "--labels-only", "--workers", 1) == 0
    expected = [str(path.relative_to(tmp_path)) for path in root.rglob("*.wav")]
    assert heard_once(out) == Counter(expected)
    assert not any(name.startswith("p:") for name in parquet.read_table(out).column_names)
    (out / "part-000000.parquet").unlink()  # whoever takes a part away wants it made again
    assert say(TINY_MODEL, root, "--out", out, "--labels-only", "--workers", 1) == 0
    assert heard_once(out) == Counter(expected)


def test_other_settings_and_foreign_folders_are_refused(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, out, bare, empty = sounds / "1" / "1", tmp_path / "out", tmp_path / "bare", tmp_path / "empty.txt"
    bare.mkdir()
    (tmp_path / "new").mkdir()
    empty.write_text("")
    assert say(TINY_MODEL, one, "--out", out, "--workers", 1) == 0
    journal = out / "_journal.jsonl"
    before = journal.read_bytes()
    for words, told in [
        ((MEL_MODEL, one, "--out", out), "out: was begun with another model. Say the same as then"),
        ((TINY_MODEL, one, "--out", out, "--hop", "0.5"), "was begun with hop_s None, got 0.5"),
        ((TINY_MODEL, sounds, "--out", out), f"was begun with source {one}, got {sounds}"),
        ((TINY_MODEL, one, "--out", out, "--labels-only"), "was begun with probabilities True, got False"),
        ((TINY_MODEL, one, "--out", sounds), "holds something else already. Choose another --out"),
        ((TINY_MODEL, one, "--out", sounds / "0" / "bad.wav"), "holds something else already"),
        ((TINY_MODEL, tmp_path / "gone", "--out", tmp_path / "o"), "gone: there is no such folder or list"),
        ((TINY_MODEL, sounds / "1" / "1" / "1.wav", "--out", tmp_path / "o"), "is a sound, no folder or list"),
        ((TINY_MODEL, one, "--out", tmp_path / "o", "--hop", "9"), "hop must be more than 0"),
        ((TINY_MODEL, one, "--out", tmp_path / "o", "--workers", "0"), "workers must be at least 1, got 0"),
        ((TINY_MODEL, one, "--out", tmp_path / "o", "--part", "0"), "part must be above 0 seconds, got 0"),
        ((tmp_path / "gone", one, "--out", tmp_path / "o"), "there is no such model file or run"),
        ((TINY_MODEL, bare, "--out", tmp_path / "o"), "bare: holds no sounds. Name a folder with sounds in it"),
        ((TINY_MODEL, empty, "--out", tmp_path / "o"), "empty.txt: holds no sounds"),
        ((TINY_MODEL, bare, "--out", tmp_path / "new"), "bare: holds no sounds"),
    ]:
        capsys.readouterr()
        assert say(*words) == 2, words
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("soundfold: ")]
        assert told in line
    assert not (tmp_path / "o").exists()
    assert list((tmp_path / "new").iterdir()) == []
    assert journal.read_bytes() == before
    journal.write_bytes(b"{}\n" + before)
    assert say(TINY_MODEL, one, "--out", out) == 2
    assert "_journal.jsonl line 1: is damaged. Begin anew in another folder" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="needs names of Unix")
def test_lists_in_every_form(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(sounds / "1" / "1" / "1.wav", tmp_path / "a, b.wav")
    shutil.copy(sounds / "1" / "1" / "7.wav", os.fsencode(tmp_path) + b"/\xff.wav")
    names = ["a, b.wav", "gone.wav", "\udcff.wav"]
    lines = "\r\n".join([*names, "", "a, b.wav"])  # the same twice, and no line end at the end
    (tmp_path / "list.txt").write_text("\ufeff" + lines, "utf-8", "surrogateescape")
    cells = "\n".join(f'{number},"{name}"' for number, name in enumerate(names))
    (tmp_path / "list.csv").write_text(f"id, Path\n{cells}\n", "utf-8", "surrogateescape")
    with (tmp_path / "list.txt").open("rb") as stdin:
        monkeypatch.setattr("sys.stdin", os.fdopen(os.dup(stdin.fileno()), encoding="utf-8"))
        monkeypatch.chdir(tmp_path)
        for number, source in enumerate(("-", tmp_path / "list.txt", "list.csv")):
            assert say(TINY_MODEL, source, "--out", tmp_path / f"{number}", "--workers", 1) == 2
            assert heard_once(tmp_path / f"{number}") == Counter(["a, b.wav", "gone.wav", r"\udcff.wav"])
            rows = {row["path"]: row for row in rows_of(tmp_path / f"{number}")}
            assert "does not exist" in str(rows["gone.wav"]["error"])
            assert rows[r"\udcff.wav"]["label"] in ("low", "high")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("file,label\nx.wav,a\n", "list.csv: must have a column 'path', got file, label. Name the column so"),
        ("path,start\nx.wav,1\n", "list.csv: has a column 'start', but bulk answers for whole files."),
        ("", "must have a column 'path', got none"),
        (f"{'x' * 200_000},path\na.wav,b\n", "list.csv line 1: is no line of a table (field larger than field limit"),
    ],
)
def test_tables_without_paths_are_told(
    content: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.csv").write_text(content)
    assert say(TINY_MODEL, tmp_path / "list.csv", "--out", tmp_path / "out", "--workers", 1) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_a_list_in_utf_16_is_refused_before_anything_is_begun(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / f"list.{kind}"
    names.write_text("path\na.wav\nb.wav\n", "utf-16")
    assert say(TINY_MODEL, names, "--out", tmp_path / "out", "--workers", 1) == 2
    told = f"soundfold: {names} line 1: holds a zero byte, as UTF-16 does. Save the list in UTF-8\n"
    assert capsys.readouterr().err == told
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="needs signals of Unix")
def test_a_crash_and_a_hang_cost_their_sounds_alone(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(tmp_path / "site", monkeypatch)
    root = tmp_path / "sounds"
    shutil.copytree(sounds / "1", root)
    for name in ("crash", "hang"):
        shutil.copy(root / "1" / "1.wav", root / f"{name}.wav")
    assert say(TINY_MODEL, root, "--out", tmp_path / "out", "--workers", 2, "--patience", 3) == 2
    assert "2 of them failed" in capsys.readouterr().out
    assert heard_once(tmp_path / "out") == Counter(str(path) for path in root.rglob("*.wav"))
    errors = [str(row["error"]) for row in rows_of(tmp_path / "out") if row["error"]]
    assert sorted(error.split(": ")[1][:20] for error in errors) == ["ended the process th", "was given up after 3"]


def killed_and_continued(sounds: Path, out: Path, kills: int, seed: int) -> None:
    """Kill the work at random moments, its workers left to themselves, and then let it end."""
    generator = random.Random(seed)
    words = [sys.executable, "-m", "soundfold", "bulk", TINY_MODEL, sounds, "--out", out, "--part", "0.05"]
    told = out.with_name("told.txt")
    for _ in range(kills):
        with told.open("ab") as file, subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=file) as process:
            until = time.monotonic() + 60
            while not list(out.glob("_journal.jsonl")) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(generator.uniform(0, 3))
            process.send_signal(signal.SIGKILL)
        whole = heard_once(out)
        assert set(whole.values()) <= {1}
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in told.read_text(), "workers whose parent is gone leave in silence"


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(1_200)])])
def test_kills_at_random_moments_lose_and_double_nothing(kills: int, sounds: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "sounds", tmp_path / "out"
    shutil.copytree(sounds, root)
    one = (root / "1" / "1" / "1.wav").read_bytes()
    for number in range(100 if kills == 2 else 20_000):
        (root / "2" / f"more {number}.wav").write_bytes(one)
    killed_and_continued(root, out, kills, seed=kills)
    assert heard_once(out) == Counter(str(path) for path in root.rglob("[!.]*.wav"))
    assert not list(out.glob(".*"))
    journal = [json.loads(line) for line in (out / "_journal.jsonl").read_text().splitlines()]
    told = {line["part"]: line["sounds"] for line in journal[1:]}
    for part in out.glob("part-*.parquet"):
        assert sorted(told[part.name]) == sorted(set(parquet.read_table(part)["path"].to_pylist()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs to know which file a descriptor is")
@pytest.mark.parametrize("name", ["_journal.jsonl", "part-000000.parquet"])
def test_a_full_disk_is_told_in_one_line_and_the_same_command_goes_on(
    name: str, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sync = tmp_path / "out", os.fsync

    def full(descriptor: int) -> None:
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        if name in file.name and list(out.glob(".part-*")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert say(TINY_MODEL, sounds, "--out", out, "--workers", 1) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("soundfold: ")
    assert f"{name}: cannot be written: No space left on device." in line
    assert sorted(path.name for path in out.iterdir()) == ["_journal.jsonl"]
    monkeypatch.setattr(os, "fsync", sync)
    assert say(TINY_MODEL, sounds, "--out", out, "--workers", 1) == 2
    assert heard_once(out) == Counter(str(path) for path in sounds.rglob("[!.]*.wav"))


@pytest.mark.skipif(os.name == "nt", reason="needs limits of Unix")
def test_a_file_that_may_not_grow_further_is_told(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    out, before = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, before[1]))
    try:
        assert say(TINY_MODEL, sounds, "--out", out, "--workers", 1) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written" in capsys.readouterr().err.splitlines()[-1]
    assert not list(out.glob("part-*"))
    assert say(TINY_MODEL, sounds, "--out", out, "--workers", 1) == 2
    assert heard_once(out) == Counter(str(path) for path in sounds.rglob("[!.]*.wav"))


@pytest.mark.skipif(os.name == "nt", reason="needs signals of Unix")
def test_ctrl_c_keeps_what_was_heard_and_a_second_process_is_refused(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(tmp_path / "site", monkeypatch)
    root, out = tmp_path / "sounds", tmp_path / "out"
    shutil.copytree(sounds / "1", root)
    shutil.copy(root / "1" / "1.wav", root / "hang.wav")  # so that the work cannot end by itself
    words = [sys.executable, "-m", "soundfold", "bulk", TINY_MODEL, root, "--out", out, "--part", "0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not list(out.glob("part-*")) and time.monotonic() < until:
            time.sleep(0.02)
        second = subprocess.run(words, capture_output=True, text=True, check=False)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=120)
    assert second.returncode == 2
    assert "out: another process works on it. Wait for it, or choose another --out" in second.stderr
    assert process.returncode == 130, told
    assert told[1].splitlines()[-1] == "soundfold: interrupted. What was heard is kept: the same command goes on"
    heard = heard_once(out)
    assert heard
    assert heard <= Counter(str(path) for path in root.rglob("[!h]*.wav"))


def test_parquet_is_asked_for_before_anything_is_begun(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert say(TINY_MODEL, sounds, "--out", tmp_path / "out") == 2
    assert '[parquet]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "lines",
    [
        ['{"settings": {}}'],
        ['{"format": 1, "settings": {}}'],
        ['{"format": 1, "settings": "abc", "shown": "s"}'],
        ["[" * 100_000],
        ['{"format": 1, "settings": {}, "shown": "s"}', '{"part": "part-000000.parquet"}'],
        ['{"format": 1, "settings": {}, "shown": "s"}', '{"part": "part-000000.parquet", "sounds": [1]}'],
    ],
)
def test_a_journal_of_valid_json_that_lacks_its_parts_is_called_damaged(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "_journal.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "part-000000.parquet").touch()
    with pytest.raises(RunError, match=r"_journal.jsonl line \d: is damaged"):
        Journal(tmp_path)


def test_a_link_to_nowhere_is_no_place_for_answers(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    with pytest.raises(PathError, match="holds something else already"):
        Journal(tmp_path / "out")
