"""The demo itself, made small: what its last lines promise is there, and nothing of the user's is touched."""

from functools import partial
from pathlib import Path

import pytest

from conftest import SMALL
from soundfold.cli import main
from soundfold.jobs import demo as job
from soundfold.runtime import load


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_CLIPS", 160)
    monkeypatch.setattr(job, "_EPOCHS", 1)
    monkeypatch.setattr(job, "_FOLDS", ("2",))
    for verb in ("train", "cross_validate", "show"):
        monkeypatch.setattr(job, verb, partial(getattr(job, verb), changes=SMALL))


def test_the_demo_goes_all_the_way(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_small(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "soundfold-demo").mkdir()
    assert main(["demo"]) == 0
    told = capsys.readouterr()
    assert [path.name for path in tmp_path.iterdir() if path.name != "soundfold-demo"] == ["soundfold-demo-2"]
    made = tmp_path / "soundfold-demo-2"
    assert sorted(path.name for path in made.iterdir()) == ["clips.png", "cv", "data", "random"]
    assert "recordings it has never met:" in told.out
    assert "share a recording with training" in told.out
    assert "the model says" in told.out
    line = next(line for line in told.out.splitlines() if line.startswith("model:"))
    model = tmp_path / line.split(maxsplit=1)[1]
    assert model == made / "cv" / "fold2" / "model.onnx"
    assert len(load(model).labels) == 10
    for name in next(line for line in told.out.splitlines() if line.startswith("pictures:")).split()[1:]:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "1. A synthetic data set of 160 clips" in told.err


def test_the_demo_refuses_what_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_small(monkeypatch)
    (tmp_path / "thesis.txt").write_text("years of work")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        assert main(["demo", "--out", str(path)]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err == f"soundfold: {path}: exists already. Choose another --out\n"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
