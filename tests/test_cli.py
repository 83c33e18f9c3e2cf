"""The command line: answers on stdout, one line a mistake on stderr, and the right status."""

import inspect
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import soundfold
from conftest import RATE, SMALL, tone, write_folders
from model_files import TINY_MODEL
from soundfold.cli import main
from soundfold.cli.options import listed

SET = ["-r", "tutorial", *(part for change in SMALL for part in ("--set", change))]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run what must fail, and return its only line."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    lines = [line for line in err.splitlines() if line.startswith("soundfold: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.usefixtures("hollow_model_file")
def test_train_prints_one_json_document(capsys: pytest.CaptureFixture[str], small_data: Path, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "train", small_data, *SET, "--test-fold", 3, "--out", tmp_path / "run", "--json")
    assert status == 0
    told = json.loads(out)
    needed = {
        "accuracy", "macro_f1", "labels", "n", "recipe", "split", "leaks", "seconds", "clips_per_second", "store_s",
        "per_class", "confusion", "accuracy_ci95",
    }  # fmt: skip
    assert needed <= told.keys()
    assert told["split"]["fold"] == 3
    assert told["recipe"]["training"]["epochs"] == 3


@pytest.mark.usefixtures("hollow_model_file")
def test_cv_prints_one_json_document(capsys: pytest.CaptureFixture[str], small_data: Path, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "cv", small_data, *SET, "--folds", "1,3", "--out", tmp_path / "run", "--json")
    assert status == 0
    told = json.loads(out)
    assert {"accuracy_mean", "accuracy_std", "accuracy_pooled", "accuracy_ci95", "folds"} <= told.keys()
    assert [set(fold) >= {"fold", "accuracy", "n", "train_s"} for fold in told["folds"]] == [True, True]
    assert [fold["fold"] for fold in told["folds"]] == [1, 3]


@pytest.mark.usefixtures("hollow_model_file")
@pytest.mark.parametrize(
    ("asked", "is_clean"), [(("--test-fold", 3), True), (("--random-split", 0.25), False), (("--all",), None)]
)
def test_that_nothing_leaked_is_told_too(
    capsys: pytest.CaptureFixture[str],
    small_data: Path,
    tmp_path: Path,
    asked: tuple[object, ...],
    is_clean: bool | None,
) -> None:
    _, out, _ = run(capsys, "train", small_data, *SET, "--epochs", 1, *asked, "--out", tmp_path / "run")
    leaks = [line.split(":", 1)[1].strip() for line in out.splitlines() if line.startswith("leak:")]
    assert [line.startswith("none: no recording") for line in leaks] == ([] if is_clean is None else [is_clean])


@pytest.mark.usefixtures("hollow_model_file")
def test_train_tells_people(capsys: pytest.CaptureFixture[str], small_data: Path, tmp_path: Path) -> None:
    status, out, err = run(capsys, "train", small_data, *SET, "--random-split", 0.25, "--out", tmp_path / "run")
    assert status == 0
    assert "accuracy:" in out
    assert "share a recording with training; expect less on new recordings" in out
    assert f"soundfold predict {tmp_path / 'run'}" in out
    assert "epoch 3/3" in err


def test_evaluate(capsys: pytest.CaptureFixture[str], small_run: Path, small_data: Path) -> None:
    status, out, _ = run(capsys, "evaluate", small_run, small_data, "--fold", 3, "--json")
    assert status == 0
    assert json.loads(out)["n"] == 12
    status, out, _ = run(capsys, "evaluate", small_run, small_data)
    assert status == 0
    assert re.search(
        r"^not met: +[\d.]+ %  of 12 clips from 6 recordings that it was not trained on$", out, re.MULTILINE
    )
    assert re.search(
        r"^met: +[\d.]+ %  of 24 clips from 12 recordings that the model was trained on$", out, re.MULTILINE
    )
    assert "leak:       66.7 % of these clips come from recordings that the model was trained on" in out


def test_predict_files_folders_and_stdin(
    capsys: pytest.CaptureFixture[str], small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = tmp_path / "ton é.wav"
    soundfile.write(sound, tone(300, 1.2, 0), RATE)
    status, out, _ = run(capsys, "predict", small_run, sound, "--json")
    told = json.loads(out)
    assert status == 0
    assert len(told) == 1
    assert told[0]["path"] == str(sound)
    assert told[0]["label"] in ("low", "high")
    assert sum(told[0]["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)
    assert len(told[0]["timeline"]) == 3
    status, out, _ = run(capsys, "predict", small_run, tmp_path)
    assert status == 0
    assert out.startswith(f"{sound}\t")
    with sound.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": file})())
        status, out, _ = run(capsys, "predict", small_run, "-", "--json")
    assert status == 0
    assert json.loads(out)[0]["probabilities"] == told[0]["probabilities"]


def test_predict_goes_on_after_a_bad_file_and_says_so(
    capsys: pytest.CaptureFixture[str], small_run: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(300, 0.5, 0), RATE)
    (tmp_path / "b.wav").write_text("no sound")
    soundfile.write(tmp_path / "c.wav", tone(300, 0.5, 0), RATE)
    status, out, err = run(capsys, "predict", small_run, tmp_path)
    assert status == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(tmp_path / "a.wav"), str(tmp_path / "c.wav")]
    assert "b.wav" in err
    status, out, _ = run(capsys, "predict", small_run, tmp_path / "a.wav", tmp_path / "gone.wav", "--json")
    assert status == 2
    told = json.loads(out)
    assert "label" in told[0]
    assert "gone.wav" in told[1]["error"]


def test_predict_goes_on_after_an_empty_folder(
    capsys: pytest.CaptureFixture[str], small_run: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(300, 0.5, 0), RATE)
    (tmp_path / "empty").mkdir()
    status, out, err = run(capsys, "predict", small_run, tmp_path / "empty", tmp_path / "a.wav")
    assert status == 2
    assert out.startswith(str(tmp_path / "a.wav"))
    assert "empty: holds no sounds" in err
    assert "hop must be more than 0" in refused(capsys, "predict", small_run, tmp_path / "a.wav", "--hop", 9)


def test_predict_tells_how_far_it_is_in_long_work_and_an_empty_stdin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfold.cli.console._LOG_EVERY_S", 0.0)
    soundfile.write(tmp_path / "long.wav", tone(300, 40.0, 0), RATE)
    status, out, err = run(capsys, "predict", TINY_MODEL, tmp_path / "long.wav")
    assert status == 0
    assert out.startswith(str(tmp_path / "long.wav"))
    told = [line.rpartition(": ")[2] for line in err.splitlines() if line.startswith("seconds of sound heard: ")]
    assert len(told) >= 2
    assert all(re.fullmatch(r"[\d]+/40, \d+ s left", line) for line in told[1:]), told
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO()})())
    status, out, err = run(capsys, "predict", TINY_MODEL, "-")
    assert (status, out) == (2, "")
    assert err.startswith("soundfold: -: standard input holds nothing. Say: soundfold predict MODEL - < FILE")


def test_predict_passes_over_what_is_hidden_and_walks_each_folder_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = ["a.wav", "deep/c.wav", "deep/er/b.WAV"]
    for name in (*shown, ".d.wav", ".git/e.wav", "deep/.cache/in/f.wav", "__MACOSX/g.wav", "deep/__MACOSX/._h.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, tone(300, 0.1, 0), RATE, format="WAV")
    (tmp_path / "folder.wav").mkdir()
    try:
        (tmp_path / "deep" / "loop").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    status, out, err = run(capsys, "predict", TINY_MODEL, tmp_path)
    assert (status, err) == (0, "")
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(tmp_path / name) for name in shown]


@pytest.mark.skipif(os.name == "nt", reason="this system has neither")
def test_predict_tells_of_links_to_nothing_and_of_pipes_in_a_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(300, 0.1, 0), RATE)
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.wav")
    status, out, err = run(capsys, "predict", TINY_MODEL, tmp_path)
    assert status == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(tmp_path / "a.wav")]
    assert [line.split(": ")[1] for line in err.splitlines()] == [str(tmp_path / f"{n}.wav") for n in ("gone", "pipe")]


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_names_that_stdout_cannot_show_are_escaped(tmp_path: Path, encoding: str) -> None:
    names = (b"\xff.wav", "é 🎵.wav".encode(), b"text \xff.wav")
    sounds = [os.path.join(os.fsencode(tmp_path), name) for name in names]  # noqa: PTH118
    soundfile.write(tmp_path / "plain.wav", tone(300, 0.1, 0), RATE)
    try:
        for sound in sounds[:2]:
            Path(os.fsdecode(sound)).write_bytes((tmp_path / "plain.wav").read_bytes())
        Path(os.fsdecode(sounds[2])).write_text("no sound")
    except (OSError, UnicodeError):
        pytest.skip("this system has no such names")
    command = [sys.executable, "-m", "soundfold", "predict", TINY_MODEL]
    surroundings = os.environ | {"PYTHONIOENCODING": encoding}
    for extra in ([], ["--json"]):
        done = subprocess.run([*command, *sounds, *extra], capture_output=True, env=surroundings)
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"text \\udcff.wav: is not a sound" in done.stderr
        if extra:
            told = json.loads(done.stdout)
            assert [os.fsencode(answer["path"]) for answer in told] == sounds
        else:
            assert b"\\udcff.wav\t" in done.stdout
    gone = subprocess.run([*command, b"gone \xff"], capture_output=True, env=surroundings)
    assert (gone.returncode, gone.stdout) == (2, b"")
    assert gone.stderr.startswith(b"soundfold: gone \\udcff: ")


def test_the_defaults_are_those_of_the_jobs() -> None:
    from soundfold.cli import cv, data, evaluate, train
    from soundfold.data.synth import synthesise

    pairs = (
        (train.train, soundfold.train), (cv.cv, soundfold.cross_validate), (evaluate.evaluate, soundfold.evaluate),
        (data.show, soundfold.show), (data.synth, synthesise),
    )  # fmt: skip
    for verb, job in pairs:
        asked, meant = (inspect.signature(function).parameters for function in (verb, job))
        shared = [name for name in asked if name in meant and meant[name].default is not inspect.Parameter.empty]
        assert len(shared) >= 3
        for name in shared:
            assert asked[name].default == meant[name].default, f"{verb.__name__}: {name}"


def test_data_synth_check_and_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = run(capsys, "data", "synth", tmp_path / "synth", "--clips", 100)
    assert status == 0
    assert out.strip() == str(tmp_path / "synth")
    status, out, _ = run(capsys, "data", "check", tmp_path / "synth", "--json")
    assert status == 0
    assert json.loads(out)["clips"] == 100
    status, out, _ = run(capsys, "data", "check", tmp_path / "synth")
    assert status == 0
    assert "dog_bark" in out
    status, out, _ = run(capsys, "data", "show", tmp_path / "synth", "--out", tmp_path / "p.png", "--clips", 2, *SET)
    assert status == 0
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["-h"], ["train", "--help"], ["data", "--help"], ["data", "get", "--help"]):
        status, out, _ = run(capsys, *arguments)
        assert status == 0
        assert "soundfold" in out
    status, out, _ = run(capsys, "--version")
    assert (status, out.split()[0]) == (0, "soundfold")


def test_the_help_loads_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; from soundfold.cli.main import main; main(['--help']); "
        "print(sorted({'rich', 'numpy', 'pydantic', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian", "x"], "No such command 'trian'. Did you mean 'train'?"),
        (["data", "chek", "x"], "Did you mean 'check'"),
        (["train"], "Missing argument 'DATA'. See soundfold train --help"),
        (["train", "x", "--epoch", "3"], "No such option"),
        (["train", "x", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["train", "gone"], "gone"),
        (["train", "SMALL", "--set", "epoch=3"], "there is no setting 'epoch'. Did you mean 'epochs'?"),
        (["train", "SMALL", "--epochs", "0"], "training.epochs must be greater than or equal to 1, got 0"),
        (["train", "SMALL", "-r", "tutoral"], "there is no recipe 'tutoral'. Did you mean 'tutorial'?"),
        (["train", "SMALL", "--device", "cdua"], "Did you mean 'cuda'?"),
        (["train", "SMALL", "--where", "esc10"], "--where takes COLUMN=VALUE, got 'esc10'"),
        (["train", "SMALL", "--test-fold", "1", "--all"], "one of --test-fold, --random-split and --all"),
        (["train", "SMALL", "--resume"], "--resume must be told which run"),
        (["cv", "SMALL", "--folds", "7"], "7"),
        (["train", ""], "must not be empty"),
        (["train", "SMALL", "--out", ""], "'--out': must not be empty. Say . for the folder you are in"),
        (["cv", "SMALL", "--cache", ""], "'--cache': must not be empty"),
        (["evaluate", "TINY", "SMALL", "--predictions", ""], "'--predictions': must not be empty"),
        (["predict", "TINY", ""], "'MODEL PATH…': must not be empty"),
        (["data", "synth", ""], "'DEST': must not be empty"),
        (["data", "show", "SMALL", "--out", ""], "'--out': must not be empty"),
        (["demo", "--out", ""], "'--out': must not be empty"),
        (["report", "SMALL", "--data", ""], "'--data': must not be empty"),
        (["train", "SMALL", "-r", ""], "the recipe must have a name, got ''"),
        (["train", "SMALL", "--epochs", "x"], "'--epochs': must be a whole number"),
        (["train", "SMALL", "--random-split", "x"], "'--random-split': must be a number"),
        (["export", "TINY", "--to", "wbe", "--out", "x"], "'--to': 'wbe' is not one of 'web'"),
        (
            ["train", "SMALL", "--set", "epochs=-1", "--epochs", "1"],
            "training.epochs must be greater than or equal to 1",
        ),
        (
            ["train", "SMALL", "--where", "a=1", "--where", "A=2", "--where", "a=2"],
            "a column once, got 'a' with '1' and '2'",
        ),
        (
            ["data", "synth", "new", "--clips", "99999999999"],
            "clips must be at most 100,000, about 40 GB of sound, got 99,",
        ),
        (["train", "SMALL", "--random-split", "0"], "--random-split must be above 0 and below 1, got 0"),
        (["data", "show", "SMALL", "--seed", "-1"], "seed must be 0 or more, got -1"),
        (["data", "show", "SMALL", "--out", "x.txt"], "must end in .png"),
        (["evaluate", "gone", "SMALL"], "there is no such model file or run"),
        (["predict", "gone", "x.wav"], "there is no such model file or run"),
        (["data", "get", "urbansound", "x"], "Did you mean 'urbansound8k'?"),
        (["data", "synth", "SMALL"], "is not empty"),
        (["data", "show", "SMALL", "--out", "nowhere/x.png"], "there is no such folder"),
        (["data", "show", "SMALL", "--clips", "51"], "clips must be between 1 and 50, got 51. Draw fewer"),
    ],
)
def test_mistakes_get_one_line_and_status_two(
    capsys: pytest.CaptureFixture[str],
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"SMALL": str(small_data), "TINY": str(TINY_MODEL)}
    line = refused(capsys, *[known.get(word, word) for word in arguments])
    assert message in line
    assert not list(tmp_path.iterdir()), "a refused command left something behind"


BAD_DATA = {
    "empty folder": ({}, "is an empty folder"),
    "no sounds": ({"notes.txt": "hello"}, "no sound"),
    "wrong columns": ({"clips.csv": "file,klass\na.wav,dog\n"}, "path"),
    "missing files": ({"clips.csv": "path,label\na.wav,dog\nb.wav,cat\n"}, "a.wav"),
    "half the folds": ({"clips.csv": "path,label,fold\na.wav,dog,1\nb.wav,cat,\n"}, "fold"),
}


@pytest.mark.parametrize("name", list(BAD_DATA))
def test_bad_data_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    files, message = BAD_DATA[name]
    root = tmp_path / "data"
    root.mkdir()
    for path, text in files.items():
        (root / path).write_text(text)
    target = root / "clips.csv" if "clips.csv" in files else root
    for verb in (["train"], ["cv"], ["data", "check"]):
        assert message in refused(capsys, *verb, target)


def test_disk_full_is_told(
    capsys: pytest.CaptureFixture[str], small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("soundfold.data.store_build.os.fsync", full)
    arguments = ("train", small_data, *SET, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert "no space left" in refused(capsys, *arguments).lower()
    monkeypatch.undo()
    monkeypatch.setenv("SOUNDFOLD_CACHE", str(tmp_path / "cache"))
    assert run(capsys, *arguments)[0] == 0


def test_mistakes_are_told_before_the_long_work(
    capsys: pytest.CaptureFixture[str], small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoding began")

    monkeypatch.setattr("soundfold.jobs.prepare.open_store", refuse)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    for verb in ("train", "cv"):
        assert "is not empty" in refused(capsys, verb, small_data, "--out", tmp_path / "taken")
    assert "9" in refused(capsys, "train", small_data, "--test-fold", 9, "--out", tmp_path / "new")
    assert "9" in refused(capsys, "cv", small_data, "--folds", 9, "--out", tmp_path / "new")


@pytest.mark.long
def test_two_processes_from_the_command_line(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "soundfold", "train", str(small_data), *SET, "--test-fold", "3", "--devices", "2",
        "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache"), "--json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    alone = json.loads((small_run / "metrics.json").read_text(encoding="utf-8"))
    assert json.loads(done.stdout)["accuracy"] == pytest.approx(alone["accuracy"], abs=1e-9)
    assert "epoch 3/3" in done.stderr
    assert "Traceback" not in done.stderr


def test_torchrun_trains_once_and_writes_once(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "soundfold",
        "train", str(small_data), *SET, "--test-fold", "3", "--devices", "2", "--device", "cpu",
        "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache"), "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    alone = json.loads((small_run / "metrics.json").read_text(encoding="utf-8"))
    assert json.loads(done.stdout)["accuracy"] == pytest.approx(alone["accuracy"], abs=1e-9)


def test_our_own_fault_is_a_traceback_and_not_status_two(monkeypatch: pytest.MonkeyPatch, small_run: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("soundfold.runtime.load", broken)
    with pytest.raises(ZeroDivisionError):
        main(["predict", str(small_run), "x.wav"])


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_ends_with_a_clean_message_and_the_run_goes_on(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds", clips=10)
    command = [
        sys.executable, "-m", "soundfold", "train", str(data), *SET, "--epochs", "4000", "--test-fold", "3",
        "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache"),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "run" / "checkpoint.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1].startswith("soundfold: interrupted")
    assert "--resume" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_ctrl_c_ends_with_a_clean_message_while_the_verbs_are_loaded(name: str, status: int) -> None:
    code = f"""
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Interrupting())
from soundfold.cli import main
sys.exit(main(["predict", "model.onnx", "a.wav"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "soundfold: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="forks")
def test_a_forked_child_dies_of_sigterm_and_puts_nothing_away() -> None:
    code = """
import os, signal, time
from soundfold.cli.main import _ended_in_order
came = []
with _ended_in_order(came):
    child = os.fork()
    if not child:
        try:
            print("ready", flush=True)
            time.sleep(20)
        finally:
            os._exit(7)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
    assert not came
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_output_cut_off_by_its_reader_is_no_error(small_run: Path, tmp_path: Path) -> None:
    for number in range(40):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(800), RATE)
    command = f"{sys.executable} -m soundfold predict {small_run} {tmp_path} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="closes a descriptor as shells of Unix do")
@pytest.mark.parametrize("verb", ["predict {model} {sound}", "predict {model} {sound} --json", "model {model} --json"])
def test_an_answer_that_would_go_to_a_closed_stdout_is_not_lost_in_silence(tmp_path: Path, verb: str) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(800), RATE)
    words = verb.format(model=TINY_MODEL, sound=tmp_path / "a.wav")
    done = subprocess.run(f"{sys.executable} -m soundfold {words} >&-", shell=True, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("soundfold: standard output: is closed, and the answer would be lost. Leave it open")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="folders in use stay there")
def test_a_working_folder_that_is_gone_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["train", "x"], ["predict", "model.onnx", "a.wav"], ["data", "check", "."]):
        status, out, err = run(capsys, *words)
        assert (status, out) == (2, "")
        assert err.startswith("soundfold: the working folder: is gone, or may not be seen (No such file or directory).")
        assert len(err.splitlines()) == 1


def test_what_is_mistyped_is_told_before_torch_is_loaded(small_data: Path, tmp_path: Path) -> None:
    script = """
import sys
from soundfold.cli.main import main
for verb in ("train", "cv", "tune"):
    assert main([verb, sys.argv[1], "-r", "turorial"]) == 2
    assert main([verb, sys.argv[1], "-r", "tutorial", "--set", "epochs=many"]) == 2
    assert main([verb, sys.argv[1], "--set", "epoch=3"]) == 2
    assert main([verb, sys.argv[2], "-r", "tutorial"]) == 2
    assert main([verb, sys.argv[1], "--weights", "a", "--set", "model.weights=b"]) == 2
    assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script, small_data, tmp_path / "none"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for told in (
        "no recipe 'turorial'",
        "a whole number, got 'many'",
        "no setting 'epoch'",
        "no such file or folder",
        "both name",
    ):
        assert done.stderr.count(told) == 3


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, None), ("1,2", ["1", "2"]), (" a , b,", ["a", "b"]), ("1\n2,3\r\n", ["1", "2", "3"]),
        ('"a,b",c', ["a,b", "c"]), ("", []),
        ('"half', ["half"]), ('c, "a, b"', ["c", "a, b"]), ("it's,2\"", ["it's", '2"']),
    ],
)  # fmt: skip
def test_names_in_a_list_may_hold_commas_between_quotes(text: str | None, names: list[str] | None) -> None:
    assert listed(text) == names
