"""Many sounds at once: the same answers from threads and from processes, whatever one sound does to its process."""

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bad_decoders import spoil
from model_files import MEL_MODEL, TINY_MODEL
from soundfold.errors import AudioError, FaultError, ModelFileError, PathError, RunError, TooLateError
from soundfold.runtime import Prediction, load, many
from soundfold.runtime.worker_share import Share, Task
from soundfold.runtime.workers import Workers

pytestmark = [pytest.mark.runtime, pytest.mark.skipif(os.name == "nt", reason="needs signals of Unix")]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Sounds of many lengths, with one that is none and one that is not there."""
    folder = tmp_path_factory.mktemp("sounds")
    generator = np.random.default_rng(0)
    for number in range(12):
        sound = generator.uniform(-number / 12, number / 12, 3_000 + 2_500 * number)
        soundfile.write(folder / f"größe {number}.wav", sound, 8_000)
    (folder / "größe 5.wav").write_text("no sound")
    return [str(folder / f"größe {number}.wav") for number in range(13)]


@pytest.mark.parametrize("path", [TINY_MODEL, MEL_MODEL], ids=["tiny", "mel"])
def test_processes_answer_as_this_one_does(path: Path, sounds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(path)
    asked = [*sounds, (sounds[8], 0.5, 1.75), Path(sounds[0]), Path(sounds[1]).read_bytes()]
    here = list(model.predict_many(asked, workers=2, hop_s=0.25))
    monkeypatch.setattr(many, "_FEW", 0)
    heard: list[float] = []
    apart = list(model.predict_many(asked, workers=2, hop_s=0.25, on_heard=heard.append))
    assert [repr(answer) for answer in apart] == [repr(answer) for answer in here]
    assert isinstance(apart[5], AudioError)
    assert isinstance(apart[12], PathError)
    assert isinstance(apart[8], Prediction)
    assert len(apart[8].timeline) > 4


def test_few_sounds_are_heard_by_this_process(sounds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.runtime.worker_feed.start_child", None)
    assert len(list(load(TINY_MODEL).predict_many(sounds, workers=2))) == len(sounds)


def test_a_sound_that_crashes_or_hangs_its_process_costs_itself_alone(
    sounds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(tmp_path / "site", monkeypatch)
    bad = {number: str(tmp_path / f"{name}.wav") for number, name in ((1, "crash 1"), (2, "hang"), (5, "crash 2"))}
    for file in bad.values():
        shutil.copy(sounds[1], file)
    asked = [bad.get(number, sounds[1]) for number in range(9)]
    model = load(TINY_MODEL)
    with Workers([TINY_MODEL], 2, patience_s=3.0) as workers:
        answers = [future.result(60) for future in [workers.submit(file) for file in asked]]
    expected = model.predict(sounds[1])
    for number, answer in enumerate(answers):
        if number not in bad:
            assert answer == expected
    told = [str(answers[number]) for number in bad]
    assert "crash 1.wav: ended the process that listened to it (SIGSEGV), 2 times." in told[0]
    assert "hang.wav: was given up after 3 s without a sign of life." in told[1]
    assert "crash 2.wav: ended the process" in told[2]


def test_workers_go_when_nobody_waits_for_them(sounds: list[str]) -> None:
    before = set(threading.enumerate())
    with Workers([TINY_MODEL], 2) as workers:
        assert isinstance(workers.submit(sounds[0]).result(60), Prediction)
        processes = [worker._process for worker in workers._workers if worker._process is not None]
        for _ in range(1_000):
            workers.submit(sounds[0])
    assert processes
    assert all(process.returncode is not None for process in processes)
    assert set(threading.enumerate()) <= before


def test_sounds_are_given_out_evenly() -> None:
    share = Share()
    tasks = [Task(key, "", b"", b"") for key in range(8)]
    for task in tasks:
        share.put(task)
    held = {"one": 0, "other": 0}
    for worker in held:
        share.set_ready(worker, True)
    assert share.take("not ready", 0, 0.01) is None
    for worker in ("one", "other", "one", "one", "other", "other", "one", "one", "one", "other", "other", "other"):
        held[worker] += share.take(worker, held[worker]) is not None
        assert abs(held["one"] - held["other"]) <= 1
    assert held == {"one": 4, "other": 4}
    share.put(tasks[0])
    assert share.take("one", 4) is None  # enough at hand
    share.close()
    assert share.take("one", 0) is None


def test_a_sound_of_which_the_time_is_over_or_that_nobody_waits_for_is_not_heard_on(sounds: list[str]) -> None:
    heard: list[float] = []
    content = Path(sounds[11]).read_bytes()
    with Workers([TINY_MODEL], 1, on_heard=heard.append) as workers:
        late = workers.submit(content, name="late.wav", until=time.monotonic() - 1)
        dropped = [workers.submit(content) for _ in range(9)]
        cancelled = sum(future.cancel() for future in dropped)
        last = workers.submit(content, name="last.wav").result(60)
        assert isinstance(late.result(60), TooLateError)
    assert cancelled > 4
    assert last == replace(load(TINY_MODEL).predict(content), path="last.wav")
    assert sum(heard) == pytest.approx(last.duration_s * (10 - cancelled))


def test_what_hangs_holds_others_up_for_its_patience_alone(
    sounds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(tmp_path / "site", monkeypatch)
    hanging = str(shutil.copy(sounds[1], tmp_path / "hang.wav"))
    with Workers([TINY_MODEL], 1, patience_s=2.0) as workers:
        workers.submit(sounds[1]).result(60)
        began = time.monotonic()
        bad, good = workers.submit(hanging), workers.submit(sounds[1])
        assert isinstance(good.result(60), Prediction)
        assert time.monotonic() - began < 2 * 2.0 + 6.0  # and the start of a process
        assert "without a sign of life" in str(bad.result(0))


def test_a_fault_of_ours_is_told_as_one(sounds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(tmp_path / "site", monkeypatch)
    failing = str(shutil.copy(sounds[1], tmp_path / "fail.wav"))
    with Workers([TINY_MODEL], 1) as workers:
        told, good = workers.submit(failing), workers.submit(sounds[1])
        assert isinstance(told.result(60), FaultError)
        assert "fail.wav: soundfold failed on it (ZeroDivisionError: by us)" in str(told.result(60))
        assert isinstance(good.result(60), Prediction)


def test_modules_in_the_working_folder_are_none_of_ours(
    sounds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    with Workers([TINY_MODEL], 1) as workers:
        assert isinstance(workers.submit(sounds[0]).result(60), Prediction)


def test_those_who_wait_at_the_end_are_told_so(sounds: list[str]) -> None:
    with Workers([TINY_MODEL], 1) as workers:
        workers.submit(sounds[0]).result(60)
        waiting = [workers.submit(sounds[11]) for _ in range(500)]
    assert all(future.done() for future in waiting)
    assert any(future.cancelled() for future in waiting)
    with pytest.raises(RunError, match="the workers must be in use"):
        workers.submit(sounds[0])


def test_a_worker_that_cannot_begin_leaves_its_sounds_to_one_that_can(
    sounds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copy(TINY_MODEL, tmp_path / "m.onnx"))
    with Workers([copy], 2) as workers:
        workers.submit(sounds[0]).result(60)
        while not all(worker in workers._share._ready for worker in workers._workers):
            time.sleep(0.01)
        copy.write_text("no model")
        workers._workers[0]._process.kill()
        answers = [workers.submit(sound).result(60) for sound in sounds[:5] * 8]
    assert [repr(answer) for answer in answers] == [repr(load(TINY_MODEL).predict(sound)) for sound in sounds[:5] * 8]


@pytest.mark.parametrize("error", [BrokenPipeError, SystemExit])
def test_a_callback_that_raises_is_heard_of_and_the_next_sound_is_answered(
    sounds: list[str], error: type[BaseException]
) -> None:
    raised: list[float] = []

    def heard(seconds: float) -> None:
        if not raised:
            raised.append(seconds)
            raise error

    with Workers([TINY_MODEL], 1, on_heard=heard) as workers:
        with pytest.raises(error):
            workers.submit(sounds[1]).result(60)
        assert isinstance(workers.submit(sounds[1]).result(60), Prediction)


def test_no_other_file_answers_than_the_one_that_was_opened(sounds: list[str]) -> None:
    with Workers([TINY_MODEL], 2, digests=[load(MEL_MODEL).digest]) as workers:
        for future in [workers.submit(sounds[0]) for _ in range(6)]:
            with pytest.raises(ModelFileError, match="was replaced while it was in use"):
                future.result(60)
        assert not workers.is_ready


def test_a_model_that_is_replaced_in_between_answers_nothing(tmp_path: Path, sounds: list[str]) -> None:
    copy = Path(shutil.copy(TINY_MODEL, tmp_path / "m.onnx"))
    with Workers([copy], 1) as workers:
        assert isinstance(workers.submit(sounds[0]).result(60), Prediction)
        shutil.copy(MEL_MODEL, copy)
        workers._workers[0]._process.kill()
        with pytest.raises(ModelFileError, match=r"m\.onnx: was replaced while it was in use\. Start again"):
            workers.submit(sounds[0]).result(60)
        shutil.copy(TINY_MODEL, copy)
        assert isinstance(workers.submit(sounds[0]).result(60), Prediction)


def test_a_model_that_is_gone_is_told_to_whoever_waits(tmp_path: Path, sounds: list[str]) -> None:
    copy = tmp_path / "m.onnx"
    copy.write_text("no model")
    with Workers([copy], 2) as workers:
        waiting = [workers.submit(sounds[0]) for _ in range(9)]
        for future in waiting:
            with pytest.raises(ModelFileError, match=r"m\.onnx: "):
                future.result(60)
